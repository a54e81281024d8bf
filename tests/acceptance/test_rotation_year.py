"""A year of rotations on a clock of the test's, with real PostgreSQL, real OpenBao and a real webhook."""

from __future__ import annotations

import os
from collections import Counter
from datetime import UTC, datetime, timedelta

from fluxbase_cli.config import Settings, load_settings
from fluxbase_cli.rotation.outcome import RotationReport
from fluxbase_cli.rotation.run import Rotator, Surroundings
from tests.fixtures.fluxbase import Fluxbase
from tests.fixtures.rotating import Rotating


class Calendar:
    """Runs the rotation at the moments that the test says."""

    def __init__(self, rotating: Rotating) -> None:
        self._rotating = rotating
        self.now = datetime.now(UTC)
        self.warnings: list[str] = []

    def _load(self) -> Settings:
        here = self._rotating.directory
        return load_settings(directory=here, environ=self._rotating.environment(), system_directory=here / "etc")

    def run(self) -> RotationReport:
        around = Surroundings(
            load=self._load,
            environ={"PATH": os.environ["PATH"], **self._rotating.environment()},
            tell=lambda _text: None,
            warn=self.warnings.append,
            clock=lambda: self.now,
            workers=1,
        )
        return Rotator(around).run()


def _first_of_next_month(moment: datetime) -> datetime:
    return (moment.replace(day=1) + timedelta(days=32)).replace(day=1, hour=2, minute=0, second=0, microsecond=0)


def test_a_year_of_schedules_loses_nothing_and_keeps_two_old_keys(rotating: Rotating) -> None:
    rotating.change(
        '["sh", "-c", "echo reloaded >> reloads"]', f'["sh", "-c", "echo x >> {rotating.directory}/reloads"]'
    )
    rotating.change("enabled: true", "enabled: true\n      min_age: 7d")
    flux = Fluxbase(rotating.rotation.url)
    plaintexts = {spot: opened.text for spot, opened in flux.everything(rotating.keys()).items() if opened.versions}
    assert len(plaintexts) == 40
    calendar = Calendar(rotating)
    # The first is due because nothing is recorded yet.
    calendar.now = _first_of_next_month(calendar.now) + timedelta(hours=5)

    for number in range(1, 13):
        report = calendar.run()
        assert (report.state, report.to_version, report.re_encrypted) == ("finished", number + 1, 40)
        assert report.by_version[number + 1] == 40
        date = _first_of_next_month(calendar.now)
        calendar.now = date - timedelta(seconds=1)
        assert calendar.run().state == "not-due"
        if number in (4, 7):
            # Nobody is there on the first, nor on the first after it: both are made good by one rotation.
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
        "SELECT (detail ->> 'version')::int, detail -> 'census' FROM fluxbase_rotation.event"
        " WHERE what = 'key-destroyed' ORDER BY id"
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
