"""The pace of a job, and how it is shown."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from fluxbase_cli.counts import Counts
from fluxbase_cli.engine.observe.status import JobDetails, JobSummary, LocationProgress, Pace
from fluxbase_cli.engine.observe.watch import paced
from fluxbase_cli.moments import span
from fluxbase_cli.report.status import details_data, details_lines, headline
from fluxbase_cli.store.quarantine import Quarantine
from fluxbase_cli.store.records import Event, Job, JobKind, JobState

_BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
_JOB = Job(
    id=7,
    kind=JobKind.RE_ENCRYPT,
    state=JobState.RUNNING,
    from_version=1,
    to_version=2,
    reason=None,
    fingerprints={},
    catalogue="",
    pass_number=0,
    began=0,
    horizon=0,
    news_from=None,
    storage=(),
    full_census=False,
    total_rows=1000,
    remaining=None,
    error=None,
    created_at=_BEGUN,
    finished_at=None,
)


def _details(seconds: float, rows: int, *, alive: bool = True, pace: Pace | None = None) -> JobDetails:
    counts = Counts(scanned=2 * rows)
    return JobDetails(
        summary=JobSummary(_JOB, counts, rows, rows // 10, alive, pace),
        locations={"auth.users.totp_secret": LocationProgress(counts, rows, rows // 10, done=False)},
        runners=(),
        quarantine=Quarantine(),
        events=(),
        now=_BEGUN + timedelta(seconds=seconds),
    )


def test_two_readings_give_the_rate_and_the_time_left() -> None:
    later = paced(_details(0, 100), _details(10, 600))

    assert later.summary.pace == Pace(rate_per_s=100.0, eta_s=8.0)
    assert later.locations["auth.users.totp_secret"].rate_per_s == 100.0
    assert headline(later) == "Job 7: re-encrypt, version 1 to 2, running, 60% done, 100 secrets/s, 8s left"
    assert details_data(later)["eta_seconds"] == 8.0


def test_one_reading_keeps_the_rate_since_the_job_was_resumed() -> None:
    first = _details(5, 100, pace=Pace(40.0, 22.5))

    assert paced(first, first) == first


def test_a_job_without_a_runner_or_without_progress_has_no_expected_end() -> None:
    assert paced(_details(0, 100), _details(10, 100, alive=False)).summary.pace is None
    assert paced(_details(0, 100), _details(10, 100)).summary.pace == Pace(0.0, None)


def test_a_job_that_has_ended_has_no_rate_even_while_a_runner_is_still_ending() -> None:
    details = _details(10, 1000)
    ended = replace(details, summary=replace(details.summary, job=replace(_JOB, state=JobState.COMPLETED)))

    assert paced(_details(0, 100), ended) == ended


def test_in_a_catch_up_pass_no_time_left_is_shown() -> None:
    details = _details(10, 1000, pace=Pace(100.0, None))
    catching_up = replace(details, summary=replace(details.summary, job=replace(_JOB, pass_number=2)))

    assert headline(catching_up).endswith("100 secrets/s, catch-up pass 2")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0s"), (59.4, "59s"), (59.6, "1m 00s"), (200, "3m 20s"), (7500, "2h 05m")]
)
def test_a_time_is_shown_in_units_that_people_use(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_the_end_of_a_pause_is_told_by_the_command_that_ended_it() -> None:
    event = Event(_BEGUN, 7, "postgres", "root", "vm", "released", None, {})

    lines = list(details_lines(replace(_details(10, 100), events=(event,))))

    assert "2026-01-01 00:00:00 UTC  `secrets resume` by root on vm (as postgres)" in lines
