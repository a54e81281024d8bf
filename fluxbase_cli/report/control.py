"""The control settings of a job, as `secrets pause`, `resume`, `stop` and `tune` show them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fluxbase_cli.counts import worded
from fluxbase_cli.engine.observe.control import ControlState, StopOutcome
from fluxbase_cli.engine.throttle.pacing import MaxLag
from fluxbase_cli.report.json_report import stop_fields
from fluxbase_cli.report.text import how_to_continue
from fluxbase_cli.store.records import JobControl, JobState


def control_data(state: ControlState) -> dict[str, Any]:
    """The control settings for programs. A setting that is not set is null."""
    orders = state.orders
    return {
        "job": state.job,
        "paused": orders.paused_at is not None,
        "paused_at": None if orders.paused_at is None else orders.paused_at.isoformat(),
        "paused_by": orders.paused_by,
        "reason": orders.pause_reason,
        "stopped": orders.stop is not None,
        **stop_fields(orders.stop),
        "max_rate": orders.max_rate_per_s,
        "batch_size": orders.batch_rows,
        "concurrency": orders.workers,
        "max_replica_lag_seconds": orders.max_lag_s,
        "max_replica_lag_bytes": orders.max_lag_bytes,
        "runners": state.runners,
    }


def control_lines(state: ControlState) -> Iterator[str]:
    """The control settings for people."""
    orders = state.orders
    if orders.stop is not None:
        yield f"Job {state.job} was {orders.stop}"
    if state.lifted is not None:
        yield f"Job {state.job} is not stopped any more"
    if orders.paused_at is not None:
        why = f": {orders.pause_reason}" if orders.pause_reason else ""
        yield f"Job {state.job} was paused by {orders.paused_by or 'somebody'}{why}"
    elif state.released:
        yield f"Job {state.job} is not paused any more"
    elif state.released is False and state.lifted is None:
        yield f"Job {state.job} was neither paused nor stopped; nothing was changed"
    yield from _limits(orders)
    if state.runners == 0:
        yield "No process works on it now; these settings apply to the next one"
        yield how_to_continue(state.command, stopped=orders.stop is not None)


def _limits(orders: JobControl) -> Iterator[str]:
    """What `secrets tune` sets."""
    if orders.max_rate_per_s is not None:
        yield f"At most {orders.max_rate_per_s:,.10g} secrets/s"
    if orders.batch_rows is not None:
        yield f"Batches of {worded(orders.batch_rows, 'row', 'rows')}"
    if orders.workers is not None:
        yield f"{worded(orders.workers, 'worker', 'workers')} in total"
    lag = MaxLag(orders.max_lag_s, orders.max_lag_bytes)
    if lag != MaxLag():
        yield f"Standbys may be {lag} behind"


def stop_data(outcome: StopOutcome) -> dict[str, Any]:
    """What became of a job that should stop, for programs."""
    # If its last runner was killed, the job is still recorded as running.
    killed = outcome.state is JobState.RUNNING and not outcome.left
    return {
        **control_data(outcome.control),
        "state": (JobState.INTERRUPTED if killed else outcome.state).value,
        "stopped": outcome.request is not None,
        **stop_fields(outcome.request),
        "runners_ended": outcome.ended,
    }


def stop_lines(outcome: StopOutcome) -> Iterator[str]:
    """What became of a job that should stop, for people."""
    job = outcome.control.job
    if outcome.state in {JobState.COMPLETED, JobState.SUPERSEDED}:
        yield f"Job {job} is {outcome.state.value}; it ended before the stop"
    elif outcome.request is None:
        yield f"Job {job} was resumed again by somebody else"
    else:
        yield f"Job {job} was {outcome.request}"
    if outcome.ended:
        yield f"{_runners(outcome.ended)} ended"
    elif not outcome.left:
        yield "No process was working on it"
    for runner in outcome.left:
        yield f"Not ended yet: {runner.host} (process {runner.pid}, {runner.os_user}, version {runner.version})"
    if outcome.left:
        yield f"Each ends when its batches in progress are written; `fluxbase-cli secrets status {job}` shows it"
    if outcome.request is not None:
        yield how_to_continue(outcome.control.command, stopped=True)


def _runners(number: int) -> str:
    return f"{number} {'runner' if number == 1 else 'runners'}"
