"""The tables of the scheduled rotation: its steps, the keys that it retires, and its notifications.

The only place where a named statement of `sql/rotations.sql` meets a method. No decisions are made here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from fluxbase_cli.errors import RotationRunningError
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.queries import Statements
from fluxbase_cli.store.schema import Schema

#: The first half of the key of the lock that a running rotation holds: "flxr" in ASCII.
ROTATION_LOCK_CLASS = 0x666C7872


class RotationState(StrEnum):
    """The state of a rotation. At most one is running. It may be running although no process works on it now."""

    RUNNING = "running"
    FINISHED = "finished"
    ABANDONED = "abandoned"


class RotationStep(StrEnum):
    """The steps of a rotation.

    A server that knows several keys and one that knows one key need different steps, see `VERSIONED_STEPS` and
    `CUTOVER_STEPS`.
    """

    CHECK = "check"
    KEY = "key"
    ACTIVATE = "activate"
    RELOAD = "reload"
    STOP = "stop"
    RE_ENCRYPT = "re-encrypt"
    AUDIT = "census"
    INSTALL = "install"
    START = "start"
    PROVE = "prove"
    RETENTION = "retention"
    #: The way back after a failure.
    RETURN = "return"


VERSIONED_STEPS = (
    RotationStep.KEY,
    RotationStep.ACTIVATE,
    RotationStep.RELOAD,
    RotationStep.RE_ENCRYPT,
    RotationStep.AUDIT,
    RotationStep.RETENTION,
)
CUTOVER_STEPS = (
    RotationStep.CHECK,
    RotationStep.KEY,
    RotationStep.STOP,
    RotationStep.RE_ENCRYPT,
    RotationStep.AUDIT,
    RotationStep.INSTALL,
    RotationStep.START,
    RotationStep.PROVE,
    RotationStep.RETENTION,
)


class Retirement(StrEnum):
    """What is done to a key beyond the retention."""

    DISABLE = "disable"
    DESTROY = "destroy"


@dataclass(frozen=True, slots=True)
class RotationRecord:
    """One rotation.

    Attributes:
        id: its number.
        state: its state.
        from_version, to_version: the version that was active before, and the version that becomes active; None until
            it is chosen.
        forced: whether it was started with `--force`, outside the schedule.
        due_at: the date of the schedule for which it runs.
        newest_job: the newest job when it began.
        started_at, finished_at: when it began and ended.
        error: why its last run failed; None if it did not.
    """

    id: int
    state: RotationState
    from_version: int
    to_version: int | None
    forced: bool
    due_at: datetime | None
    newest_job: int
    started_at: datetime
    finished_at: datetime | None
    error: str | None


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step of a rotation; `detail` is what later steps and the report need from it."""

    step: RotationStep
    started_at: datetime
    finished_at: datetime | None
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class NotificationRecord:
    """A notification as it is stored in the outbox."""

    id: UUID
    rotation: int | None
    kind: str
    at: datetime
    message: str
    detail: Mapping[str, Any]


