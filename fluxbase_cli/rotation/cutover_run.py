"""Runs the steps of a cutover, and goes all the way back if one of them fails."""

from __future__ import annotations

from contextlib import nullcontext

import psycopg

from fluxbase_cli.errors import FluxbaseCliError
from fluxbase_cli.rotation.context import RotationContext
from fluxbase_cli.rotation.cutover import Cutover
from fluxbase_cli.rotation.endings import StoppedError, WaitingForPersonError
from fluxbase_cli.rotation.lock import RotationLock
from fluxbase_cli.rotation.outcome import ServerAway
from fluxbase_cli.rotation.step_recorder import StepRecorder
from fluxbase_cli.rotation.step_records import ReturnStep, StartStep, StepsDone, StopStep
from fluxbase_cli.rotation.steps import RotationSteps
from fluxbase_cli.rotation.way_back import WayBack, stranded
from fluxbase_cli.store.connection import failure_text
from fluxbase_cli.store.rotations import CUTOVER_STEPS, RotationRecord, RotationStep

#: From the first of these steps on, the server may be stopped. After the last of them it has proven that it runs with
#: the new key.
_GOES_BACK = CUTOVER_STEPS[CUTOVER_STEPS.index(RotationStep.STOP) : CUTOVER_STEPS.index(RotationStep.PROVE) + 1]


class WentBackError(Exception):
    """A step failed, and the values and the server are under the old key again.

    Args:
        record: what the way back was.
        signal: the signal that led to it, if one did.
    """

    def __init__(self, record: ReturnStep, signal: int | None) -> None:
        super().__init__(record.why)
        self.record = record
        self.signal = signal


class CutoverRun:
    """Runs the steps.

    Args:
        context: what the rotation gets from its caller.
        lock: the session that holds the rotation's lock.
        steps: the steps that every rotation has.
        cutover: the steps of a cutover.
        recorder: records each step.
    """

    def __init__(
        self,
        context: RotationContext,
        lock: RotationLock,
        steps: RotationSteps,
        cutover: Cutover,
        recorder: StepRecorder,
    ) -> None:
        self._context = context
        self._lock = lock
        self._recorder = recorder
        self._cutover = cutover
        self._way_back = WayBack(context, lock, steps, cutover)

    def run(self, rotation: RotationRecord, version: int, done: StepsDone) -> None:
        """Run the steps that are left.

        Args:
            rotation: the rotation.
            version: the new version.
            done: gets the record of each step.

        Raises:
            WentBackError: a step failed, and the values and the server are under the old key again.
            FluxbaseCliError: a step failed before the server was stopped, or the way back failed.
        """
        recorded = self._lock.store().steps(rotation.id)
        if RotationStep.RETURN in recorded:
            self._return(rotation, rotation.error or "an earlier run failed")
        begun = frozenset(recorded)
        actions = self._cutover.actions(rotation, version, done, begun=begun)
        for step in CUTOVER_STEPS:
            record = recorded.get(step)
            if record is not None and record.finished_at is not None:
                done.add_detail(step, record.detail)
                continue
            try:
                # From here on the server may be stopped. A signal leads to the way back, and not to the process's end.
                with self._context.stop.to_the_end() if step in _GOES_BACK else nullcontext():
                    done.add(step, self._recorder.run(rotation, step, actions[step]))
            except (FluxbaseCliError, psycopg.Error, StoppedError, WaitingForPersonError) as error:
                if step not in _GOES_BACK or (step is RotationStep.STOP and not self._has_begun(rotation, step)):
                    raise
                self._return(rotation, _reason(error, self._context.stop.signal))
            except Exception as error:
                if step not in _GOES_BACK:
                    raise
                # The text of the error may quote anything, even a sealed value. The name of its type can't.
                self._return(rotation, f"unexpected {type(error).__name__}")

    def _has_begun(self, rotation: RotationRecord, step: RotationStep) -> bool:
        return step in self._lock.store().steps(rotation.id)

    def _return(self, rotation: RotationRecord, why: str) -> None:
        """Go back, and raise the error that says so."""
        try:
            # Recorded first: a run that begins again must continue on the way back.
            self._lock.store().set_error(rotation.id, why)
            with self._context.stop.to_the_end():
                record = self._recorder.run(
                    rotation, RotationStep.RETURN, lambda: self._way_back.run(rotation, why), may_stop=False
                )
        except (FluxbaseCliError, psycopg.Error) as error:
            raise stranded(_reason(error, None), rotation) from None
        assert isinstance(record, ReturnStep)  # noqa: S101  # what the action returns
        raise WentBackError(record, self._context.stop.signal if self._context.stop.requested else None)


def away_of(done: StepsDone) -> ServerAway | None:
    """How long the server was away in a cutover that is done. None if it was no cutover."""
    stop, start = done.get(StopStep), done.get(StartStep)
    if start is None:
        return None
    return ServerAway(start.away_seconds, None if stop is None else stop.seconds, start.seconds)


def _reason(error: Exception, signal: int | None) -> str:
    if isinstance(error, FluxbaseCliError):
        return error.message
    if isinstance(error, WaitingForPersonError):
        return error.what
    if isinstance(error, StoppedError):
        return "interrupted" if signal is None else f"interrupted by signal {signal}"
    return failure_text(error) if isinstance(error, psycopg.Error) else type(error).__name__
