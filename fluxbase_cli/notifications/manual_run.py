"""Notifications about a command that a person or cron has started: it began, it waits, and how it ended.

The end of a job is stored in the outbox before it is sent. So it is known afterwards whether it was delivered, and of
several processes that work on one job only one reports its end. What happened before a job began, and an audit, which
writes nothing, are sent and not stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from uuid import UUID, uuid5

import psycopg

from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.counts import secrets, worded
from fluxbase_cli.engine.events import Event
from fluxbase_cli.engine.goal import Goal
from fluxbase_cli.engine.outcome import AuditReport, JobReport
from fluxbase_cli.errors import FluxbaseCliError
from fluxbase_cli.notifications.long_waits import LongWaits
from fluxbase_cli.notifications.message import NotificationType
from fluxbase_cli.notifications.outbox import Outbox
from fluxbase_cli.store.connection import session
from fluxbase_cli.store.jobs import JobStore
from fluxbase_cli.store.records import JobKind, JobState
from fluxbase_cli.store.rotations import RotationStore

#: The ids of the notifications about jobs are made from what they report. A random UUID, which never changes.
_NAMESPACE = UUID("0d4ce0a3-7a1c-4c5f-9d0e-6c52a3f1a7b4")
_SIGNALS: Mapping[int, str] = MappingProxyType({2: "SIGINT (Ctrl-C)", 15: "SIGTERM"})


@dataclass(frozen=True, slots=True)
class RunTypes:
    """The types of the notifications of a command."""

    started: NotificationType
    waiting: NotificationType
    interrupted: NotificationType
    finished: NotificationType
    failed: NotificationType


JOB = RunTypes(
    started=NotificationType.JOB_STARTED,
    waiting=NotificationType.JOB_WAITING,
    interrupted=NotificationType.JOB_INTERRUPTED,
    finished=NotificationType.JOB_FINISHED,
    failed=NotificationType.JOB_FAILED,
)
AUDIT = RunTypes(
    started=NotificationType.AUDIT_STARTED,
    waiting=NotificationType.AUDIT_WAITING,
    interrupted=NotificationType.AUDIT_INTERRUPTED,
    finished=NotificationType.AUDIT_FINISHED,
    failed=NotificationType.AUDIT_FAILED,
)


@dataclass(frozen=True, slots=True)
class RunTitle:
    """What a command does, for people and for programs.

    Attributes:
        text: for example `Re-encryption from version 1 to 2`.
        detail: the same as fields of a notification.
    """

    text: str
    detail: Mapping[str, Any]


def job_title(kind: JobKind, goal: Goal) -> RunTitle:
    """The title of a job."""
    noun = "Rollback" if kind is JobKind.ROLLBACK else "Re-encryption"
    source = "" if goal.source is None else f" from version {goal.source}"
    text = f"{noun}{source} to {'version ' if goal.source is None else ''}{goal.target}"
    return RunTitle(text, {"kind": kind.value, "from_version": goal.source, "to_version": goal.target})


def audit_title(key_version: int | None) -> RunTitle:
    """The title of an audit."""
    of_what = "" if key_version is None else f" of key version {key_version}"
    return RunTitle(f"Audit{of_what}", {"kind": "audit", "key_version": key_version})


def without_goal(types: RunTypes) -> RunTitle:
    """The title of a command as long as it is not known what it will do."""
    return RunTitle("Re-encryption or rollback" if types is JOB else "Audit", {})


class ManualRun:
    """The notifications of one run of a command. It is an observer of the engine, for long waits.

    Args:
        outbox: sends them.
        types: which types they have.
        database: where the end of a job is stored.
        long_wait_s: how long a wait must last until it is told, in seconds.
    """

    def __init__(self, outbox: Outbox, types: RunTypes, database: DatabaseSettings, *, long_wait_s: float) -> None:
        self._outbox = outbox
        self._types = types
        self._database = database
        self._title = without_goal(types)
        self._waits = LongWaits(self._tell_wait, long_s=long_wait_s)
        self._has_ended = False
        self.was_interrupted = False

    def is_about(self, title: RunTitle) -> None:
        """Set what the command does, as soon as that is known."""
        self._title = title

    def started(self, job: int | None = None, *, run_name: str | None = None) -> None:
        """The command begins its work.

        Args:
            job: the job that it resumes.
            run_name: the processes of a run with a name may all begin at once, and then send the same notification.
        """
        kind = self._types.started
        what = "has begun" if job is None else f"is resumed (job {job})"
        self._outbox.send_now(
            kind,
            f"{self._title.text} {what}",
            {**self._title.detail, **({} if job is None else {"job": job})},
            notification=None if run_name is None else self._id(f"{run_name!r} {self._title.text}", kind),
        )

    def notify(self, event: Event) -> None:
        """Take an event of the engine."""
        self._waits.notify(event)

    def job_ended(self, report: JobReport, *, in_main: bool) -> None:
        """A job has ended.

        Args:
            report: how.
            in_main: whether it ran in the main database, which keeps its record.
        """
        total = report.total
        detail: dict[str, Any] = {
            "job": report.job,
            "scanned": total.scanned,
            "re_encrypted": total.re_encrypted,
            "undecryptable": total.undecryptable,
            "remaining": report.remaining,
            "elapsed_seconds": round(report.elapsed_seconds, 3),
            "exit_code": int(report.exit_code),
        }
        numbered = self._title.text + (f" (job {report.job})" if report.job is not None else "")
        if report.state == "completed":
            was = "was" if total.undecryptable == 1 else "were"
            left = f"; {total.undecryptable} could not be opened and {was} left" if total.undecryptable else ""
            kind, text = (
                self._types.finished,
                f"{numbered} is finished: {secrets(total.re_encrypted)} re-encrypted{left}",
            )
        elif report.state == "interrupted":
            why = str(report.stopped) if report.stopped is not None else _signal(report.signal)
            kind, text = self._types.interrupted, f"{numbered} was interrupted: {why}. Run it again: it resumes"
            detail["reason"] = why
        else:
            why = report.error or "unknown"
            kind, text = self._types.failed, f"{numbered} failed: {why}"
            detail["reason"] = why
        self._end(kind, text, detail, report.job if in_main else None)

    def audit_ended(self, report: AuditReport) -> None:
        """An audit has ended."""
        found = (
            "" if report.key_version is None else f": {worded(report.found, 'secret needs', 'secrets need')} that key"
        )
        open_ends = (
            f"; {worded(len(report.unexamined), 'thing', 'things')} could not be examined" if report.unexamined else ""
        )
        self._end(
            self._types.finished,
            f"{self._title.text} is finished{found}{open_ends}",
            {
                "found": report.found,
                "scanned": report.scanned,
                "undecryptable": report.undecryptable,
                "by_version": {str(version): number for version, number in report.by_version.items()},
                "unexamined": len(report.unexamined),
                "elapsed_seconds": round(report.elapsed_seconds, 3),
                "exit_code": int(report.exit_code),
            },
        )

    def failed(self, reason: str, code: int) -> None:
        """The command ended with an error.

        Args:
            reason: the text of the error, which holds no secret.
            code: the exit code.
        """
        self._end(self._types.failed, f"{self._title.text} failed: {reason}", {"reason": reason, "exit_code": code})

    def interrupted(self, signal: int | None) -> None:
        """A signal ended the command before there was a result."""
        why = _signal(signal)
        self.was_interrupted = True
        self._end(
            self._types.interrupted,
            f"{self._title.text} was interrupted: {why}",
            {"reason": why, "exit_code": 128 + (2 if signal is None else signal)},
        )

    def cancelled(self) -> None:
        """The operator did not agree. He knows it, and nobody else needs to."""
        self._has_ended = True

    def close(self, limit_s: float) -> tuple[str, ...]:
        """Wait for notifications that are not sent yet, and record what became of them.

        Args:
            limit_s: how long to wait for them, in seconds.

        Returns:
            Why some were not delivered; empty if all were.
        """
        self._waits.close()
        self._outbox.close(limit_s)
        if self._outbox.has_stored:
            try:
                with session(self._database) as connection:
                    self._outbox.record_results(RotationStore(connection))
            except (FluxbaseCliError, psycopg.Error):
                # Then they stay in the outbox, and a rotation sends them again under the same id.
                self._outbox.collect_results()
        else:
            self._outbox.collect_results()
        return self._outbox.failures

    def give_up(self) -> None:
        """Let a `close` that waits return now. A signal handler may call it."""
        self._outbox.give_up()

    def _id(self, name: str, kind: NotificationType) -> UUID:
        """The id of what several processes may report."""
        return uuid5(_NAMESPACE, f"{self._database.describe()} {name} {kind.value}")

    def _tell_wait(self, reason: str) -> None:
        self._send(self._types.waiting, f"{self._title.text} waits: {reason}", {"reason": reason})

    def _send(self, kind: NotificationType, text: str, detail: Mapping[str, Any]) -> None:
        self._outbox.send_now(kind, text, {**self._title.detail, **detail})

    def _end(self, kind: NotificationType, text: str, detail: Mapping[str, Any], job: int | None = None) -> None:
        if self._has_ended:
            return
        self._has_ended = True
        self._waits.close()
        if kind is self._types.interrupted:
            self.was_interrupted = True
        if job is None or self._outbox.is_silent:
            self._send(kind, text, detail)
            return
        try:
            self._store(kind, text, {**self._title.detail, **detail}, job)
        except (FluxbaseCliError, psycopg.Error):
            # The database may be what failed.
            self._send(kind, text, detail)

    def _store(self, kind: NotificationType, text: str, detail: Mapping[str, Any], number: int) -> None:
        with session(self._database) as connection:
            jobs, store = JobStore(connection), RotationStore(connection)
            if not jobs.schema.exists() or (job := jobs.get(number)) is None:
                self._send(kind, text, detail)
                return
            if kind is self._types.interrupted and job.state is JobState.RUNNING:
                # Other processes still work on it.
                return
            resumed = sum(event.what == "resumed" for event in jobs.events.of_job(number))
            name = f"{job.id} {job.created_at.isoformat()} {resumed}"
            self._outbox.send_pending(store)
            self._outbox.enqueue(store, kind, text, detail, notification=self._id(name, kind))
        self._outbox.send()


def _signal(number: int | None) -> str:
    return _SIGNALS.get(number or 0, "stopped" if number is None else f"signal {number}")
