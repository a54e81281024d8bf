"""The request of an operator for a job."""

from __future__ import annotations

from dataclasses import dataclass

from fluxbase_cli.catalogue.locations import CATALOGUE, SealedTable
from fluxbase_cli.engine.goal import Goal
from fluxbase_cli.engine.read.snapshot import WRITERS_WAIT_S
from fluxbase_cli.engine.retry import RETRY_LIMIT_S
from fluxbase_cli.engine.throttle.pacing import TARGET_BATCH_S, MaxLag
from fluxbase_cli.store.limits import DEFAULT_LIMITS, Limits
from fluxbase_cli.store.records import JobKind


@dataclass(frozen=True, slots=True)
class JobRequest:
    """A job, as the operator requests it.

    Attributes:
        kind: re-encryption or rollback.
        goal: which values move to which version.
        reason: stored with the job; a rollback must have one.
        limits: how much one batch may hold.
        batch_s: how long a batch's transaction should take at most, in seconds. If it takes longer, batches get fewer
            rows. None keeps the size as it is.
        max_rate_per_s: values per second, of all runners of the job together. 0 removes the limit that was set before,
            None keeps it.
        max_lag: how far standbys may be behind. An empty `MaxLag` removes the limit that was set before, None keeps it.
        vacuum: vacuum the tables that would gain from it, after the job.
        workers: threads, each with a connection.
        dry_run: open everything and write nothing.
        join: take shards of a job that another process works on.
        restart: begin again instead of resuming an unfinished job.
        allow_triggers: accept that triggers fire if they can't be kept silent.
        allow_publications: accept that the progress tables are published to subscribers.
        accept_undecryptable: continue even if most values in the sample of a location are undecryptable.
        run_name: processes with the same name share one job, no matter which of them starts first, late or again.
        retry_limit_s: how long the same error may last, in seconds.
        catalogue: the sealed tables of the job.
        wait_s: how long the catch-up pass waits for open transactions that may have written sealed values, in seconds.
        number: the job's number, if the same job runs in several databases; None for the next number.
        secondary: the database is that of a branch or a tenant, not the main database.
        alone: no worker process may be started.
        scheduled: a program begins the job, not a person.
        plan: the digest of the plan file that the job runs; None without one.
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
    allow_publications: bool = False
    accept_undecryptable: bool = False
    run_name: str | None = None
    retry_limit_s: float = RETRY_LIMIT_S
    catalogue: tuple[SealedTable, ...] = CATALOGUE
    wait_s: float = WRITERS_WAIT_S
    number: int | None = None
    secondary: bool = False
    alone: bool = False
    scheduled: bool = False
    plan: str | None = None

    @property
    def obeys_stop(self) -> bool:
        """Whether `secrets stop` keeps this process from resuming the job: it may be started again automatically."""
        return self.join or self.run_name is not None or self.scheduled
