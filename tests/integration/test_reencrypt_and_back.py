"""Does a rollback move everything back under the old key, with the values that were edited since?"""

from __future__ import annotations

from typing import Any

from fluxbase_cli.counts import Counts
from fluxbase_cli.engine.outcome import JobReport
from fluxbase_cli.store.records import JobKind
from tests.fixtures.comparing import spots, texts
from tests.fixtures.embedded import on_both_releases
from tests.fixtures.fluxbase import NEW, SECRETS, Fluxbase, Opened, Spot, seal


def roll_back(flux: Fluxbase, **options: Any) -> JobReport:
    return flux.run(source=None, target=1, kind=JobKind.ROLLBACK, reason="New key compromised", **options)


@on_both_releases
def test_a_rollback_moves_everything_back_under_the_old_key(full: Fluxbase) -> None:
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
