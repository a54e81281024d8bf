"""A year of rotations on a clock that the test sets, with real PostgreSQL, real OpenBao and a real webhook."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

from tests.fixtures.fluxbase import Fluxbase
from tests.fixtures.rotating import Calendar, Rotating


def _first_of_next_month(moment: datetime) -> datetime:
    return (moment.replace(day=1) + timedelta(days=32)).replace(day=1, hour=2, minute=0, second=0, microsecond=0)


def test_a_year_of_schedules_loses_nothing_and_keeps_two_old_keys(rotating: Rotating) -> None:
    rotating.change("enabled: true", "enabled: true\n      min_age: 7d")
    flux = Fluxbase(rotating.rotation.url)
    plaintexts = {spot: opened.text for spot, opened in flux.everything(rotating.keys()).items() if opened.versions}
    assert len(plaintexts) == 40
    calendar = Calendar(rotating)
    # The first rotation is due because nothing is recorded yet.
    calendar.now = _first_of_next_month(calendar.now) + timedelta(hours=5)

    for number in range(1, 13):
        report = calendar.run()
        assert (report.state, report.to_version, report.re_encrypted) == ("finished", number + 1, 40)
        assert report.by_version[number + 1] == 40
        date = _first_of_next_month(calendar.now)
        calendar.now = date - timedelta(seconds=1)
        assert calendar.run().state == "not-due"
        if number in (4, 7):
            # Nothing runs on the first date, nor on the next one: one rotation makes up for both.
            date = _first_of_next_month(date)
        calendar.now = date + timedelta(hours=number)
    calendar.now = calendar.now.replace(day=1, hour=1) - timedelta(days=1)
    assert calendar.run().state == "not-due"

    keys = rotating.keys()
    assert set(keys) == {11, 12, 13}
    after = flux.everything(keys)
    assert {spot: after[spot].text for spot in plaintexts} == plaintexts
    assert {after[spot].versions for spot in plaintexts} == {(13,)}
    assert (rotating.directory / "reloads").read_text() == "x\n" * 12
    destroyed = rotating.rows(
        "SELECT k.version, e.detail -> 'census' FROM fluxbase_keys.event AS e"
        " JOIN fluxbase_keys.key AS k ON k.id = e.key WHERE e.what = 'key-destroyed' ORDER BY e.id"
    )
    assert [version for version, _ in destroyed] == list(range(1, 11))
    told = [request.verify() for request in rotating.endpoint.requests]
    assert len({each["id"] for each in told}) == len(told)
    assert Counter(each["type"] for each in told) == {
        "rotation.started": 12,
        "rotation.finished": 12,
        "key.disabled": 10,
        "key.destroyed": 10,
    }
    assert rotating.rows("SELECT count(*) FROM fluxbase_rotation.rotation_notice WHERE ended_at IS NULL") == [(0,)]
    for _, censuses in destroyed:
        assert censuses
        assert all(not census["found"] and not census["undecryptable"] for census in censuses), censuses