class RotationStore:
    """The tables over one connection, which is in autocommit unless `transaction` is open."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sql = Statements(connection, "rotations.sql")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run the block in one transaction."""
        with self._connection.transaction():
            yield

    def exists(self) -> bool:
        """Whether the tables exist."""
        return bool(self._sql.rows("tables_exist")[0]["there"])

    def ensure(self) -> None:
        """Create missing tables, together with the other tables of the schema.

        Raises:
            PreflightRefusedError: as for `Schema.ensure`.
        """
        Schema(self._connection).ensure()

    def lock(self) -> bool:
        """Take the rotation lock of this database. The session holds it until it ends.

        Returns:
            Whether it was free.
        """
        return bool(self._sql.rows("try_lock", lock_class=ROTATION_LOCK_CLASS)[0]["taken"])

    # --- rotations ------------------------------------------------------------------------------------------------

    @staticmethod
    def _rotation(rows: list[dict[str, Any]]) -> RotationRecord | None:
        return RotationRecord(**{**rows[0], "state": RotationState(rows[0]["state"])}) if rows else None

    def begin(
        self, *, from_version: int, forced: bool, due_at: datetime | None, newest_job: int, now: datetime
    ) -> RotationRecord:
        """Record a new rotation.

        Raises:
            RotationRunningError: another process began a rotation at the same moment.
        """
        try:
            with self._connection.transaction():
                rows = self._sql.rows(
                    "begin", from_version=from_version, forced=forced, due_at=due_at, newest_job=newest_job, now=now
                )
        except psycopg.errors.UniqueViolation:
            raise RotationRunningError(
                "another rotation was begun on this database just now",
                hint="`fluxbase-cli secrets status` shows its job. Wait until it has ended, then run this again.",
            ) from None
        begun = self._rotation(rows)
        assert begun is not None  # noqa: S101  # RETURNING
        return begun

    def unfinished(self) -> RotationRecord | None:
        """The unfinished rotation, if any."""
        return self._rotation(self._sql.rows("unfinished"))

    def newest(self) -> RotationRecord | None:
        """The rotation that began last."""
        return self._rotation(self._sql.rows("newest"))

    def newest_finished(self) -> RotationRecord | None:
        """The rotation that was finished last."""
        return self._rotation(self._sql.rows("newest_finished"))

    def activated_at(self, version: int) -> datetime | None:
        """When a rotation last made a version active."""
        at: datetime | None = self._sql.rows("activated_at", version=version)[0]["at"]
        return at

    def choose_version(self, rotation: int, version: int) -> None:
        """Record the version of the new key, before the key is created."""
        self._sql.rows("choose_version", rotation=rotation, version=version)

    def end(self, rotation: int, state: RotationState, now: datetime) -> None:
        """Record the end of a rotation."""
        self._sql.rows("end", rotation=rotation, state=state.value, now=now)

    def set_error(self, rotation: int, error: str) -> None:
        """Record why a run failed. The next run resumes the rotation."""
        self._sql.rows("set_error", rotation=rotation, error=error)

    def steps(self, rotation: int) -> Mapping[RotationStep, StepRecord]:
        """The steps that were begun."""
        records = (
            StepRecord(**{**row, "step": RotationStep(row["step"])})
            for row in self._sql.rows("steps", rotation=rotation)
        )
        return {record.step: record for record in records}

    def returned_version(self) -> int | None:
        """The new version of the newest rotation, if that went back automatically after a failure."""
        rows = self._sql.rows("returned_version")
        return int(rows[0]["to_version"]) if rows and rows[0]["returned"] else None

    def begin_step(self, rotation: int, step: RotationStep, now: datetime) -> None:
        """Record that a step begins. If it was begun before, nothing changes."""
        self._sql.rows("begin_step", rotation=rotation, step=step.value, now=now)

    def end_step(self, rotation: int, step: RotationStep, now: datetime, detail: Mapping[str, Any]) -> None:
        """Record that a step is done."""
        self._sql.rows("end_step", rotation=rotation, step=step.value, now=now, detail=Jsonb(dict(detail)))

    # --- jobs -----------------------------------------------------------------------------------------------------

    def newest_job(self) -> int:
        """The number of the newest job; 0 if there was none."""
        return int(self._sql.rows("newest_job")[0]["id"])

    def used_versions(self) -> frozenset[int]:
        """All versions that were the target of a job or a rotation."""
        return frozenset(int(row["version"]) for row in self._sql.rows("used_versions"))

    def completed_job(self, *, after: int, version: int) -> int | None:
        """The number of the re-encryption to this version that was completed after the job `after`, if any."""
        rows = self._sql.rows("completed_job", after=after, version=version)
        return int(rows[0]["id"]) if rows else None

    def rollback_since(self, *, after: int, version: int) -> int | None:
        """The number of the rollback to a different version that was begun after the job `after`, if any."""
        rows = self._sql.rows("rollback_since", after=after, version=version)
        return int(rows[0]["id"]) if rows else None

    # --- keys beyond retention ------------------------------------------------------------------------------------

    def begin_retirement(
        self, version: int, fingerprint: str, action: Retirement, *, rotation: int | None, now: datetime
    ) -> None:
        """Record what will be done to a key next."""
        self._sql.rows(
            "begin_retirement",
            version=version,
            fingerprint=fingerprint,
            action=action.value,
            rotation=rotation,
            now=now,
        )

    def end_retirement(self, version: int, fingerprint: str, action: Retirement, now: datetime) -> None:
        """Record that it was done."""
        self._sql.rows("end_retirement", version=version, fingerprint=fingerprint, action=action.value, now=now)

    def drop_retirement(self, version: int, fingerprint: str, action: Retirement) -> None:
        """Delete the record, because the action was refused."""
        self._sql.rows("drop_retirement", version=version, fingerprint=fingerprint, action=action.value)

    def open_retirements(self) -> tuple[tuple[int, str, Retirement], ...]:
        """The actions that were begun and whose end is not recorded: version, fingerprint and action."""
        return tuple(
            (int(row["version"]), str(row["fingerprint"]), Retirement(row["action"]))
            for row in self._sql.rows("open_retirements")
        )

    # --- notifications --------------------------------------------------------------------------------------------

    def add_notification(self, notification: NotificationRecord) -> bool:
        """Store a notification in the outbox. Return whether it is new there."""
        rows = self._sql.rows(
            "add_notice",
            id=notification.id,
            rotation=notification.rotation,
            kind=notification.kind,
            at=notification.at,
            message=notification.message,
            detail=Jsonb(dict(notification.detail)),
        )
        return bool(rows)

    def pending_notifications(self) -> tuple[NotificationRecord, ...]:
        """The notifications that still wait for delivery, the oldest first."""
        return tuple(NotificationRecord(**row) for row in self._sql.rows("open_notices"))

    def end_notification(self, notification: UUID, error: str | None, now: datetime) -> None:
        """Record that a notification was delivered, or why it was not."""
        self._sql.rows("end_notice", id=notification, error=error, now=now)
