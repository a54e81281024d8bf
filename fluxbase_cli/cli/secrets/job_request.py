"""Makes the request of a job from its options."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fluxbase_cli.cli.option_types import JobOptions, limits_of, max_lag, scope_of
from fluxbase_cli.errors import ConfigurationError

if TYPE_CHECKING:
    from fluxbase_cli.engine.goal import Goal
    from fluxbase_cli.engine.request import JobRequest
    from fluxbase_cli.plans.plan_file import SavedPlan
    from fluxbase_cli.store.records import JobKind


def request_maker(job: JobOptions, plan: SavedPlan | None) -> Callable[[JobKind, Goal, str | None], JobRequest]:
    """Check a job's options, and return a function that makes the request."""
    from fluxbase_cli.engine.request import JobRequest  # noqa: PLC0415  # start-up time

    lag, scope = max_lag(job.max_replica_lag), scope_of(job.locations)

    def request(kind: JobKind, goal: Goal, reason: str | None) -> JobRequest:
        return JobRequest(
            kind=kind,
            goal=goal,
            reason=reason,
            limits=limits_of(job.batch_size),
            # If the operator sets a size, the batch time does not change it.
            batch_s=job.batch_time or None if job.batch_size is None else None,
            max_rate_per_s=job.max_rate,
            max_lag=lag,
            vacuum=job.vacuum,
            workers=job.concurrency,
            dry_run=job.dry_run,
            join=job.join,
            restart=job.restart,
            run_name=_run_name(job.run_name, restart=job.restart, dry_run=job.dry_run),
            retry_limit_s=job.patience,
            allow_triggers=job.allow_triggers,
            allow_publications=job.allow_publications,
            accept_undecryptable=job.accept_undecryptable,
            catalogue=scope.catalogue,
            wait_s=job.transaction_wait,
            plan=None if plan is None else plan.digest,
        )

    return request


def _run_name(name: str | None, *, restart: bool, dry_run: bool) -> str | None:
    if name is None:
        return None
    if not name.strip():
        raise ConfigurationError("--run-name is empty", hint="Give each run a different name, or leave the option out.")
    if restart or dry_run:
        raise ConfigurationError(
            f"--run-name and --{'restart' if restart else 'dry-run'} can't go together",
            hint="A run's processes share one job; leave one of the two out.",
        )
    return name.strip()
