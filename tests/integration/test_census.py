"""The audit: it opens every value, writes nothing, and gives an answer that can be trusted."""

from __future__ import annotations

import pytest
from psycopg import errors as pg

from fluxbase_cli.counts import Counts
from fluxbase_cli.errors import ConfigurationError, ExitCode
from fluxbase_cli.store.limits import Limits
from tests.fixtures.embedded import on_both_releases
from tests.fixtures.fluxbase import (
    COLUMNS,
    KEYS_OF_THREE,
    NEW,
    OLD,
    SECRETS,
    STRANGER,
    THIRD,
    Fluxbase,
    Role,
    Spot,
    seal,
)


@on_both_releases
@pytest.mark.parametrize(
    "limits", [Limits(rows=1, bytes=1 << 20), Limits(rows=500, bytes=300), Limits(rows=500, bytes=1 << 21)]
)
def test_an_audit_counts_every_value_of_every_location(full: Fluxbase, limits: Limits) -> None:
    report = full.audit(limits=limits)
    for location in full.columns:
        found, expected = report.locations[location], full.expected[location]
        assert (found.scanned, found.plaintext, found.undecryptable) == (
            expected.scanned,
            expected.plaintext,
            expected.undecryptable,
        ), location
    opened = full.everything()
    for version in (1, 2):
        assert report.by_version[version] == sum(version in each.versions for each in opened.values())
    assert {Spot(entry.location, entry.id, entry.path) for entry in report.quarantine} == full.bad
    assert report.exit_code == ExitCode.UNDECRYPTABLE_LEFT


def test_an_audit_writes_nothing_anywhere(full: Fluxbase) -> None:
    places, relations, transaction = full.places(), full.relations(), int(full.value("SELECT pg_current_xact_id()"))
    full.audit(1)
    assert (full.places(), full.relations()) == (places, relations)
    assert int(full.value("SELECT pg_current_xact_id()")) == transaction + 1


@on_both_releases
def test_the_old_key_is_found_before_the_job_and_not_after_it(full: Fluxbase) -> None:
    before = full.audit(1)
    total = sum(full.expected.values(), Counts())
    assert before.found == total.re_encrypted
    assert before.exit_code == ExitCode.CHECK_SAYS_NO
    full.run()
    after = full.audit(1)
    assert (after.found, after.exit_code) == (0, ExitCode.DONE)
    assert after.by_version == {1: 0, 2: total.re_encrypted + total.already_current}
    # An undecryptable value is reported too: it could be under the predecessor of the old key.
    assert any("open under no configured key" in warning for warning in after.warnings)


def test_a_value_sealed_twice_still_needs_the_key_of_its_inner_seal(flux: Fluxbase) -> None:
    flux.secret(seal(NEW, seal(OLD, "inner")))
    report = flux.audit(1)
    assert (report.found, report.by_version, report.scanned) == (1, {1: 1, 2: 1}, 1)


def test_values_under_a_third_key_are_counted_separately_or_are_undecryptable_without_that_key(flux: Fluxbase) -> None:
    flux.secret(seal(THIRD, "third"))
    flux.secret(seal(NEW, "new"))
    assert flux.audit(keys=KEYS_OF_THREE).by_version == {1: 0, 2: 1, 3: 1}
    without = flux.audit()
    assert (without.by_version, without.undecryptable) == ({1: 0, 2: 1}, 1)


def test_a_version_that_is_not_configured_is_refused(flux: Fluxbase) -> None:
    with pytest.raises(ConfigurationError, match="version 7 is not configured"):
        flux.audit(7)


def test_an_empty_database_has_nothing_under_any_key(flux: Fluxbase) -> None:
    report = flux.audit(1)
    assert (report.scanned, report.found, report.exit_code) == (0, 0, ExitCode.DONE)
    assert set(report.locations) == set(COLUMNS)


def test_a_sample_key_gives_a_warning(flux: Fluxbase) -> None:
    report = flux.audit(keys={1: b"test-encryption-key-32-bytes!!!!", 2: NEW})
    assert any("sample key" in warning and "version 1" in warning for warning in report.warnings)


def test_a_role_that_can_only_read_and_sees_all_rows_is_enough(full: Fluxbase, role: Role) -> None:
    full.rows(f"ALTER ROLE {role.name} BYPASSRLS")
    full.rows(f"GRANT USAGE ON SCHEMA functions, app, platform, auth, branching TO {role.name}")
    for table in {location.rpartition(".")[0] for location in COLUMNS}:
        full.rows(f"GRANT SELECT ON {table} TO {role.name}")
    full.rows(f"ALTER ROLE {role.name} SET default_transaction_read_only = on")
    report = full.audit(1, database=role.database)
    assert report.by_version == full.audit(1).by_version
    assert report.found > 0
    with full.connect() as connection:
        connection.execute(f"SET ROLE {role.name}".encode())
        with pytest.raises(pg.InsufficientPrivilege):
            connection.execute("UPDATE functions.secrets SET name = name")


def test_damage_at_the_beginning_of_a_table_hides_nothing_after_it(flux: Fluxbase) -> None:
    flux.secrets(30, STRANGER, first_id=0)
    flux.secrets(5)
    report = flux.audit(1, limits=Limits(rows=7, bytes=1 << 20))
    assert (report.found, report.undecryptable, report.locations[SECRETS].scanned) == (5, 30, 35)
