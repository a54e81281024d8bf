"""How a runner obeys job control and waits for standbys, without a database: why it waits, and what it reports."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from fluxbase_cli.engine.events import Event, Message, Waiting
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.engine.throttle.pacing import ReplicaLag
from fluxbase_cli.engine.throttle.throttler import BatchPolicy, Throttler
from fluxbase_cli.store.limits import Limits
from fluxbase_cli.store.records import JobControl

_MOST = Limits(rows=1000, bytes=1 << 20)
_PAUSED = JobControl(paused_at=datetime(2026, 1, 1, tzinfo=UTC), paused_by="ann on db1", pause_reason="a sale")

_STOP: dict[str, Any] = {
    "stopped_at": datetime(2026, 1, 1, tzinfo=UTC),
    "stopped_by": "ann on db1",
    "stop_reason": "a sale",
}
_STOPPED = JobControl(**_STOP)


class _Stage(Stop):
    """A stop whose waits end at once and move the clock; also an observer that keeps all events."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.until = float("inf")
        self.events: list[Event] = []

    def __call__(self) -> float:
        return self.now

    def notify(self, event: Event) -> None:
        self.events.append(event)

    def wait(self, seconds: float) -> bool:
        self.now += seconds
        if self.now >= self.until:
            self.request()
        return self.requested

    @property
    def waits(self) -> list[str]:
        return [event.reason for event in self.events if isinstance(event, Waiting)]

    @property
    def messages(self) -> list[str]:
        return [event.message for event in self.events if isinstance(event, Message)]


@pytest.fixture
def stage() -> _Stage:
    return _Stage()


@pytest.fixture
def throttler(stage: _Stage) -> Throttler:
    return Throttler(7, 4, BatchPolicy(1000, 0.1), stop=stage, observer=stage, clock=stage)


def test_without_job_control_a_batch_begins_at_once_and_nothing_is_reported(
    stage: _Stage, throttler: Throttler
) -> None:
    throttler.take(JobControl(), None)
    assert throttler.wait_for_turn()
    assert throttler.limits("functions.secrets", _MOST) == _MOST
    assert (stage.now, stage.events) == (1000.0, [])


def test_a_pause_is_reported_once_a_minute_and_its_end_once(stage: _Stage, throttler: Throttler) -> None:
    throttler.take(_PAUSED, None)
    stage.until = stage.now + 150
    assert not throttler.wait_for_turn()
    assert stage.waits == ["the job was paused by ann on db1 (a sale); `fluxbase-cli secrets resume` lets it go on"] * 3
    assert all(event.paused for event in stage.events if isinstance(event, Waiting))
    throttler.take(JobControl(), None)
    throttler.take(JobControl(), None)
    assert stage.messages == ["going on"]


@pytest.mark.parametrize("control", [_STOPPED, replace(_PAUSED, **_STOP)])
def test_a_stopped_job_begins_no_batch_and_says_once_by_whom_and_why(
    stage: _Stage, throttler: Throttler, control: JobControl
) -> None:
    throttler.take(control, None)
    throttler.take(control, None)
    assert not throttler.wait_for_turn()
    assert stage.now == 1000.0
    assert stage.order == control.stop
    assert stage.messages == [
        "Stopped by ann on db1: a sale",
        "Finishing the batches in progress (Ctrl-C stops at once)…",
    ]


def test_a_stop_after_a_signal_keeps_the_signal(stage: _Stage, throttler: Throttler) -> None:
    stage.request(15)
    throttler.take(_STOPPED, None)
    assert (stage.signal, stage.order) == (15, _STOPPED.stop)


def test_a_pause_that_stopped_no_batch_is_not_reported(stage: _Stage, throttler: Throttler) -> None:
    throttler.take(_PAUSED, None)
    throttler.take(JobControl(), None)
    assert stage.events == []


