"""`secrets stop`: which requests end a job before its first batch, and who may resume a stopped job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fluxbase_cli.engine.events import Event, NullObserver, PassStarted
from fluxbase_cli.engine.goal import Goal
from fluxbase_cli.engine.observe import control
from fluxbase_cli.engine.observe.status import job_details
from fluxbase_cli.engine.prepare.prepare import prepare
from fluxbase_cli.engine.request import JobRequest
from fluxbase_cli.engine.run.job_run import JobRun
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.errors import ConfigurationError, ExitCode, JobRunningError, JobStoppedError
from fluxbase_cli.store.records import JobKind, JobState
from fluxbase_cli.store.schema import latest_version
from tests.fixtures.fluxbase import KEYS, Fluxbase, Watching, ring_of
from tests.integration.test_jobs import alive, state_of, stop_after, versions

_BACK: dict[str, Any] = {"source": None, "target": 1, "kind": JobKind.ROLLBACK, "reason": "why"}
#: Requests of processes that may be started again automatically.
_OBEYING: tuple[dict[str, Any], ...] = ({"join": True}, {"run_name": "a"}, {"scheduled": True})


class _AtTheBegin:
    """An observer that acts once when the job is recorded, and no runner of this process is registered yet."""

    def __init__(self, action: Callable[[], object]) -> None:
        self._action = action
        self._acted = False

    def notify(self, event: Event) -> None:
        """Act at the first pass."""
        if isinstance(event, PassStarted) and not self._acted:
            self._acted = True
            self._action()


def _stop(flux: Fluxbase, reason: str | None = None) -> control.StopOutcome:
    return control.stop(flux.database, reason)


def _prepared(flux: Fluxbase, **options: Any) -> JobRun:
    ring = ring_of(KEYS)
    request = JobRequest(JobKind.RE_ENCRYPT, Goal(2, source=1), workers=1, **options)
    return JobRun(flux.database, ring, prepare(flux.database, ring, request), stop=Stop(), observer=NullObserver())


@pytest.mark.parametrize("options", [{}, {"run_name": "a"}])
def test_a_stop_between_the_begin_and_the_first_batch_is_obeyed(flux: Fluxbase, options: dict[str, Any]) -> None:
    flux.secrets(9)
    places = flux.places()

    report = flux.run(observer=_AtTheBegin(lambda: _stop(flux, "too early")), **options)

    assert (report.state, report.exit_code, report.handled) == ("interrupted", ExitCode.SIGINT, 0)
    assert report.stopped is not None
    assert report.stopped.reason == "too early"
    assert flux.places() == places
    assert state_of(flux, report.job) == "interrupted"


@pytest.mark.parametrize("options", [{}, {"join": True}, {"run_name": "a"}])
def test_a_stop_between_the_preparation_and_the_begin_is_obeyed(flux: Fluxbase, options: dict[str, Any]) -> None:
    flux.secrets(9)
    stop_after(flux, 1, run_name="a")
    run = _prepared(flux, **options)
    _stop(flux)
    places = flux.places()
    if options:
        with pytest.raises(JobStoppedError):
            run.run()
    else:
        assert run.run().state == "interrupted"
    assert flux.places() == places
    assert job_details(flux.database, 1).summary.job.stop is not None


def test_only_the_stop_that_was_there_at_the_preparation_is_lifted(flux: Fluxbase) -> None:
    flux.secrets(9)
    stop_after(flux, 1)
    _stop(flux, "first")
    run = _prepared(flux)
    _stop(flux, "second")

    report = run.run()

    assert report.stopped is not None
    assert (report.state, report.stopped.reason) == ("interrupted", "second")
    watching = Watching()
    again = flux.run(observer=watching)
    assert (again.job, again.state, again.stopped) == (report.job, "completed", None)
    assert [line for line in watching.told if ": second; it is not stopped any more" in line] != []
    assert versions(flux) == [2] * 9


@pytest.mark.parametrize("options", _OBEYING)
def test_a_process_that_may_start_automatically_does_not_resume_a_stopped_job(
    flux: Fluxbase, options: dict[str, Any]
) -> None:
    flux.secrets(9)
    stopped = stop_after(flux, 1)
    request = _stop(flux, "a sale").request
    with pytest.raises(JobStoppedError, match=f"^job {stopped.job} was {request}$") as caught:
        flux.run(**options)
    assert caught.value.exit_code == ExitCode.USAGE
    assert "`fluxbase-cli secrets resume`" in (caught.value.hint or "")
    assert versions(flux).count(2) == 3

    resumed = control.resume(flux.database)

    assert (resumed.lifted, resumed.orders.stop) == (request, None)
    assert control.resume(flux.database).lifted is None
    assert flux.run(**options).state == "completed"
    assert versions(flux) == [2] * 9


def test_while_the_processes_of_a_stopped_job_end_nobody_is_told_to_join_them(flux: Fluxbase) -> None:
    flux.secrets(9)
    stopped = stop_after(flux, 1)
    with alive(flux, stopped.job):
        _stop(flux, "a sale")
        with pytest.raises(JobRunningError) as caught:
            flux.run()
        assert "a sale. Its processes end within some seconds" in (caught.value.hint or "")
        assert "--join" not in (caught.value.hint or "")
        with pytest.raises(JobStoppedError):
            flux.run(join=True)


@pytest.mark.parametrize("options", [_BACK, {"restart": True}, _BACK | {"run_name": "b"}])
def test_a_stop_of_one_job_does_not_stop_the_next_one(flux: Fluxbase, options: dict[str, Any]) -> None:
    flux.secrets(9)
    first = stop_after(flux, 1)
    _stop(flux)

    second = flux.run(**options)

    assert (second.state, second.stopped) == ("completed", None)
    assert second.job != first.job
    assert state_of(flux, first.job) == "superseded"
    assert job_details(flux.database, first.job or 0).summary.job.stop is None


def test_a_job_that_ends_before_the_stop_is_recorded_is_not_stopped(
    flux: Fluxbase, monkeypatch: pytest.MonkeyPatch
) -> None:
    flux.secrets(3)
    stopped = stop_after(flux, 1)
    find = control._unfinished

    def find_and_lose(*arguments: Any) -> Any:
        found = find(*arguments)
        flux.run()
        return found

    monkeypatch.setattr(control, "_unfinished", find_and_lose)
    with pytest.raises(ConfigurationError, match="no unfinished job"):
        _stop(flux)
    assert flux.value("SELECT stopped_at FROM fluxbase_rotation.job WHERE id = %s", stopped.job) is None
    assert flux.value("SELECT count(*) FROM fluxbase_rotation.event WHERE what = 'stopped'") == 0


def test_the_wait_ends_with_the_last_runner_and_counts_them(flux: Fluxbase) -> None:
    flux.secrets(9)
    stopped = stop_after(flux, 1)
    with alive(flux, stopped.job):
        outcome = _stop(flux)
        assert (len(outcome.left), outcome.ended) == (1, 0)
        late = control.wait_for_end(flux.database, outcome, wait_s=0.3, interrupted=Stop())
        assert (len(late.left), late.ended) == (1, 0)
    done = control.wait_for_end(flux.database, late, wait_s=60.0, interrupted=Stop())
    assert (done.left, done.ended, done.state) == ((), 1, JobState.INTERRUPTED)


class _Waits(Stop):
    """A stop that acts at its second wait, and fails after many waits.

    Args:
        action: what to do.
    """

    def __init__(self, action: Callable[[], object] = lambda: None) -> None:
        super().__init__()
        self._action = action
        self._waits = 0

    def wait(self, seconds: float) -> bool:
        """Wait."""
        self._waits += 1
        assert self._waits < 100
        if self._waits == 2:
            self._action()
        return super().wait(seconds)


def test_the_wait_ends_when_the_last_runner_has_recorded_its_end(flux: Fluxbase) -> None:
    """Otherwise that record could fall into the next run, which may begin as soon as `secrets stop` has ended."""
    flux.secrets(9)
    stopped = stop_after(flux, 1)
    flux.rows("UPDATE fluxbase_rotation.job SET state = 'running'")
    with alive(flux, stopped.job):
        outcome = _stop(flux)

    waits = _Waits(lambda: flux.rows("UPDATE fluxbase_rotation.job SET state = 'interrupted'"))
    done = control.wait_for_end(flux.database, outcome, wait_s=3600.0, interrupted=waits)

    assert (done.left, done.state) == ((), JobState.INTERRUPTED)


def test_the_wait_for_a_killed_runner_ends(flux: Fluxbase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "_RECORD_S", 0.5)
    flux.secrets(9)
    stopped = stop_after(flux, 1)
    flux.rows("UPDATE fluxbase_rotation.job SET state = 'running'")
    with alive(flux, stopped.job):
        outcome = _stop(flux)

    done = control.wait_for_end(flux.database, outcome, wait_s=3600.0, interrupted=_Waits())

    assert (done.left, done.ended, done.state) == ((), 1, JobState.RUNNING)


@pytest.mark.parametrize("then", ["completed", "resumed"])
def test_the_wait_ends_when_the_job_needs_no_stop_any_more(flux: Fluxbase, then: str) -> None:
    flux.secrets(9)
    stopped = stop_after(flux, 1)
    with alive(flux, stopped.job):
        outcome = _stop(flux)
        if then == "completed":
            flux.rows("UPDATE fluxbase_rotation.job SET state = 'completed', finished_at = now()")
        else:
            control.resume(flux.database)
        ended = control.wait_for_end(flux.database, outcome, wait_s=3600.0, interrupted=_Waits())
    assert (ended.request, len(ended.left)) == (None, 1)
    assert ended.state is (JobState.COMPLETED if then == "completed" else JobState.INTERRUPTED)


def test_tables_of_an_earlier_version_get_the_columns_by_a_stop_and_are_shown_without_them(flux: Fluxbase) -> None:
    flux.secrets(9)
    stopped = stop_after(flux, 1)
    flux.rows(
        "ALTER TABLE fluxbase_rotation.job DROP COLUMN stopped_at, DROP COLUMN stopped_by, DROP COLUMN stop_reason"
    )
    flux.rows("COMMENT ON SCHEMA fluxbase_rotation IS 'fluxbase-cli: progress of key rotations, version 5'")
    assert job_details(flux.database, stopped.job or 0).summary.job.stop is None
    prepared = _prepared(flux, join=True)

    assert _stop(flux).request is not None

    assert flux.value("SELECT obj_description('fluxbase_rotation'::regnamespace)").endswith(
        f"version {latest_version()}"
    )
    with pytest.raises(JobStoppedError):
        prepared.run()
