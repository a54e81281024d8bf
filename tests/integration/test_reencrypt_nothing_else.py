"""Does a re-encryption leave everything else exactly as it was, and fire no trigger?"""

from __future__ import annotations

import re

import pytest

from fluxbase_cli.counts import Counts
from fluxbase_cli.errors import ExitCode
from fluxbase_cli.store.limits import Limits
from tests.fixtures.comparing import assert_all_moved, spots
from tests.fixtures.embedded import on_both_releases
from tests.fixtures.fluxbase import DOCUMENTS, KEYS_OF_THREE, OLD, SECRETS, THIRD, Fluxbase, Opened, Spot, seal

WAYS = [
    pytest.param(Limits(rows=1, bytes=1 << 20), 1, id="a row a batch"),
    pytest.param(Limits(rows=3, bytes=1 << 20), 3, id="three rows a batch, three workers"),
    pytest.param(Limits(rows=1000, bytes=200), 2, id="200 bytes a batch"),
    pytest.param(Limits(rows=1000, bytes=1 << 21), 4, id="as by default"),
]


@on_both_releases
@pytest.mark.parametrize(("limits", "workers"), WAYS)
def test_every_value_opens_under_the_new_key_and_everything_else_is_as_before(
    full: Fluxbase, limits: Limits, workers: int
) -> None:
    before, stored, dump = full.everything(), full.stored(), full.dump()
    report = full.run(limits=limits, workers=workers)
    assert (report.state, report.remaining) == ("completed", 0)
    assert report.exit_code == ExitCode.UNDECRYPTABLE_LEFT
    assert_all_moved(before, full.everything())
    assert full.dump() == dump
    # What was not under the old key is exactly the same: new values, plaintext, and undecryptable values.
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
    # No transaction id was used: our query gets the next one.
    assert int(full.value("SELECT pg_current_xact_id()")) == int(transactions) + 1
    assert (report.state, report.job, report.exit_code) == ("dry-run", None, ExitCode.UNDECRYPTABLE_LEFT)
    expected = {
        location: Counts.from_dict(counts.as_dict() | {"updated": 0}) for location, counts in full.expected.items()
    }
    assert {location: report.locations[location] for location in full.columns} == expected
    assert report.remaining == report.total.re_encrypted
    assert spots(report) == full.bad


def test_values_under_other_versions_than_the_source_stay_exactly_as_they_are(flux: Fluxbase) -> None:
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


def test_numbers_in_documents_stay_exactly_as_they_are(flux: Fluxbase) -> None:
    written = '{"a": "%s", "n": [587, 1.10, 1E+3, 1e400, -0.0, 0.10000000000000000000000000000000000000000001]}'
    row = flux.document(written % seal(OLD, "x"))
    before = flux.value("SELECT settings->>'n' FROM platform.instance_settings WHERE id = %s", row)
    assert "1.10" in before
    flux.run()
    assert flux.value("SELECT settings->>'n' FROM platform.instance_settings WHERE id = %s", row) == before
    assert flux.everything()[Spot(DOCUMENTS, row, ("a",))] == Opened((2,), b"x")


@on_both_releases
def test_the_triggers_for_updated_at_and_webhooks_do_not_fire(full: Fluxbase) -> None:
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
    # They do fire for others, so this test could fail.
    full.rows("UPDATE auth.users SET totp_secret = totp_secret WHERE totp_secret LIKE '____%%'")
    assert full.value("SELECT count(*) FROM auth.webhook_events") > events
