"""Re-encryption on a real server: nothing lost, nothing forgotten, nothing else touched."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import count
from typing import Any
from uuid import UUID

import pytest

from fluxbase_cli.counts import Counts
from fluxbase_cli.engine.events import Step
from fluxbase_cli.engine.outcome import JobReport
from fluxbase_cli.errors import ExitCode
from fluxbase_cli.store.records import JobKind
from fluxbase_cli.store.rows import Limits
from tests.fixtures.embedded import on_both_releases
from tests.fixtures.fluxbase import (
    ACCESS,
    COLUMNS,
    DOCUMENTS,
    IDENTITY,
    KEYS,
    KEYS_OF_THREE,
    MAX,
    NEW,
    NIL,
    OLD,
    REFRESH,
    SECRETS,
    STRANGER,
    THIRD,
    Fluxbase,
    Opened,
    Spot,
    Watching,
    seal,
)


def spots(report: JobReport) -> set[Spot]:
    return {Spot(entry.location, entry.id, entry.path) for entry in report.quarantine}


def texts(opened: dict[Spot, Opened]) -> dict[Spot, bytes]:
    return {spot: each.text for spot, each in opened.items()}


def assert_all_moved(
    before: dict[Spot, Opened], after: dict[Spot, Opened], *, source: int = 1, target: int = 2
) -> None:
    """Every value opens to the same text, and each of its seals that was under the source is under the target."""
    assert texts(after) == texts(before)
    for spot, was in before.items():
        assert after[spot].versions == tuple(target if v == source else v for v in was.versions), spot


WAYS = [
    pytest.param(Limits(rows=1, bytes=1 << 20), 1, id="a row a batch"),
    pytest.param(Limits(rows=3, bytes=1 << 20), 3, id="three rows a batch, three workers"),
    pytest.param(Limits(rows=1000, bytes=200), 2, id="200 bytes a batch"),
    pytest.param(Limits(rows=1000, bytes=1 << 21), 4, id="as by default"),
]


@on_both_releases
@pytest.mark.parametrize(("limits", "workers"), WAYS)
def test_every_value_opens_under_the_new_key_and_all_else_is_as_it_was(
    full: Fluxbase, limits: Limits, workers: int
) -> None:
    before, stored, dump = full.everything(), full.stored(), full.dump()
    report = full.run(limits=limits, workers=workers)
    assert (report.state, report.remaining) == ("completed", 0)
    assert report.exit_code == ExitCode.UNDECRYPTABLE_LEFT
    assert_all_moved(before, full.everything())
    assert full.dump() == dump
    # What was not under the old key is the same to the letter: new, plaintext, and what nobody opens.
    now = full.stored()
    for spot, was in before.items():
        assert (now[spot] == stored[spot]) == (1 not in was.versions), spot
    assert spots(report) == full.bad
    assert all(re.fullmatch("[a-z].{10,}", entry.reason) for entry in report.quarantine)
    assert {location: report.locations[location] for location in full.columns} == dict(full.expected)
    assert report.total == sum(full.expected.values(), Counts())


@on_both_releases
def test_a_second_run_finds_nothing_to_do_and_writes_nothing(full: Fluxbase) -> None:
    full.run()
    places = full.places()
    again = full.run()
    assert again.state == "completed"
    assert again.job == 2
    assert full.places() == places
    for location, first in full.expected.items():
        assert again.locations[location] == Counts(
            scanned=first.scanned,
            already_current=first.already_current + first.re_encrypted,
            plaintext=first.plaintext,
            undecryptable=first.undecryptable,
        )


@on_both_releases
def test_a_dry_run_opens_everything_and_leaves_no_trace(full: Fluxbase) -> None:
    places, relations, transactions = full.places(), full.relations(), full.value("SELECT pg_current_xact_id()")
    report = full.run(dry_run=True, workers=2)
    assert full.places() == places
    assert full.relations() == relations
    assert "fluxbase_rotation" not in {schema for schema, _ in relations}
    # Not one transaction id was used up: our own question is the next.
    assert int(full.value("SELECT pg_current_xact_id()")) == int(transactions) + 1
    assert (report.state, report.job, report.exit_code) == ("dry-run", None, ExitCode.UNDECRYPTABLE_LEFT)
    expected = {
        location: Counts.from_dict(counts.as_dict() | {"updated": 0}) for location, counts in full.expected.items()
    }
    assert {location: report.locations[location] for location in full.columns} == expected
    assert report.remaining == report.total.re_encrypted
    assert spots(report) == full.bad


def test_a_real_run_after_a_dry_run_does_it_all(full: Fluxbase) -> None:
    full.run(dry_run=True)
    assert full.run().total.re_encrypted == sum(counts.re_encrypted for counts in full.expected.values())


def test_without_a_source_everything_is_brought_under_the_target(full: Fluxbase) -> None:
    full.secret(seal(THIRD, "third"))
    full.secret(seal(THIRD, seal(OLD, "third around old")))
    before = full.everything()
    report = full.run(source=None, keys=KEYS_OF_THREE)
    after = full.everything()
    assert texts(after) == texts(before)
    assert all(set(after[spot].versions) == {2} for spot, was in before.items() if was.versions)
    assert report.total.other_versions == 0
    assert report.locations[SECRETS].re_encrypted == full.expected[SECRETS].re_encrypted + 2


def test_other_versions_than_the_source_are_left_to_the_letter(flux: Fluxbase) -> None:
    third = flux.secret(seal(THIRD, "third"))
    flux.secret(seal(OLD, "old"))
    mixed = flux.secret(seal(THIRD, seal(OLD, "old in third")))
    stored = flux.stored()
    report = flux.run(keys=KEYS_OF_THREE)
    spot = Spot(SECRETS, third, ())
    assert flux.stored()[spot] == stored[spot]
    assert flux.everything()[Spot(SECRETS, mixed, ())] == Opened((3, 2), b"old in third")
    assert report.locations[SECRETS] == Counts(scanned=3, re_encrypted=2, updated=2, other_versions=1)
    assert report.exit_code == ExitCode.DONE


def test_a_table_larger_than_one_stride_is_done_once_and_whole(flux: Fluxbase) -> None:
    flux.secrets(2300)
    flux.secrets(300, NEW)
    before = flux.everything()
    report = flux.run(limits=Limits(rows=100, bytes=1 << 20), workers=2)
    assert report.total == Counts(scanned=2600, re_encrypted=2300, updated=2300, already_current=300)
    assert flux.value("SELECT count(DISTINCT strides) FROM fluxbase_rotation.shard WHERE strides > 1") == 1
    assert_all_moved(before, flux.everything())


def test_more_bad_rows_than_a_batch_holds_at_the_head_do_not_stop_the_rest(flux: Fluxbase) -> None:
    flux.secrets(9, STRANGER, first_id=0)
    flux.secrets(20)
    report = flux.run(limits=Limits(rows=2, bytes=1 << 20))
    assert report.locations[SECRETS] == Counts(scanned=29, re_encrypted=20, updated=20, undecryptable=9)
    assert len(report.quarantine) == 9


def test_numbers_in_documents_survive_to_the_letter(flux: Fluxbase) -> None:
    written = '{"a": "%s", "n": [587, 1.10, 1E+3, 1e400, -0.0, 0.10000000000000000000000000000000000000000001]}'
    row = flux.document(written % seal(OLD, "x"))
    before = flux.value("SELECT settings->>'n' FROM platform.instance_settings WHERE id = %s", row)
    assert "1.10" in before
    flux.run()
    assert flux.value("SELECT settings->>'n' FROM platform.instance_settings WHERE id = %s", row) == before
    assert flux.everything()[Spot(DOCUMENTS, row, ("a",))] == Opened((2,), b"x")


def test_an_empty_database_is_completed_with_nothing_scanned(flux: Fluxbase) -> None:
    report = flux.run()
    assert (report.state, report.exit_code, report.total) == ("completed", ExitCode.DONE, Counts())
    assert set(report.locations) == set(COLUMNS)


@on_both_releases
def test_the_triggers_for_updated_at_and_webhooks_stay_quiet(full: Fluxbase) -> None:
    for table in full.tables:
        full.rows("SELECT auth.create_webhook_trigger(%s, %s)", *table.split("."))
    columns = "SELECT id, updated_at::text FROM {}"
    stamped = [table for table in full.tables if table != "functions.secret_versions"]
    stamps = {table: sorted(full.rows(columns.format(table))) for table in stamped}
    events = full.value("SELECT count(*) FROM auth.webhook_events")
    report = full.run()
    assert report.total.updated > 0
    assert full.value("SELECT count(*) FROM auth.webhook_events") == events
    assert {table: sorted(full.rows(columns.format(table))) for table in stamped} == stamps
    # And they do fire for others, so this test could fail.
    full.rows("UPDATE auth.users SET totp_secret = totp_secret WHERE totp_secret LIKE '____%%'")
    assert full.value("SELECT count(*) FROM auth.webhook_events") > events


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


# --- writers that write meanwhile ---------------------------------------------------------------------------------


def writer(flux: Fluxbase, step: Step, action: Callable[[], object], *, table: str = "functions.secrets") -> Watching:
    return Watching(step, action, table=table)


def test_a_writer_that_updates_between_our_read_and_our_write_wins(flux: Fluxbase) -> None:
    first, second, third = (flux.secret(seal(OLD, text)) for text in ("1", "2", "3"))
    theirs = seal(NEW, "theirs")
    update = "UPDATE functions.secrets SET encrypted_value = %s WHERE id = %s"

    def interfere() -> None:
        flux.rows(update, theirs, first)
        flux.rows(update, seal(OLD, "theirs, old"), second)

    meddler = writer(flux, Step.READ, interfere)
    report = flux.run(observer=meddler)
    assert meddler.acted
    assert flux.stored()[Spot(SECRETS, first, ())][0] == theirs
    assert flux.everything() == {
        Spot(SECRETS, first, ()): Opened((2,), b"theirs"),
        Spot(SECRETS, second, ()): Opened((2,), b"theirs, old"),
        Spot(SECRETS, third, ()): Opened((2,), b"3"),
    }
    assert report.locations[SECRETS] == Counts(scanned=3, re_encrypted=2, updated=2, already_current=1, moved=2)


def test_a_row_deleted_between_our_read_and_our_write_stays_deleted_and_uncounted(flux: Fluxbase) -> None:
    first, second = flux.secret(seal(OLD, "1")), flux.secret(seal(OLD, "2"))
    meddler = writer(flux, Step.READ, lambda: flux.rows("DELETE FROM functions.secrets WHERE id = %s", first))
    report = flux.run(observer=meddler)
    assert flux.everything() == {Spot(SECRETS, second, ()): Opened((2,), b"2")}
    assert report.locations[SECRETS] == Counts(scanned=1, re_encrypted=1, updated=1, moved=1)


def test_a_value_damaged_between_our_read_and_our_write_is_reported_and_left(flux: Fluxbase) -> None:
    row = flux.secret(seal(OLD, "1"))
    damage = "UPDATE functions.secrets SET encrypted_value = 'damaged' WHERE id = %s"
    report = flux.run(observer=writer(flux, Step.READ, lambda: flux.rows(damage, row)))
    assert flux.stored() == {Spot(SECRETS, row, ()): ("damaged", None)}
    assert spots(report) == {Spot(SECRETS, row, ())}
    assert report.locations[SECRETS] == Counts(scanned=1, undecryptable=1, moved=1)


def test_a_change_of_another_column_is_kept_and_its_row_is_done(flux: Fluxbase) -> None:
    row = flux.secret(seal(OLD, "1"))
    rename = "UPDATE functions.secrets SET description = 'theirs' WHERE id = %s"
    report = flux.run(observer=writer(flux, Step.READ, lambda: flux.rows(rename, row)))
    assert flux.value("SELECT description FROM functions.secrets") == "theirs"
    assert flux.everything() == {Spot(SECRETS, row, ()): Opened((2,), b"1")}
    assert report.locations[SECRETS].re_encrypted == report.locations[SECRETS].updated == 1


def test_rows_read_ahead_of_their_batch_belong_to_whoever_changes_or_deletes_them_before_it(flux: Fluxbase) -> None:
    rows = flux.secrets(8)
    theirs = seal(NEW, "theirs")

    def interfere() -> None:
        flux.rows("UPDATE functions.secrets SET encrypted_value = %s WHERE id = %s", theirs, rows[5])
        flux.rows("DELETE FROM functions.secrets WHERE id = %s", rows[6])

    # All eight were read for the first batch of two.
    meddler = writer(flux, Step.COMMITTED, interfere)
    report = flux.run(observer=meddler, limits=Limits(rows=2, bytes=1 << 20))
    assert meddler.acted
    assert flux.stored()[Spot(SECRETS, rows[5], ())][0] == theirs
    assert len(flux.everything()) == 7
    assert report.locations[SECRETS] == Counts(scanned=7, re_encrypted=6, updated=6, already_current=1, moved=2)


def test_rows_that_were_read_long_ago_are_read_again(flux: Fluxbase, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = flux.secrets(8)
    monkeypatch.setattr("fluxbase_cli.engine.run.shard_reader._FRESH_S", 0.0)
    update = "UPDATE functions.secrets SET encrypted_value = %s WHERE id = %s"
    meddler = writer(flux, Step.COMMITTED, lambda: flux.rows(update, seal(NEW, "theirs"), rows[5]))
    report = flux.run(observer=meddler, limits=Limits(rows=2, bytes=1 << 20))
    assert meddler.acted
    assert all(each.versions == (2,) for each in flux.everything().values())
    # Seen by the next reading, and younger than the job: the census's, which finds nothing to do.
    assert report.locations[SECRETS] == Counts(scanned=7, re_encrypted=7, updated=7)


def test_a_setting_given_to_another_user_meanwhile_is_not_sealed_for_the_first_one(flux: Fluxbase) -> None:
    first, second = flux.user(), flux.user()
    row = flux.setting(seal(OLD, "1", first), first)
    change = "UPDATE app.settings SET user_id = %s, encrypted_value = %s WHERE id = %s"
    theirs = seal(OLD, "2", second)
    meddler = writer(flux, Step.READ, lambda: flux.rows(change, second, theirs, row), table="app.settings")
    flux.run(observer=meddler)
    assert flux.everything() == {Spot(COLUMNS[2], row, ()): Opened((2,), b"2")}


def test_another_token_of_the_same_row_changed_meanwhile_is_kept_and_both_are_done(flux: Fluxbase) -> None:
    row = flux.token(seal(OLD, "access"), seal(NEW, "refresh"), seal(OLD, "identity"))
    change = "UPDATE auth.oauth_tokens SET refresh_token = %s WHERE id = %s"
    theirs = seal(OLD, "theirs")
    meddler = writer(flux, Step.READ, lambda: flux.rows(change, theirs, row), table="auth.oauth_tokens")
    report = flux.run(observer=meddler)
    assert meddler.acted
    opened = flux.everything()
    assert {location: opened[Spot(location, row, ())] for location in (ACCESS, REFRESH, IDENTITY)} == {
        ACCESS: Opened((2,), b"access"),
        REFRESH: Opened((2,), b"theirs"),
        IDENTITY: Opened((2,), b"identity"),
    }
    assert report.locations[REFRESH].re_encrypted == 1
    assert report.locations[ACCESS] == Counts(scanned=1, re_encrypted=1, updated=1, moved=1)


def test_a_writer_that_changes_a_document_meanwhile_wins(flux: Fluxbase) -> None:
    leaf = seal(OLD, "kept")
    rows = [flux.document(json.dumps({"kept": leaf, "theirs": seal(OLD, "before"), "n": 1})) for _ in range(2)]
    after, added = seal(NEW, "after"), seal(OLD, "added")
    theirs = f'{{"kept": "{leaf}", "theirs": "{after}", "added": "{added}", "n": 1.10}}'
    change = "UPDATE platform.instance_settings SET settings = %s WHERE id = %s"
    meddler = writer(flux, Step.READ, lambda: flux.rows(change, theirs, rows[0]), table="platform.instance_settings")
    report = flux.run(observer=meddler)
    opened = flux.everything()
    assert {spot.path: each for spot, each in opened.items() if spot.id == rows[0]} == {
        ("kept",): Opened((2,), b"kept"),
        ("theirs",): Opened((2,), b"after"),
        ("added",): Opened((2,), b"added"),
    }
    assert flux.value("SELECT settings->>'n' FROM platform.instance_settings WHERE id = %s", rows[0]) == "1.10"
    assert all(each.versions == (2,) for each in opened.values())
    assert report.locations[DOCUMENTS] == Counts(scanned=5, re_encrypted=4, updated=4, already_current=1, moved=2)


def test_what_a_writer_seals_under_the_old_key_behind_the_cursor_is_found_before_the_end(flux: Fluxbase) -> None:
    rows = flux.secrets(7)
    added: list[UUID] = []

    def interfere() -> None:
        # Before and behind, in our own rows and in new ones.
        flux.rows(
            "UPDATE functions.secrets SET encrypted_value = %s WHERE id = ANY(%s)",
            seal(OLD, "back"),
            [rows[0], rows[6]],
        )
        added.append(flux.secret(seal(OLD, "added"), id=NIL))

    meddler = writer(flux, Step.COMMITTED, interfere)
    report = flux.run(observer=meddler)
    opened = flux.everything()
    assert opened[Spot(SECRETS, added[0], ())] == Opened((2,), b"added")
    assert opened[Spot(SECRETS, rows[0], ())] == Opened((2,), b"back")
    assert all(each.versions == (2,) for each in opened.values())
    counts = report.locations[SECRETS]
    assert (report.state, report.remaining) == ("completed", 0)
    assert (counts.moved, counts.re_encrypted, counts.updated) == (3, 9, 9)
    assert any("other writers" in message for message in meddler.told)


def test_what_is_written_after_our_write_and_before_our_commit_is_found_too(flux: Fluxbase) -> None:
    flux.secrets(4)
    row = flux.document("{}")
    change = "UPDATE platform.instance_settings SET settings = %s"
    meddler = writer(flux, Step.WRITTEN, lambda: flux.rows(change, json.dumps({"a": seal(OLD, "late")})))
    report = flux.run(observer=meddler)
    assert flux.everything()[Spot(DOCUMENTS, row, ("a",))] == Opened((2,), b"late")
    assert report.locations[DOCUMENTS].re_encrypted == 1


def test_a_value_damaged_behind_the_cursor_is_reported(flux: Fluxbase) -> None:
    rows = flux.secrets(4)
    damage = "UPDATE functions.secrets SET encrypted_value = 'damaged' WHERE id = %s"
    report = flux.run(observer=writer(flux, Step.COMMITTED, lambda: flux.rows(damage, rows[0])))
    assert report.state == "completed"
    assert spots(report) == {Spot(SECRETS, rows[0], ())}
    assert report.locations[SECRETS].undecryptable == 1
    assert report.exit_code == ExitCode.UNDECRYPTABLE_LEFT


def test_a_writer_that_never_stops_is_told_and_the_job_is_not_called_completed(flux: Fluxbase) -> None:
    row, *_ = flux.secrets(3)
    number = count()
    change = "UPDATE functions.secrets SET encrypted_value = %s WHERE id = %s"
    meddler = Watching(
        Step.COMMITTED,
        lambda: flux.rows(change, seal(OLD, f"{next(number)}"), row),
        table="functions.secrets",
        times=99,
    )
    report = flux.run(observer=meddler)
    assert report.state == "failed"
    assert report.remaining == 1
    assert report.exit_code == ExitCode.FAILED
    assert report.error is not None
    assert "another writer" in report.error
    assert flux.everything()[Spot(SECRETS, row, ())].versions == (1,)
    # Once it has stopped, the same command comes to the end.
    again = flux.run()
    assert (again.job, again.state, again.remaining) == (report.job, "completed", 0)
    assert all(each.versions == (2,) for each in flux.everything().values())


@pytest.mark.parametrize("batch", [1, 3])
def test_a_table_rewritten_during_the_job_hides_no_row(flux: Fluxbase, batch: int) -> None:
    flux.secrets(6)
    # What is deleted makes the others move to the front, behind the cursor.
    gone = flux.secrets(12, NEW)
    flux.secrets(12)
    before = {spot: each for spot, each in flux.everything().items() if spot.id not in gone}

    def rewrite() -> None:
        flux.rows("DELETE FROM functions.secrets WHERE id = ANY(%s)", gone)
        flux.rows("VACUUM FULL functions.secrets")

    meddler = Watching(
        Step.COMMITTED, lambda: rewrite() if batch in (1, meddler.steps(Step.COMMITTED)) else None, times=3
    )
    report = flux.run(observer=meddler, limits=Limits(rows=6, bytes=1 << 20))
    assert report.state == "completed"
    assert_all_moved(before, flux.everything())
    assert (report.locations[SECRETS].re_encrypted, report.locations[SECRETS].updated) == (18, 18)


# --- triggers that will not be quiet ------------------------------------------------------------------------------


def make_trigger(flux: Fluxbase, body: str) -> None:
    flux.rows(f"CREATE FUNCTION public.meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$")
    flux.rows(
        "CREATE TRIGGER meddle BEFORE UPDATE ON functions.secrets FOR EACH ROW EXECUTE FUNCTION public.meddle();"
        "ALTER TABLE functions.secrets ENABLE ALWAYS TRIGGER meddle"
    )


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("RETURN NULL;", id="refuses the update"),
        pytest.param("NEW.encrypted_value := OLD.encrypted_value; RETURN NEW;", id="puts the old value back"),
        pytest.param("IF NEW.description = 'held' THEN RETURN NULL; END IF; RETURN NEW;", id="refuses one row"),
    ],
)
def test_a_trigger_that_undoes_our_writing_is_never_called_success(flux: Fluxbase, body: str) -> None:
    rows = flux.secrets(3)
    flux.rows("UPDATE functions.secrets SET description = 'held' WHERE id = %s", rows[1])
    make_trigger(flux, body)
    report = flux.run(allow_triggers=True)
    left = sum(each.versions == (1,) for each in flux.everything().values())
    assert left in (1, 3)
    assert (report.state, report.remaining) == ("failed", left)
    assert report.exit_code == ExitCode.FAILED


def test_a_trigger_that_spoils_what_we_write_is_reported(flux: Fluxbase) -> None:
    rows = flux.secrets(3)
    make_trigger(flux, "NEW.encrypted_value := 'spoiled'; RETURN NEW;")
    report = flux.run(allow_triggers=True)
    assert spots(report) == {Spot(SECRETS, row, ()) for row in rows}
    assert report.exit_code != ExitCode.DONE


def test_a_trigger_that_seals_under_the_old_key_again_is_found(flux: Fluxbase) -> None:
    flux.secrets(2)
    back = seal(OLD, "from the trigger")
    make_trigger(flux, f"NEW.encrypted_value := '{back}'; RETURN NEW;")
    report = flux.run(allow_triggers=True)
    assert (report.state, report.remaining) == ("failed", 2)


def test_an_error_of_the_server_is_told_without_a_value(flux: Fluxbase) -> None:
    stored = seal(OLD, "a very secret plaintext")
    flux.secret(stored)
    flux.rows(f"ALTER TABLE functions.secrets ADD CHECK (encrypted_value = '{stored}')")
    report = flux.run()
    assert (report.state, report.exit_code) == ("failed", ExitCode.FAILED)
    assert report.error is not None
    assert "CheckViolation" in report.error
    told = f"{report}" + "".join(str(flux.rows(f"SELECT * FROM fluxbase_rotation.{name}")) for name in ("job", "event"))
    assert stored not in told
    assert "very secret" not in told
    assert flux.everything()[next(iter(flux.stored()))].versions == (1,)


# --- back again ---------------------------------------------------------------------------------------------------


def roll_back(flux: Fluxbase, **options: Any) -> JobReport:
    return flux.run(source=None, target=1, kind=JobKind.ROLLBACK, reason="New key compromised", **options)


@on_both_releases
def test_a_rollback_brings_everything_under_the_old_key_again(full: Fluxbase) -> None:
    before, dump = full.everything(), full.dump()
    full.run()
    report = roll_back(full)
    after = full.everything()
    assert (report.state, report.kind, report.reason) == ("completed", JobKind.ROLLBACK, "New key compromised")
    assert texts(after) == texts(before)
    assert all(set(after[spot].versions) == {1} for spot, was in before.items() if was.versions)
    assert full.dump() == dump
    assert spots(report) == full.bad
    total = sum(full.expected.values(), Counts())
    assert report.total.re_encrypted == report.total.updated == total.re_encrypted + total.already_current


def test_a_second_rollback_writes_nothing(full: Fluxbase) -> None:
    roll_back(full)
    places = full.places()
    report = roll_back(full)
    assert report.state == "completed"
    assert (report.total.updated, report.total.re_encrypted) == (0, 0)
    assert full.places() == places


def test_what_was_edited_under_the_new_key_survives_the_rollback(flux: Fluxbase) -> None:
    row, *_ = flux.secrets(3)
    flux.run()
    edited = seal(NEW, "edited since")
    flux.rows("UPDATE functions.secrets SET encrypted_value = %s, version = 2 WHERE id = %s", edited, row)
    roll_back(flux)
    assert flux.everything()[Spot(SECRETS, row, ())] == Opened((1,), b"edited since")
    assert flux.value("SELECT version FROM functions.secrets WHERE id = %s", row) == 2


def test_the_keys_may_be_swapped(flux: Fluxbase) -> None:
    flux.secrets(5)
    flux.secrets(5, NEW)
    report = flux.run(keys={1: NEW, 2: OLD})
    assert report.total == Counts(scanned=10, re_encrypted=5, updated=5, already_current=5)
    assert all(each.versions == (1,) for each in flux.everything(KEYS).values())
