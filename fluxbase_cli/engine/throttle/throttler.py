"""Throttles a runner: pauses or stops it, limits its rate, makes it wait for standbys, and sets its batch size.

The heartbeat reads the control settings from the database once a second. Workers look at its result before each batch,
so they need no round trip for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from fluxbase_cli.counts import worded
from fluxbase_cli.engine.events import Message, Observer, Waiting
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.engine.throttle.pacing import (
    TARGET_BATCH_S,
    BatchSize,
    CheckpointMonitor,
    Clock,
    LagEstimator,
    MaxLag,
    RateLimiter,
    ReplicaLag,
    in_bytes,
)
from fluxbase_cli.log_events import LogEvent
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.jobs import JobStore
from fluxbase_cli.store.limits import Limits
from fluxbase_cli.store.records import JobControl
from fluxbase_cli.store.samples import WaitCause
from fluxbase_cli.store.server_load import Standby, checkpoints, standbys

#: How long a waiting worker sleeps before it looks again, in seconds.
_LOOK_S = 0.1
#: How often the same wait is reported to the operator, in seconds.
_REPORT_AGAIN_S = 60.0


@dataclass(frozen=True, slots=True)
class BatchPolicy:
    """The batch settings with which a runner was started. The job's control settings override them.

    Attributes:
        rows: the most rows that a batch may hold.
        batch_s: how long a batch's transaction should take at most, in seconds; None keeps the size as it is.
    """

    rows: int
    batch_s: float | None = TARGET_BATCH_S


@dataclass(slots=True)
class _Wait:
    """What the runner waits for, and when that was last reported."""

    reason: str
    reported_at: float


@dataclass(slots=True)
class _Sizes:
    """The batch size of each relation, valid as long as the policy is this one."""

    policy: BatchPolicy
    relations: dict[str, BatchSize] = field(default_factory=dict)


class Throttler:
    """Decides when a batch may begin. One for each runner, shared by its threads.

    Args:
        job: the job's number.
        workers: how many workers the runner was started with.
        policy: the batch settings with which the runner was started.
        stop: ends every wait; is requested when an operator stops the job.
        observer: gets an event that says what is waited for.
        clock: returns the time in seconds.
        runner: the runner's number.
    """

    def __init__(  # noqa: PLR0913  # all that throttling depends on
        self,
        job: int,
        workers: int,
        policy: BatchPolicy,
        *,
        stop: Stop,
        observer: Observer,
        clock: Clock = time.monotonic,
        runner: int = 0,
    ) -> None:
        self._job = job
        self._runner = runner
        self._own_workers = workers
        self._workers = workers
        self._policy = policy
        self._stop = stop
        self._observer = observer
        self._clock = clock
        self._lock = threading.Lock()
        self._control = JobControl()
        self._blocked_by: str | None = None
        self._wait: _Wait | None = None
        self._rate_limiter = RateLimiter(clock)
        self._share_per_s: float | None = None
        self._sizes = _Sizes(policy)
        self._lag_estimator = LagEstimator()
        self._standbys: frozenset[str] | None = None
        self._checkpoints = CheckpointMonitor()

    # --- called by the heartbeat ----------------------------------------------------------------------------------

    def look(self, connection: Connection) -> None:
        """Read the control settings of the job, and the lag of the standbys.

        Raises:
            psycopg.Error: the settings from before stay valid.
        """
        control = JobStore(connection).control(self._job, self._runner)
        watched = MaxLag(control.max_lag_s, control.max_lag_bytes)
        found = standbys(connection) if watched != MaxLag() else None
        self.take(control, None if found is None else self._behind(found))

    def check_wal(self, connection: Connection) -> None:
        """Check whether the server makes checkpoints too often.

        Raises:
            psycopg.Error: there is no message then.
        """
        warning = self._checkpoints.note(self._clock(), *checkpoints(connection))
        if warning is not None:
            self._observer.notify(Message(LogEvent.JOB_CHECKPOINTS, warning, warning=True))

    def take(self, control: JobControl, behind: Sequence[ReplicaLag] | None) -> None:
        """Apply new control settings.

        Args:
            control: the control settings of the job.
            behind: how far each standby is behind; None if there is no limit for that.
        """
        if control.stop is not None and self._stop.order is None:
            self._stop.request(order=control.stop)
            self._observer.notify(Message(LogEvent.JOB_STOP_REQUESTED, control.stop.sentence))
            self._observer.notify(
                Message(LogEvent.JOB_STOP_REQUESTED, "Finishing the batches in progress (Ctrl-C stops at once)…")
            )
        with self._lock:
            self._set_workers(control)
            self._control = control
            self._set_rate(control)
            self._set_size(control)
            self._blocked_by = self._reason(control, behind)
            if self._blocked_by is None and self._wait is not None:
                self._wait = None
                self._observer.notify(Message(LogEvent.JOB_CONTINUED, "going on"))

    def _behind(self, found: Sequence[Standby]) -> list[ReplicaLag]:
        now = self._clock()
        names = frozenset(standby.name for standby in found)
        if self._standbys is None and not found:
            self._observer.notify(
                Message(LogEvent.JOB_STANDBY, "no standby is connected, so there is no lag to watch", warning=True)
            )
        for name in sorted((self._standbys or frozenset()) - names):
            self._observer.notify(
                Message(
                    LogEvent.JOB_STANDBY,
                    f"standby {name} is not connected any more, so its lag is not watched: start it again",
                    warning=True,
                )
            )
        if any(standby.hidden for standby in found) and self._standbys is None:
            self._observer.notify(
                Message(
                    LogEvent.JOB_STANDBY,
                    "this role may not see how far standbys are: grant it pg_monitor",
                    warning=True,
                )
            )
        self._standbys = names
        behind = []
        for standby in found:
            self._lag_estimator.note(now, standby.written)
            if standby.replayed is not None:
                seconds = self._lag_estimator.seconds_behind(now, standby.replayed)
                size = max(0, standby.written - standby.replayed)
                # PostgreSQL's figure does not change when nothing is written any more. Then the standby lacks nothing.
                known = standby.lag_s or 0.0 if size else 0.0
                behind.append(ReplicaLag(standby.name, max(seconds, known), size))
        return behind

    @staticmethod
    def _reason(control: JobControl, behind: Sequence[ReplicaLag] | None) -> str | None:
        if control.paused_at is not None:
            why = f" ({control.pause_reason})" if control.pause_reason else ""
            return (
                f"the job was paused by {control.paused_by or 'somebody'}{why}; "
                "`fluxbase-cli secrets resume` lets it go on"
            )
        most = MaxLag(control.max_lag_s, control.max_lag_bytes)
        late = [standby for standby in behind or () if standby.exceeds(most)]
        if not late:
            return None
        worst = max(late, key=lambda standby: (standby.seconds, standby.size))
        return (
            f"standby {worst.name} is {worst.seconds:.1f}s and {in_bytes(worst.size)} behind; "
            f"it may be {most} (--max-replica-lag)"
        )

    def _set_workers(self, control: JobControl) -> None:
        here = control.workers_here
        self._workers = self._own_workers if here is None else here
        if control.workers == self._control.workers:
            return
        if control.workers is None:
            told = f"{_workers(self._workers)}, as this process was started with"
        else:
            of = "" if control.runners <= 1 else f" in {control.runners} processes, {self._workers} of them in this one"
            told = f"{_workers(control.workers)}{of}, as `secrets tune` asks"
        self._observer.notify(Message(LogEvent.JOB_WORKERS, told))

    def _set_rate(self, control: JobControl) -> None:
        # A runner without workers writes nothing, so the others share the rate.
        sharing = max(1, min(control.runners, control.workers or control.runners))
        share = None if control.max_rate_per_s is None else control.max_rate_per_s / sharing
        if share == self._share_per_s:
            return
        self._share_per_s = share
        self._rate_limiter.limit(share)
        if share is None:
            self._observer.notify(Message(LogEvent.JOB_RATE, "no rate limit from now on"))
            return
        of = "" if sharing <= 1 else f", its share of {control.max_rate_per_s:,.10g}/s for {sharing} runners"
        self._observer.notify(Message(LogEvent.JOB_RATE, f"at most {share:,.10g} secrets/s{of} (--max-rate)"))

    def _set_size(self, control: JobControl) -> None:
        policy = self._policy if control.batch_rows is None else BatchPolicy(control.batch_rows, None)
        if policy == self._sizes.policy:
            return
        self._sizes = _Sizes(policy)
        if control.batch_rows is not None:
            self._observer.notify(
                Message(
                    LogEvent.JOB_BATCH_SIZE,
                    f"batches of {worded(control.batch_rows, 'row', 'rows')}, as `secrets tune` asks",
                )
            )

    # --- called by the workers ------------------------------------------------------------------------------------

    @property
    def paused(self) -> bool:
        """Whether an operator has paused the job."""
        return self._control.paused_at is not None

    @property
    def running(self) -> bool:
        """Whether the job has not ended."""
        return self._control.running

    @property
    def workers(self) -> int:
        """How many workers this runner should have now; 0 if others do all of the work."""
        return self._workers

    @property
    def sharing(self) -> int:
        """How many runners share the workers."""
        return max(1, self._control.runners)

    @property
    def waiting(self) -> bool:
        """Whether no batch may begin now."""
        return self._blocked_by is not None

    @property
    def waits_for(self) -> WaitCause | None:
        """What keeps the next batch from beginning now. None: nothing."""
        if not self.waiting:
            return None
        return WaitCause.PAUSED if self.paused else WaitCause.STANDBY

    def wait_for_turn(self) -> bool:
        """Wait until a batch may begin, and report what is waited for.

        Returns:
            False if a stop was requested meanwhile.
        """
        while not self._stop.requested:
            with self._lock:
                reason = self._blocked_by
                if reason is not None:
                    self._report_wait(reason)
            pause_s = _LOOK_S if reason is not None else min(_LOOK_S, self._rate_limiter.delay_s())
            if pause_s <= 0:
                return True
            self._stop.wait(pause_s)
        return False

    def _report_wait(self, reason: str) -> None:
        # The figures in a reason change all the time. A new figure alone is not worth another line.
        now = self._clock()
        if self._wait is None or now - self._wait.reported_at >= _REPORT_AGAIN_S:
            self._wait = _Wait(reason, now)
            self._observer.notify(Waiting(reason, None, self.paused))

    def limits(self, relation: str, most: Limits) -> Limits:
        """How much the next batch of a relation may hold.

        Args:
            relation: as `schema.name`.
            most: what this kind of relation allows.
        """
        with self._lock:
            rows = self._size(relation).rows
            if self._share_per_s is not None:
                # At most the values of one second, so that the rate holds in every second and a pause works soon.
                rows = min(rows, max(1, round(self._share_per_s / max(1, self._workers))))
        return Limits(min(rows, most.rows), most.bytes)

    def done(self, relation: str, *, rows: int, values: int, seconds: float) -> None:
        """Record a batch.

        Args:
            relation: as `schema.name`.
            rows: rows that it held; 0 if its time must not change the batch size.
            values: sealed values that were in them.
            seconds: how long its transaction took.
        """
        self._rate_limiter.book(values)
        if rows:
            with self._lock:
                self._size(relation).took(rows, seconds)

    def on_lock_conflict(self, relation: str) -> None:
        """Record that a batch was stopped by the locks of another session."""
        with self._lock:
            smaller = self._size(relation).on_lock_conflict()
        if smaller is not None:
            self._observer.notify(
                Message(
                    LogEvent.JOB_BATCH_SIZE,
                    f"other sessions hold rows of {relation}: batches of {worded(smaller, 'row', 'rows')} for a while",
                    warning=True,
                )
            )

    def _size(self, relation: str) -> BatchSize:
        size = self._sizes.relations.get(relation)
        if size is None:
            policy = self._sizes.policy
            size = self._sizes.relations[relation] = BatchSize(policy.rows, policy.batch_s, self._clock)
        return size


def _workers(number: int) -> str:
    return f"{number} {'worker' if number == 1 else 'workers'}"
