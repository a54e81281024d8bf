"""Is every value of every table under the new key after a re-encryption, and is none lost?"""

from __future__ import annotations

from fluxbase_cli.counts import Counts
from fluxbase_cli.errors import ExitCode
from fluxbase_cli.store.limits import Limits
from tests.fixtures.comparing import assert_all_moved, spots, texts
from tests.fixtures.fluxbase import (
    COLUMNS,
    KEYS,
    KEYS_OF_THREE,
    MAX,
    NEW,
    NIL,
    OLD,
    SECRETS,
    STRANGER,
    THIRD,
    Fluxbase,
    Spot,
    seal,
)


def test_a_real_run_after_a_dry_run_does_everything(full: Fluxbase) -> None:
    full.run(dry_run=True)
    assert full.run().total.re_encrypted == sum(counts.re_encrypted for counts in full.expected.values())


def test_without_a_source_everything_is_moved_to_the_target(full: Fluxbase) -> None:
    full.secret(seal(THIRD, "third"))
    full.secret(seal(THIRD, seal(OLD, "third around old")))
    before = full.everything()
    report = full.run(source=None, keys=KEYS_OF_THREE)
    after = full.everything()
    assert texts(after) == texts(before)
    assert all(set(after[spot].versions) == {2} for spot, was in before.items() if was.versions)
    assert report.total.other_versions == 0
    assert report.locations[SECRETS].re_encrypted == full.expected[SECRETS].re_encrypted + 2


def test_a_table_with_more_than_one_lane_is_done_once_and_completely(flux: Fluxbase) -> None:
    flux.secrets(2300)
    flux.secrets(300, NEW)
    before = flux.everything()
    report = flux.run(limits=Limits(rows=100, bytes=1 << 20), workers=2)
    assert report.total == Counts(scanned=2600, re_encrypted=2300, updated=2300, already_current=300)
    assert flux.value("SELECT count(DISTINCT strides) FROM fluxbase_rotation.shard WHERE strides > 1") == 1
    assert_all_moved(before, flux.everything())


def test_more_bad_rows_at_the_beginning_than_a_batch_holds_do_not_stop_the_rest(flux: Fluxbase) -> None:
    flux.secrets(9, STRANGER, first_id=0)
    flux.secrets(20)
    report = flux.run(limits=Limits(rows=2, bytes=1 << 20))
    assert report.locations[SECRETS] == Counts(scanned=29, re_encrypted=20, updated=20, undecryptable=9)
    assert len(report.quarantine) == 9


def test_an_empty_database_is_completed_with_nothing_scanned(flux: Fluxbase) -> None:
    report = flux.run()
    assert (report.state, report.exit_code, report.total) == ("completed", ExitCode.DONE, Counts())
    assert set(report.locations) == set(COLUMNS)


def partition(flux: Fluxbase) -> None:
    flux.rows("ALTER TABLE functions.secrets RENAME TO secrets_whole")
    flux.rows("CREATE TABLE functions.secrets (LIKE functions.secrets_whole INCLUDING DEFAULTS) PARTITION BY HASH (id)")
    flux.rows("ALTER TABLE functions.secrets ADD PRIMARY KEY (id)")
    for number in range(3):
        flux.rows(
            f'CREATE TABLE functions."Part ""{number}" PARTITION OF functions.secrets'
            f" FOR VALUES WITH (MODULUS 3, REMAINDER {number})"
        )
    flux.rows("DROP TABLE functions.secrets_whole CASCADE")


def test_a_partitioned_table_is_done_in_all_its_partitions(flux: Fluxbase) -> None:
    partition(flux)
    flux.secrets(40)
    bad = flux.secret(seal(STRANGER, "x"), id=MAX)
    flux.secret(seal(OLD, "x"), id=NIL)
    before = flux.everything()
    report = flux.run(workers=2)
    assert_all_moved(before, flux.everything())
    assert report.locations[SECRETS] == Counts(scanned=42, re_encrypted=41, updated=41, undecryptable=1)
    assert spots(report) == {Spot(SECRETS, bad, ())}


def test_the_keys_can_be_swapped(flux: Fluxbase) -> None:
    flux.secrets(5)
    flux.secrets(5, NEW)
    report = flux.run(keys={1: NEW, 2: OLD})
    assert report.total == Counts(scanned=10, re_encrypted=5, updated=5, already_current=5)
    assert all(each.versions == (1,) for each in flux.everything(KEYS).values())
