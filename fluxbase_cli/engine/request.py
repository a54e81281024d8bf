"""What an operator asks of a job."""

from __future__ import annotations

from dataclasses import dataclass

from fluxbase_cli.engine.goal import Goal
from fluxbase_cli.engine.retry import PATIENCE_S
from fluxbase_cli.store.jobs import JobKind
from fluxbase_cli.store.values import DEFAULT_LIMITS, Limits


@dataclass(frozen=True, slots=True)
class JobRequest:
    """What the operator asks for.

    Attributes:
        kind: re-encryption or rollback.
        goal: which values shall come under which version.
        reason: kept with the job; a rollback must have one.
        limits: how much one batch may hold.
        workers: threads, each with a connection.
        dry_run: open everything, write nothing anywhere.
        join: take shards of a job that another process works on.
        restart: begin anew instead of going on with an unfinished job.
        allow_triggers: accept that triggers fire where they can't be kept silent.
        accept_undecryptable: go on though most sampled values of a location open under no key.
        run_name: processes with the same name share one job, whoever comes first, late or again.
        patience_s: how long one and the same trouble may last, in seconds.
    """

    kind: JobKind
    goal: Goal
    reason: str | None = None
    limits: Limits = DEFAULT_LIMITS
    workers: int = 4
    dry_run: bool = False
    join: bool = False
    restart: bool = False
    allow_triggers: bool = False
    accept_undecryptable: bool = False
    run_name: str | None = None
    patience_s: float = PATIENCE_S