def test_the_standby_that_is_furthest_behind_is_named(stage: _Stage, throttler: Throttler) -> None:
    control = JobControl(max_lag_s=10.0)
    throttler.take(
        control, [ReplicaLag("near", 3.0, 10), ReplicaLag("far", 30.0, 2048), ReplicaLag("late", 12.0, 10**9)]
    )
    stage.until = stage.now + 1
    assert not throttler.wait_for_turn()
    assert stage.waits == ["standby far is 30.0s and 2 kB behind; it may be 10s (--max-replica-lag)"]
    assert not any(event.paused for event in stage.events if isinstance(event, Waiting))


def test_standbys_within_the_limit_cause_no_wait(stage: _Stage, throttler: Throttler) -> None:
    throttler.take(JobControl(max_lag_s=10.0, max_lag_bytes=1024), [ReplicaLag("near", 3.0, 10)])
    assert throttler.wait_for_turn()
    assert stage.waits == []


def test_a_rate_is_shared_and_batches_are_small_enough_to_keep_it_in_every_second(
    stage: _Stage, throttler: Throttler
) -> None:
    throttler.take(JobControl(max_rate_per_s=1000.0, runners=2), None)
    assert stage.messages == ["at most 500 secrets/s, its share of 1,000/s for 2 runners (--max-rate)"]
    assert throttler.limits("functions.secrets", _MOST).rows == 125
    began = stage.now
    for _ in range(40):
        assert throttler.wait_for_turn()
        throttler.done("functions.secrets", rows=125, values=125, seconds=0.01)
    assert throttler.wait_for_turn()
    assert stage.now - began == pytest.approx(10.0, abs=0.5)


def test_a_tuned_size_overrides_the_runners_size_until_it_is_removed(stage: _Stage, throttler: Throttler) -> None:
    throttler.take(JobControl(batch_rows=50), None)
    assert throttler.limits("functions.secrets", _MOST).rows == 50
    throttler.take(JobControl(), None)
    assert throttler.limits("functions.secrets", _MOST).rows == 1000
    assert stage.messages == ["batches of 50 rows, as `secrets tune` asks"]


def test_a_tuned_size_never_exceeds_what_a_kind_of_table_allows(throttler: Throttler) -> None:
    throttler.take(JobControl(batch_rows=5000), None)
    assert throttler.limits("platform.instance_settings", replace(_MOST, rows=100)).rows == 100


def test_a_lock_conflict_is_reported_and_affects_one_table(stage: _Stage, throttler: Throttler) -> None:
    throttler.on_lock_conflict("auth.users")
    assert throttler.limits("auth.users", _MOST).rows == 500
    assert throttler.limits("functions.secrets", _MOST).rows == 1000
    assert stage.messages == ["other sessions hold rows of auth.users: batches of 500 rows for a while"]


def test_the_workers_of_a_job_are_divided_among_its_runners(stage: _Stage, throttler: Throttler) -> None:
    assert throttler.workers == 4
    throttler.take(JobControl(workers=3, runners=2, place=1), None)
    assert throttler.workers == 1
    throttler.take(JobControl(workers=3, runners=2, place=0), None)
    assert throttler.workers == 2
    throttler.take(JobControl(workers=1, runners=2, place=1), None)
    assert throttler.workers == 0
    throttler.take(JobControl(workers=1, runners=1), None)
    assert throttler.workers == 1
    throttler.take(JobControl(), None)
    assert throttler.workers == 4
    assert stage.messages == [
        "3 workers in 2 processes, 1 of them in this one, as `secrets tune` asks",
        "1 worker in 2 processes, 0 of them in this one, as `secrets tune` asks",
        "4 workers, as this process was started with",
    ]


def test_runners_without_workers_get_no_part_of_the_rate(throttler: Throttler) -> None:
    throttler.take(JobControl(workers=1, runners=4, max_rate_per_s=100.0), None)
    assert throttler.limits("functions.secrets", _MOST).rows == 100
