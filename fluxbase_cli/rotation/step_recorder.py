"""Runs a step of a rotation between the record of its begin and the record of its end."""

from __future__ import annotations

from collections.abc import Callable

from fluxbase_cli.notifications.outbox import Outbox
from fluxbase_cli.rotation.context import Moment, RotationContext
from fluxbase_cli.rotation.endings import StoppedError
from fluxbase_cli.rotation.lock import RotationLock
from fluxbase_cli.rotation.step_records import AnyStep, detail_of
from fluxbase_cli.store.clock import Clock
from fluxbase_cli.store.rotations import RotationRecord, RotationStep


class StepRecorder:
    """Runs steps.

    Args:
        context: what the rotation gets from its caller.
        clock: returns the current time.
        lock: the session that holds the rotation's lock.
        outbox: sends notifications.
    """

    def __init__(self, context: RotationContext, clock: Clock, lock: RotationLock, outbox: Outbox) -> None:
        self._context = context
        self._clock = clock
        self._lock = lock
        self._outbox = outbox

    def run(
        self,
        rotation: RotationRecord,
        step: RotationStep,
        action: Callable[[], AnyStep],
        *,
        may_stop: bool = True,
    ) -> AnyStep:
        """Run a step and return its record.

        Args:
            rotation: the rotation.
            step: the step.
            action: does it.
            may_stop: whether a signal keeps the step from being begun.

        Raises:
            StoppedError: a signal requested a stop before the step was begun.
        """
        if may_stop and self._context.stop.requested:
            raise StoppedError
        self._lock.store().begin_step(rotation.id, step, self._clock())
        self._context.listener(step, Moment.BEGUN)
        record = action()
        self._context.listener(step, Moment.DONE)
        self._lock.store().end_step(rotation.id, step, self._clock(), detail_of(record))
        self._context.listener(step, Moment.RECORDED)
        self._outbox.record_results(self._lock.store())
        return record
