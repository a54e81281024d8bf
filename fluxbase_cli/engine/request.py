"""What an operator asks of a job."""

from __future__ import annotations

from dataclasses import dataclass

from fluxbase_cli.catalogue.locations import CATALOGUE, SealedTable
from fluxbase_cli.engine.goal import Goal
from fluxbase_cli.engine.read.snapshot import WRITERS_WAIT_S
from fluxbase_cli.engine.retry import RETRY_LIMIT_S
from fluxbase_cli.engine.throttle.pacing import TARGET_BATCH_S, MaxLag
from fluxbase_cli.store.records import JobKind
from fluxbase_cli.store.rows import DEFAULT_LIMITS, Limits


@dataclass(frozen=True, slots=True)
class JobRequest:
    """What the operator asks for.

    Attributes:
        kind: re-encryption or rollback.
        goal: which values shall come under which version.
        reason: kept with the job; a rollback must have one.
        limits: how much one batch may hold.
        batch_s: how long a batch's transaction should take at most, in seconds; fewer rows are taken where it takes
            longer. None keeps the size as it is.
        max_rate_per_s: values a second, of all runners of the job together; 0 lifts what was set before, None leaves
            it.
        max_lag: how far standbys may fall behind; without limits it lifts what was set before, None leaves it.
        vacuum: vacuum the tables that would gain from it, after the job.
        workers: threads, each with a connection.
        dry_run: open everything, write nothing anywhere.
        join: take shards of a job that another process works on.
        restart: begin anew instead of going on with an unfinished job.
        allow_triggers: accept that triggers fire where they can't be kept silent.
        accept_undecryptable: go on though most sampled values of a location open under no key.
        run_name: processes with the same name share one job, whoever comes first, late or again.
        retry_limit_s: how long one and the same trouble may last, in seconds.
        catalogue: the sealed tables to go through.
        number: the job's number, where it is one of several in as many databases; None for the next one.
        beside: the database is a branch's or a tenant's, not the main one.
        alone: no second process may be started.
        wait_s: how long the closing census waits for open transactions that may have written sealed values, in seconds.
    """

    kind: JobKind
    goal: Goal
    reason: str | None = None
    limits: Limits = DEFAULT_LIMITS
    batch_s: float | None = TARGET_BATCH_S
    max_rate_per_s: float | None = None
    max_lag: MaxLag | None = None
    vacuum: bool = False
    workers: int = 4
    dry_run: bool = False
    join: bool = False
    restart: bool = False
    allow_triggers: bool = False
    accept_undecryptable: bool = False
    run_name: str | None = None
    retry_limit_s: float = RETRY_LIMIT_S
    catalogue: tuple[SealedTable, ...] = CATALOGUE
    wait_s: float = WRITERS_WAIT_S
    number: int | None = None
    secondary: bool = False
    alone: bool = False
