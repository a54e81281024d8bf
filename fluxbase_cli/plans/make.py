"""Makes a plan from a dry run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from fluxbase_cli.catalogue.locations import catalogue_digest
from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.counts import Counts
from fluxbase_cli.engine.databases import DatabasesReport, PreparedDatabases
from fluxbase_cli.engine.request import JobRequest
from fluxbase_cli.keyring import Keyring
from fluxbase_cli.plans.plan_file import PlannedDatabase, PlannedLocation, SavedPlan
from fluxbase_cli.store.identity import identify


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """What a plan needs besides the dry run.

    Attributes:
        options: the options of the command, by their names in `JobOptions`.
        valid_s: how long the plan is valid, in seconds.
    """

    options: Mapping[str, Any]
    valid_s: float


def make_plan_of(  # noqa: PLR0913, PLR0917  # a plan is made of all of it
    database: DatabaseSettings,
    keyring: Keyring,
    request: JobRequest,
    targets: PreparedDatabases,
    dry_run: DatabasesReport,
    estimate: Mapping[str, Any] | None,
    asked: PlanRequest,
) -> SavedPlan:
    """Make the plan of a job from its dry run, which has succeeded.

    Args:
        database: the main database.
        keyring: the keys.
        request: the job.
        targets: the databases in which it was tried.
        dry_run: what the dry run found.
        estimate: the estimate, as in JSON.
        asked: the options.

    Raises:
        ConfigurationError, DatabaseError: the database can't be reached any more.
    """
    main, now = identify(database)
    reports = {each.name: each.report for each in dry_run.databases}
    planned = []
    for target in targets.found:
        report, prepared = reports.get(target.name), target.prepared
        if prepared is None or report is None:
            continue
        planned.append(
            PlannedDatabase(
                target.name,
                target.kind,
                tuple(
                    PlannedLocation(location, values, report.locations.get(location, Counts()).as_dict())
                    for location, values in prepared.plan.values_by_location.items()
                ),
            )
        )
    release = targets.release
    return SavedPlan(
        kind=request.kind,
        from_version=request.goal.source,
        to_version=request.goal.target,
        reason=request.reason,
        created_at=now,
        expires_at=now + timedelta(seconds=asked.valid_s),
        main=main,
        release="" if release is None else release.name,
        keys={key.version: key.fingerprint for key in keyring.keys},
        options=asked.options,
        catalogue=catalogue_digest(request.catalogue),
        databases=tuple(planned),
        estimate=estimate,
        undecryptable=dry_run.together.total.undecryptable,
        unexamined=tuple(each.as_dict() for each in dry_run.together.unexamined),
        warnings=targets.warnings,
    )
