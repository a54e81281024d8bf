"""The control settings of a job, as `secrets pause`, `resume` and `tune` show them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fluxbase_cli.engine.observe.control import ControlState
from fluxbase_cli.engine.throttle.pacing import MaxLag


def control_data(state: ControlState) -> dict[str, Any]:
    """The control settings for programs. A setting that is not set is null."""
    orders = state.orders
    return {
        "job": state.job,
        "paused": orders.paused_at is not None,
        "paused_at": None if orders.paused_at is None else orders.paused_at.isoformat(),
        "paused_by": orders.paused_by,
        "reason": orders.pause_reason,
        "max_rate": orders.max_rate_per_s,
        "batch_size": orders.batch_rows,
        "max_replica_lag_seconds": orders.max_lag_s,
        "max_replica_lag_bytes": orders.max_lag_bytes,
        "runners": state.runners,
    }


def control_lines(state: ControlState) -> Iterator[str]:
    """The control settings for people."""
    orders = state.orders
    if orders.paused_at is not None:
        why = f": {orders.pause_reason}" if orders.pause_reason else ""
        yield f"Job {state.job} is paused by {orders.paused_by or 'somebody'}{why}"
    else:
        yield f"Job {state.job} is not paused"
    if orders.max_rate_per_s is not None:
        yield f"At most {orders.max_rate_per_s:,.10g} secrets/s"
    if orders.batch_rows is not None:
        yield f"Batches of {orders.batch_rows} rows"
    lag = MaxLag(orders.max_lag_s, orders.max_lag_bytes)
    if lag != MaxLag():
        yield f"Standbys may be {lag} behind"
    if state.runners == 0:
        yield "No process works on it now; these settings apply to the next one"
