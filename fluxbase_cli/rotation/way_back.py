"""The way back of a cutover: the server and all values are under the old key again.

Each part can be done twice. So after an interruption the whole way back is done again.
"""

from __future__ import annotations

from fluxbase_cli.counts import secrets
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.errors import JobFailedError
from fluxbase_cli.log_events import LogEvent
from fluxbase_cli.rotation.context import RotationContext
from fluxbase_cli.rotation.cutover import Cutover, text_of
from fluxbase_cli.rotation.lock import RotationLock
from fluxbase_cli.rotation.step_records import ReturnStep
from fluxbase_cli.rotation.steps import RotationSteps
from fluxbase_cli.store.records import JobKind
from fluxbase_cli.store.rotations import RotationRecord, RotationStep

#: A server that could not be stopped may still be up. Its health is awaited for so many seconds before it
#: is started.
_MAY_BE_UP_S = 1.0


class WayBack:
    """Goes back.

    Args:
        context: what the rotation gets from its caller.
        lock: the session that holds the rotation's lock.
        steps: the steps that every rotation has.
        cutover: the steps of the cutover.
    """

    def __init__(self, context: RotationContext, lock: RotationLock, steps: RotationSteps, cutover: Cutover) -> None:
        self._context = context
        self._lock = lock
        self._steps = steps
        self._cutover = cutover

    def run(self, rotation: RotationRecord, why: str) -> ReturnStep:
        """Install the old key, move the values back, start the server, and open every value.

        Args:
            rotation: the rotation.
            why: why it goes back.

        Raises:
            FluxbaseCliError: a part of it failed. It is done again by the next run.
        """
        recorded = self._lock.store().steps(rotation.id)
        old = rotation.from_version
        self._context.tell(LogEvent.RETURN_BEGUN, f"Going back to key version {old}: {why}")
        server, key = self._cutover.server, self._steps.ring(self._steps.settings).key(old)
        stopped = recorded.get(RotationStep.STOP)
        was_stopped = stopped is not None and stopped.finished_at is not None
        if RotationStep.START in recorded:
            # It may run with the new key, or with a key that nobody expects.
            server.stop([], begun_before=True, is_stopped=_never)
            was_stopped = True
        if RotationStep.INSTALL in recorded:
            server.install(text_of(key))
            self._steps.settings = self._context.load()
            self._context.tell(
                LogEvent.RETURN_KEY_INSTALLED,
                f"✓ The server's key is version {old} (fingerprint {key.fingerprint}) again",
            )
        if RotationStep.RE_ENCRYPT in recorded:
            self._move_back(rotation, why)
        seconds = server.start(may_be_up_s=0.0 if was_stopped else _MAY_BE_UP_S)
        away = self._cutover.away_seconds(rotation)
        self._context.tell(
            LogEvent.SERVER_HEALTHY, f"✓ The server is healthy ({seconds:.1f}s); it was away for {away or 0.0:.1f}s"
        )
        return ReturnStep(why, away)

    def _move_back(self, rotation: RotationRecord, why: str) -> None:
        # A signal has led here, or will lead here again. The server is stopped, so the values move back all the same.
        report = self._steps.move_values(JobKind.ROLLBACK, rotation.from_version, stop=Stop(), reason=why)
        if report.state != "completed":
            raise JobFailedError(f"job {report.job} failed: {report.error}")
        self._context.tell(
            LogEvent.RETURN_VALUES_MOVED,
            f"✓ Moved {report.total.re_encrypted} of {secrets(report.total.scanned)} back",
        )


def stranded(why: str, rotation: RotationRecord) -> JobFailedError:
    """The error for an operator whose server is not running, and who must act.

    Args:
        why: why the way back failed.
        rotation: the rotation.
    """
    return JobFailedError(
        f"the way back to key version {rotation.from_version} failed, and the server may be stopped: {why}",
        hint="Mend that, and run `fluxbase-cli rotation run` again: it continues from there. Do not start "
        "the server by hand before that.",
    )


def _never() -> bool:
    return False
