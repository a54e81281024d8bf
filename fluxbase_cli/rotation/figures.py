"""What is known after a run of the rotation, for metrics: read from the database, and from the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType

from fluxbase_cli.config import DatabaseSettings, Settings
from fluxbase_cli.engine.observe.status import read_details
from fluxbase_cli.keys.history import KeyHistory
from fluxbase_cli.rotation.due import active_since, due
from fluxbase_cli.rotation.policy import Policy
from fluxbase_cli.rotation.step_records import AuditStep, ReEncryptStep, StepsDone
from fluxbase_cli.store.connection import session
from fluxbase_cli.store.rotations import RotationStore


@dataclass(frozen=True, slots=True)
class JobFigures:
    """The unfinished job of the main database, or that there is none.

    Attributes:
        unfinished: whether there is one.
        paused: whether somebody has paused it.
        progress_at: when its last batch was committed. Of a job that another process runs, the last sign of life of
            that process. None if there is no such job.
        ratio: how much of the main pass is done, from 0 to 1; 1 if there is no such job.
        values: how many sealed values it has handled.
    """

    unfinished: bool = False
    paused: bool = False
    progress_at: datetime | None = None
    ratio: float = 1.0
    values: int = 0


@dataclass(frozen=True, slots=True)
class Figures:
    """What is known after a run. None means that it is not known.

    Attributes:
        ran_at: when the run ended.
        succeeded: whether the run succeeded.
        known: whether the database was read. Otherwise nothing below is known.
        last_success: when a rotation was last finished.
        active_version: the version under which servers seal.
        active_since: when its key became active.
        by_version: how many values need the key of each version, by the newest audit.
        undecryptable: how many values no key opens, by the newest audit.
        duration_s: how long the last rotation took.
        rate_per_second: how many values it handled in a second.
        next_date: when the next rotation is due.
        due_since: since when a rotation is due or unfinished; None if none is.
        job: the unfinished job.
        undelivered: how many notifications of this run were not delivered.
    """

    ran_at: datetime
    succeeded: bool
    known: bool = True
    last_success: datetime | None = None
    active_version: int | None = None
    active_since: datetime | None = None
    by_version: Mapping[int, int] = field(default_factory=lambda: MappingProxyType({}))
    undecryptable: int | None = None
    duration_s: float | None = None
    rate_per_second: float | None = None
    next_date: datetime | None = None
    due_since: datetime | None = None
    job: JobFigures | None = None
    undelivered: int = 0


def read_figures(
    ended: Figures, settings: Settings, policy: Policy, history: KeyHistory, store: RotationStore
) -> Figures:
    """Read what the database knows after a run.

    Args:
        ended: when the run ended, whether it succeeded, and when the next rotation is due.
        settings: the configuration as it is after the run.
        policy: its section about rotations.
        history: what the database knows about keys.
        store: the tables of the rotations.
    """
    finished = store.newest_finished()
    done = StepsDone()
    for step, record in ({} if finished is None else store.steps(finished.id)).items():
        if record.finished_at is not None:
            done.add_detail(step, record.detail)
    audit, job = done.get(AuditStep), done.get(ReEncryptStep)
    duration = None if finished is None or not finished.finished_at else finished.finished_at - finished.started_at
    return replace(
        ended,
        known=True,
        last_success=None if finished is None else finished.finished_at,
        active_version=settings.encryption.effective_key_version,
        active_since=active_since(settings, history, store),
        by_version={} if audit is None else audit.by_version,
        undecryptable=None if audit is None else audit.undecryptable,
        duration_s=None if duration is None else duration.total_seconds(),
        rate_per_second=None if job is None else job.rate_per_second,
        due_since=_due_since(ended.ran_at, settings, policy, history, store),
        job=_unfinished_job(settings.database),
    )


def _due_since(
    now: datetime, settings: Settings, policy: Policy, history: KeyHistory, store: RotationStore
) -> datetime | None:
    unfinished = store.unfinished()
    if unfinished is not None:
        return unfinished.due_at or unfinished.started_at
    decision = due(policy, settings, history, store, now)
    return decision.date if decision.due else None


def _unfinished_job(database: DatabaseSettings) -> JobFigures:
    with session(database) as connection:
        details = read_details(connection, None)
    if details is None:
        return JobFigures()
    job = details.summary.job
    return JobFigures(
        unfinished=True,
        paused=job.paused,
        # Progress itself has no time in the database. A process that works on the job gives a sign of life.
        progress_at=max((runner.heartbeat_at for runner in details.runners), default=job.created_at),
        ratio=details.summary.percent / 100,
        values=details.summary.counts.scanned,
    )
