"""`--run-name`: identical processes share one job, in any order: at the same time, again, or late."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from fluxbase_cli.engine.events import NullObserver
from fluxbase_cli.engine.goal import Goal
from fluxbase_cli.engine.prepare.prepare import prepare
from fluxbase_cli.engine.request import JobRequest
from fluxbase_cli.engine.run.job_run import JobRun
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.errors import ConfigurationError, ExitCode, JobRunningError
from fluxbase_cli.store.jobs import JobStore
from fluxbase_cli.store.records import JobKind
from tests.fixtures.fluxbase import KEYS, KEYS_OF_THREE, STRANGER, Fluxbase, Watching, ring_of, seal
from tests.integration.test_jobs import alive, state_of, stop_after, versions

_BACK: dict[str, Any] = {"source": None, "target": 1, "kind": JobKind.ROLLBACK, "reason": "why"}


def test_the_first_begins_and_one_that_starts_after_the_end_reports_the_job_and_writes_nothing(flux: Fluxbase) -> None:
    flux.secrets(6)
    flux.secret(seal(STRANGER, "x"))
    first = flux.run(run_name="a")
    later = flux.secrets(2)
    places = flux.places()

    late = flux.run(run_name="a")

    assert (late.job, late.state, late.exit_code) == (first.job, "completed", ExitCode.UNDECRYPTABLE_LEFT)
    assert (late.locations, late.quarantine, late.handled) == (first.locations, first.quarantine, 0)
    assert flux.places() == places
    # Another run is another job. It finds what is new since then.
    assert flux.run(run_name="b").job != first.job
    assert versions(flux) == [2] * (6 + len(later))


def test_a_process_that_starts_again_resumes_the_job(flux: Fluxbase) -> None:
    flux.secrets(9)
    stopped = stop_after(flux, 1, run_name="a")
    watching = Watching()
    report = flux.run(run_name="a", observer=watching)
    assert (report.job, report.state) == (stopped.job, "completed")
    assert watching.told[0] == f"Resuming job {stopped.job}: 33% done"


def test_a_process_that_starts_while_another_works_joins_it(flux: Fluxbase) -> None:
    flux.secrets(9)
    stopped = stop_after(flux, 1)
    watching = Watching()
    with alive(flux, stopped.job):
        report = flux.run(run_name="a", observer=watching)
    assert (report.job, report.state) == (stopped.job, "completed")
    assert watching.told[0] == f"Joining job {stopped.job}: 33% done"
    # The job began in another run, but this run has worked on it too.
    assert flux.run(run_name="a").job == stopped.job


def test_a_run_does_not_supersede_another_job_that_is_alive(flux: Fluxbase) -> None:
    flux.secrets(6)
    stopped = stop_after(flux, 1, run_name="a")
    with alive(flux, stopped.job), pytest.raises(JobRunningError):
        flux.run(run_name="b", **_BACK)
    assert state_of(flux, stopped.job) == "interrupted"
    assert flux.run(run_name="b", **_BACK).state == "completed"
    assert state_of(flux, stopped.job) == "superseded"


def test_a_run_whose_job_was_superseded_begins_no_other_job(flux: Fluxbase) -> None:
    """Otherwise a pod that starts again and again would undo the rollback."""
    flux.secrets(6)
    stopped = stop_after(flux, 1, run_name="a")
    flux.run(**_BACK)
    with pytest.raises(ConfigurationError, match=f"job {stopped.job} of the run a was superseded"):
        flux.run(run_name="a")
    assert versions(flux) == [1] * 6


def test_the_name_of_a_run_with_another_goal_or_other_keys_is_refused(flux: Fluxbase) -> None:
    flux.secrets(3)
    done = flux.run(run_name="a")
    with pytest.raises(ConfigurationError, match=f"the run a belongs to job {done.job}"):
        flux.run(run_name="a", source=None)
    with pytest.raises(ConfigurationError, match="other keys"):
        flux.run(run_name="a", keys=KEYS_OF_THREE)


def prepared_run(flux: Fluxbase, run_name: str) -> JobRun:
    ring = ring_of(KEYS)
    request = JobRequest(JobKind.RE_ENCRYPT, Goal(2, source=1), workers=1, run_name=run_name)
    return JobRun(flux.database, ring, prepare(flux.database, ring, request), stop=Stop(), observer=NullObserver())


def test_a_process_that_prepared_before_another_one_of_its_run_began_and_ended_finds_the_job_done(
    flux: Fluxbase,
) -> None:
    flux.secrets(6)
    second = prepared_run(flux, "a")
    first = flux.run(run_name="a")
    assert second.run().job == first.job
    assert flux.value("SELECT count(*) FROM fluxbase_rotation.job") == 1


def test_a_process_that_prepared_before_another_one_of_its_run_began_joins_it(flux: Fluxbase) -> None:
    flux.secrets(6)
    second = prepared_run(flux, "a")
    stopped = stop_after(flux, 1, run_name="a")
    with alive(flux, stopped.job):
        report = second.run()
    assert (report.job, report.state) == (stopped.job, "completed")
    assert versions(flux) == [2] * 6


def test_a_job_that_another_process_of_the_run_begins_between_two_looks_is_resumed(
    flux: Fluxbase, monkeypatch: pytest.MonkeyPatch
) -> None:
    flux.secrets(9)
    stopped = stop_after(flux, 1, run_name="a")
    look, looks = JobStore.unfinished, count(1)
    # What a look from before the commit of the other process saw.
    monkeypatch.setattr(JobStore, "unfinished", lambda store: None if next(looks) == 2 else look(store))
    watching = Watching()
    report = flux.run(run_name="a", observer=watching)
    assert (report.job, report.state) == (stopped.job, "completed")
    assert watching.told[0] == f"Resuming job {stopped.job}: 33% done"
