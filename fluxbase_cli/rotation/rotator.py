"""One rotation, step by step. Each step is recorded before the next begins, so a later run knows what was done.

A server that knows several keys (the steps are in `steps.py`):

    key         choose the version and record it, make the key in the key source, read it back
    activate    make it active in fluxbase.yaml or where that points, or wait until somebody has done it
    reload      run `reload_command`, so that servers know both keys before the first value is sealed under the new one
    re-encrypt  the job of the engine, which resumes automatically
    census      the audit: open every value again
    retention   disable and destroy keys beyond retention

A server that knows one key is stopped meanwhile: see `cutover.py`.

If the end of a step is not recorded, the step is begun again. It then finds what it did before: a key in its source, a
file that names the version, a completed job. Only `reload_command` may run twice, because it is unknown whether it had
ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import psycopg

from fluxbase_cli.counts import worded
from fluxbase_cli.errors import DatabaseError, FluxbaseCliError
from fluxbase_cli.keyring import KeyInterruptedError
from fluxbase_cli.log_events import LogEvent
from fluxbase_cli.notifications.message import NotificationType
from fluxbase_cli.notifications.outbox import Outbox, undelivered
from fluxbase_cli.printable import lines
from fluxbase_cli.rotation.clock import RotationClock
from fluxbase_cli.rotation.context import RotationContext
from fluxbase_cli.rotation.cutover import Cutover
from fluxbase_cli.rotation.cutover_run import CutoverRun, WentBackError, away_of
from fluxbase_cli.rotation.due import due
from fluxbase_cli.rotation.endings import StoppedError, WaitingForPersonError
from fluxbase_cli.rotation.figures import Figures, read_figures
from fluxbase_cli.rotation.lock import RotationLock
from fluxbase_cli.rotation.next_key import current_version
from fluxbase_cli.rotation.outcome import RotationReport, ServerAway
from fluxbase_cli.rotation.policy import read_policy
from fluxbase_cli.rotation.schedule import DueDecision
from fluxbase_cli.rotation.step_recorder import StepRecorder
from fluxbase_cli.rotation.step_records import AnyStep, AuditStep, KeyStep, ReEncryptStep, StepsDone, detail_of
from fluxbase_cli.rotation.steps import RotationSteps
from fluxbase_cli.rotation.suited import refuse_unsuited
from fluxbase_cli.store.connection import failure_text
from fluxbase_cli.store.rotations import VERSIONED_STEPS, RotationRecord, RotationState, RotationStep, StepRecord


class Rotator:
    """Runs rotations on one database.

    Args:
        context: what the rotation gets from its caller.
        clock: the clock; None means that it is made from `context`.
    """

    def __init__(self, context: RotationContext, clock: RotationClock | None = None) -> None:
        self._context = context
        self._clock = clock or RotationClock(context.clock)
        settings = context.load()
        self._policy = read_policy(settings.encryption.key_rotation)
        self._lock = RotationLock(settings.database)
        self._outbox = Outbox(
            context.notifier(self._policy.webhook), database=settings.database.describe(), clock=self._clock
        )
        self._steps = RotationSteps(context, self._clock, self._lock, self._outbox, settings, self._policy, self._note)
        self._recorder = StepRecorder(context, self._clock, self._lock, self._outbox)
        self._cutover = Cutover(context, self._clock, self._lock, self._steps)
        self._report = RotationReport("not-due", DueDecision(due=False, why=""))
        self._figures = Figures(self._clock(), succeeded=False, known=False)
        self._ended = False

    def run(self, *, force: bool = False) -> RotationReport:
        """Resume the unfinished rotation, or begin one if it is due. Retire keys that are beyond retention.

        Args:
            force: begin a rotation now, without regard to the schedule.

        Raises:
            JobRunningError: another process runs a rotation, or a job.
            FluxbaseCliError: a step failed. That is recorded and reported, and the next run resumes at this step.
        """
        started = time.monotonic()
        try:
            with self._steps.watch:
                self._run(force=force)
            self._ended = True
        except psycopg.Error as error:
            raise DatabaseError(
                f"{self._steps.settings.database.describe()}: {failure_text(error)}",
                hint="What was recorded stays; the next run resumes from there.",
            ) from None
        finally:
            self._close()
            self._report = replace(
                self._report,
                elapsed_seconds=time.monotonic() - started,
                undelivered=self._outbox.failures,
                next=self._next(),
            )
        return self._report

    @property
    def figures(self) -> Figures:
        """The figures for Prometheus after a run, also if it raised an error."""
        return replace(self._figures, undelivered=len(self._outbox.failures))

    @property
    def report(self) -> RotationReport:
        """The report so far, also if `run` raised an error."""
        return self._report

    def _run(self, *, force: bool) -> None:
        self._lock.store().ensure()
        self._clock.follow(self._lock.server_clock())
        self._outbox.send_pending(self._lock.store())
        if self._lock.store().open_retirements():
            self._steps.key_retirement().finish_begun(self._lock.store(), self._lock.history())
        if self._policy.enabled or force:
            refuse_unsuited(self._steps.settings)
        rotation = self._unfinished()
        if rotation is None:
            decision = self._decide(force=force)
            self._report = replace(self._report, decision=decision)
            if not decision.due:
                if self._policy.enabled:
                    self._report = replace(self._report, retired=self._steps.retire(None))
                return
            try:
                rotation = self._begin(decision, force=force)
            except (StoppedError, KeyInterruptedError):
                self._report = replace(self._report, state="interrupted", signal=self._context.stop.signal)
                return
            except FluxbaseCliError as error:
                self._outbox.send_now(
                    NotificationType.FAILED, f"No rotation could begin: {error.message}", {"reason": error.message}
                )
                raise
        else:
            self._report = replace(
                self._report, decision=DueDecision(due=True, why=f"rotation {rotation.id} is unfinished")
            )
        self._rotate(rotation)

    def _rotate(self, rotation: RotationRecord) -> None:
        """Do the steps that are left, and record and report how that ended."""
        self._outbox.about(rotation.id)
        self._report = replace(self._report, rotation=rotation.id, from_version=rotation.from_version)
        try:
            self._continue(rotation)
        except WentBackError as back:
            self._went_back(rotation, back)
        except (StoppedError, KeyInterruptedError):
            self._report = replace(self._report, state="interrupted", signal=self._context.stop.signal)
        except WaitingForPersonError as waiting:
            self._wait(rotation, waiting)
        except FluxbaseCliError as error:
            self._fail(rotation, error.message)
            raise
        except Exception as error:
            # The text of the error may quote anything, even a sealed value. The name of its type can't.
            self._fail(rotation, f"unexpected {type(error).__name__}")
            raise

    def _unfinished(self) -> RotationRecord | None:
        """The rotation to resume, if there is one.

        A rotation whose values were rolled back is given up, because its key may be compromised. (If it is on its own
        way back, it finishes that first.)
        """
        rotation = self._lock.store().unfinished()
        if rotation is None or rotation.to_version is None:
            return rotation
        if RotationStep.RETURN in self._lock.store().steps(rotation.id):
            return rotation
        rollback = self._lock.store().rollback_since(after=rotation.newest_job, version=rotation.to_version)
        if rollback is None:
            return rotation
        self._lock.store().end(rotation.id, RotationState.ABANDONED, self._clock())
        self._context.warn(
            LogEvent.ROTATION_ABANDONED,
            f"rotation {rotation.id} to version {rotation.to_version} is given up: job {rollback} rolled back from it",
        )
        return None

    def _decide(self, *, force: bool) -> DueDecision:
        if force:
            return DueDecision(due=True, why="--force was given")
        return due(self._policy, self._steps.settings, self._lock.history(), self._lock.store(), self._clock())

    def _begin(self, decision: DueDecision, *, force: bool) -> RotationRecord:
        settings = self._steps.settings
        single = settings.encryption.is_single
        from_version = (
            self._cutover.server_key().version if single else current_version(settings, self._steps.ring(settings))
        )
        # Chosen before anything is recorded: if no new key can be made, no rotation begins.
        version = self._steps.new_key().choose()
        check = self._cutover.check(from_version) if single else None
        now, store = self._clock(), self._lock.store()
        with store.transaction():
            rotation = store.begin(
                from_version=from_version, forced=force, due_at=decision.date, newest_job=store.newest_job(), now=now
            )
            store.choose_version(rotation.id, version)
            if check is not None:
                store.begin_step(rotation.id, RotationStep.CHECK, now)
                store.end_step(rotation.id, RotationStep.CHECK, now, detail_of(check))
            self._outbox.about(rotation.id)
            self._outbox.enqueue(
                store,
                NotificationType.STARTED,
                f"Rotation {rotation.id} from key version {from_version} to {version} has begun",
                {"from_version": from_version, "to_version": version, "reason": decision.why},
            )
        self._outbox.send()
        return replace(rotation, to_version=version)

    def _continue(self, rotation: RotationRecord) -> None:
        assert rotation.to_version is not None  # noqa: S101  # chosen in the transaction that began it
        version = rotation.to_version
        self._report = replace(self._report, to_version=version)
        self._context.tell(
            LogEvent.ROTATION_BEGUN, f"Rotation {rotation.id}: from key version {rotation.from_version} to {version}"
        )
        recorded = self._lock.store().steps(rotation.id)
        done = StepsDone()
        if RotationStep.CHECK in recorded:
            run = CutoverRun(self._context, self._lock, self._steps, self._cutover, self._recorder)
            run.run(rotation, version, done)
        else:
            self._versioned(rotation, version, recorded, done)
        self._finish(rotation, version, done)

    def _versioned(
        self, rotation: RotationRecord, version: int, recorded: Mapping[RotationStep, StepRecord], done: StepsDone
    ) -> None:
        steps = self._steps
        actions: Mapping[RotationStep, Callable[[], AnyStep]] = {
            RotationStep.KEY: lambda: steps.key(version),
            RotationStep.ACTIVATE: lambda: steps.activate(version, done.need(KeyStep)),
            RotationStep.RELOAD: steps.reload,
            RotationStep.RE_ENCRYPT: lambda: steps.re_encrypt(rotation, version),
            RotationStep.AUDIT: lambda: steps.audit(version),
            RotationStep.RETENTION: lambda: steps.retention(rotation),
        }
        for step in VERSIONED_STEPS:
            record = recorded.get(step)
            if record is None or record.finished_at is None:
                done.add(step, self._recorder.run(rotation, step, actions[step]))
            else:
                done.add_detail(step, record.detail)
            if step is RotationStep.ACTIVATE:
                self._refuse_changed_back(version)

    def _note(self, **changes: Any) -> None:  # noqa: ANN401  # fields of the report
        """Store what a step adds to the report."""
        self._report = replace(self._report, **changes)

    def _refuse_changed_back(self, version: int) -> None:
        active = self._steps.settings.encryption.effective_key_version
        if active != version:
            raise WaitingForPersonError(
                f"version {active} is active, and this rotation had made version {version} active",
                [
                    f"To continue: set active_key_version to {version}.",
                    f"To go back for good: `fluxbase-cli secrets rollback --to-version {active} --reason …`.",
                ],
            )

    def _finish(self, rotation: RotationRecord, version: int, done: StepsDone) -> None:
        key, job, audit = done.need(KeyStep), done.need(ReEncryptStep), done.need(AuditStep)
        self._note(
            job=job.job,
            re_encrypted=job.re_encrypted,
            by_version=audit.by_version,
            undecryptable=audit.undecryptable,
            server=away_of(done),
        )
        now, store = self._clock(), self._lock.store()
        with store.transaction():
            store.end(rotation.id, RotationState.FINISHED, now)
            if audit.undecryptable:
                self._outbox.enqueue(
                    store,
                    NotificationType.UNDECRYPTABLE,
                    f"{worded(audit.undecryptable, 'value', 'values')} can't be opened with any key; left unchanged",
                    {"undecryptable": audit.undecryptable, "values": list(audit.values)},
                )
            self._outbox.enqueue(
                store,
                NotificationType.FINISHED,
                f"Rotation {rotation.id} to key version {version} is finished",
                {
                    "from_version": rotation.from_version,
                    "to_version": version,
                    "fingerprint": key.fingerprint,
                    "job": job.job,
                    **({} if job.re_encrypted is None else {"re_encrypted": job.re_encrypted}),
                    "by_version": detail_of(audit)["by_version"],
                    "undecryptable": audit.undecryptable,
                    "elapsed_seconds": max(0.0, (now - rotation.started_at).total_seconds()),
                },
            )
        self._outbox.send()
        self._report = replace(self._report, state="finished")

    def _went_back(self, rotation: RotationRecord, back: WentBackError) -> None:
        """Record and report that the values and the server are under the old key again."""
        now, store = self._clock(), self._lock.store()
        message = f"Rotation {rotation.id} went back to key version {rotation.from_version}: {back.record.why}"
        with store.transaction():
            store.end(rotation.id, RotationState.ABANDONED, now)
            self._outbox.enqueue(
                store,
                NotificationType.FAILED,
                message,
                {"reason": back.record.why, "to_version": rotation.to_version, **detail_of(back.record)},
            )
        self._outbox.send()
        self._note(
            state="interrupted" if back.signal is not None else "returned",
            signal=back.signal,
            returned=back.record.why,
            server=ServerAway(back.record.away_seconds),
        )

    # --- ends -----------------------------------------------------------------------------------------------------

    def _wait(self, rotation: RotationRecord, waiting: WaitingForPersonError) -> None:
        self._report = replace(self._report, state="waiting")
        # A run every hour must not send the same notification every hour.
        if rotation.error != waiting.what:
            self._lock.store().set_error(rotation.id, waiting.what)
            self._outbox.send_now(NotificationType.WAITING, f"Waiting: {waiting.what}", {"reason": waiting.what})
        self._context.warn(LogEvent.ROTATION_WAITING, lines((waiting.what, *waiting.lines)))
        self._context.tell(LogEvent.COMMAND_TO_REPEAT, "Run the rotation again: it resumes from here.")

    def _fail(self, rotation: RotationRecord, message: str) -> None:
        try:
            store = self._lock.store()
            with store.transaction():
                store.set_error(rotation.id, message)
                self._outbox.enqueue(
                    store,
                    NotificationType.FAILED,
                    f"Rotation {rotation.id} failed: {message}",
                    {"reason": message, **({} if rotation.to_version is None else {"to_version": rotation.to_version})},
                )
        except (FluxbaseCliError, psycopg.Error):
            # The database may be what failed. The notification is sent anyway, and it is not recorded.
            self._outbox.send_now(
                NotificationType.FAILED, f"Rotation {rotation.id} failed: {message}", {"reason": message}
            )
        else:
            self._outbox.send()

    def _close(self) -> None:
        self._outbox.close()
        try:
            # Without the lock, there was no run and there is nothing to record.
            if self._lock.was_taken:
                self._outbox.record_results(self._lock.store())
                self._figures = read_figures(
                    self._ended_now(),
                    self._steps.settings,
                    self._policy,
                    self._lock.history(),
                    self._lock.store(),
                )
        except (FluxbaseCliError, psycopg.Error):
            self._outbox.collect_results()
            self._figures = replace(self._ended_now(), known=False)
            self._context.warn(
                LogEvent.NOTIFICATIONS_UNRECORDED,
                "the results of the notifications could not be recorded: the database can't be reached; "
                "see `fluxbase-cli config check`",
            )
        finally:
            self._lock.release()
        for line in undelivered(self._outbox.failures):
            self._context.warn(LogEvent.NOTIFICATION_UNDELIVERED, line)

    def _ended_now(self) -> Figures:
        succeeded = self._ended and self._report.state in ("finished", "not-due")
        return Figures(self._clock(), succeeded=succeeded, next_date=self._next())

    def _next(self) -> datetime | None:
        if not self._policy.enabled or self._policy.schedule is None:
            return None
        if self._report.state == "not-due" and self._report.decision.next is not None:
            return self._report.decision.next
        return self._policy.schedule.next_after(self._clock())
