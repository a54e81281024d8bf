"""Who wins when others write during a re-encryption? The writers win, and the job finds what they wrote."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import count
from uuid import UUID

import pytest

from fluxbase_cli.counts import Counts
from fluxbase_cli.engine.events import Step
from fluxbase_cli.errors import ExitCode
from fluxbase_cli.store.limits import Limits
from tests.fixtures.comparing import assert_all_moved, spots
from tests.fixtures.fluxbase import (
    ACCESS,
    COLUMNS,
    DOCUMENTS,
    IDENTITY,
    NEW,
    NIL,
    OLD,
    REFRESH,
    SECRETS,
    Fluxbase,
    Opened,
    Spot,
    Watching,
    seal,
)


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


def test_a_value_damaged_between_our_read_and_our_write_is_reported_and_not_changed(flux: Fluxbase) -> None:
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


def test_a_change_or_deletion_before_their_batch_wins_for_rows_that_were_read_ahead(flux: Fluxbase) -> None:
    rows = flux.secrets(8)
    theirs = seal(NEW, "theirs")

    def interfere() -> None:
        flux.rows("UPDATE functions.secrets SET encrypted_value = %s WHERE id = %s", theirs, rows[5])
        flux.rows("DELETE FROM functions.secrets WHERE id = %s", rows[6])

    # All eight rows were read for the first batch of two.
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
    # The next read sees it. It is younger than the job, so it is left to the catch-up pass, which finds nothing to do.
    assert report.locations[SECRETS] == Counts(scanned=7, re_encrypted=7, updated=7)


def test_a_setting_that_moved_to_another_user_meanwhile_is_not_sealed_for_the_first_user(flux: Fluxbase) -> None:
    first, second = flux.user(), flux.user()
    row = flux.setting(seal(OLD, "1", first), first)
    change = "UPDATE app.settings SET user_id = %s, encrypted_value = %s WHERE id = %s"
    theirs = seal(OLD, "2", second)
    meddler = writer(flux, Step.READ, lambda: flux.rows(change, second, theirs, row), table="app.settings")
    flux.run(observer=meddler)
    assert flux.everything() == {Spot(COLUMNS[2], row, ()): Opened((2,), b"2")}


def test_a_second_token_of_the_row_that_changed_meanwhile_is_kept_and_both_are_done(flux: Fluxbase) -> None:
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
        # Before and behind the cursor, in existing rows and in new ones.
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


def test_a_writer_that_never_stops_is_reported_and_the_job_is_not_completed(flux: Fluxbase) -> None:
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
    # Once the writer has stopped, the same command completes the job.
    again = flux.run()
    assert (again.job, again.state, again.remaining) == (report.job, "completed", 0)
    assert all(each.versions == (2,) for each in flux.everything().values())


@pytest.mark.parametrize("batch", [1, 3])
def test_a_table_rewritten_during_the_job_hides_no_row(flux: Fluxbase, batch: int) -> None:
    flux.secrets(6)
    # After the deletion, the other rows move to the front, behind the cursor.
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
