"""The options that several commands have in common."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fluxbase_cli.cli.durations import TIME, seconds
from fluxbase_cli.cli.notify import Notify
from fluxbase_cli.cli.options import Databases, option_group
from fluxbase_cli.errors import ConfigurationError

if TYPE_CHECKING:
    from fluxbase_cli.catalogue.extra import SearchScope
    from fluxbase_cli.engine.throttle.pacing import MaxLag
    from fluxbase_cli.store.limits import Limits


def whole_number(*, least: int, most: int | None = None) -> Callable[[str | int], int]:
    """A parser for an option that is a whole number.

    Args:
        least: the smallest number.
        most: the largest number; None if there is none.
    """

    def parse(text: str | int) -> int:
        limits = f"{least} or more" if most is None else f"{least} to {most}"
        try:
            # A default is a number already.
            number = int(text)
        except ValueError:
            raise typer.BadParameter(f"{text!r} is not a whole number, such as {max(least, 1)}") from None
        if number < least or (most is not None and number > most):
            raise typer.BadParameter(f"{number} is too {'small' if number < least else 'large'}; it must be {limits}")
        return number

    return parse


BatchSize = Annotated[
    int,
    typer.Option(
        "--batch-size",
        parser=whole_number(least=1, most=50_000),
        metavar="N",
        help="Write this many rows in one transaction.",
    ),
]
ReadBatchSize = Annotated[
    int,
    typer.Option(
        "--batch-size",
        parser=whole_number(least=1, most=50_000),
        metavar="N",
        help="Read this many rows at once.",
    ),
]


def plan_digest(text: str) -> str:
    """A parser for the digest of a plan."""
    found = text.strip().lower()
    if not re.fullmatch("sha256:[0-9a-f]{64}", found):
        raise typer.BadParameter(f"{text!r} is not a digest: sha256: and 64 hexadecimal digits")
    return found


JobBatchSize = Annotated[
    int | None,
    typer.Option(
        "--batch-size",
        parser=whole_number(least=1, most=50_000),
        metavar="N",
        help="Write this many rows in one transaction. [default: at most 1000, fewer if a batch takes longer than "
        "--batch-time]",
    ),
]
BatchTime = Annotated[
    float,
    typer.Option(
        "--batch-time",
        parser=seconds("--batch-time"),
        metavar=TIME,
        help="Choose the batch size so that a transaction takes about this long. Without effect if --batch-size is "
        "given. 0: no limit.",
    ),
]
Vacuum = Annotated[
    bool,
    typer.Option(
        "--vacuum",
        help="After the job, vacuum the tables that have many dead rows.",
    ),
]
Concurrency = Annotated[
    int,
    typer.Option(
        "--concurrency",
        parser=whole_number(least=1, most=64),
        metavar="N",
        help="Use this many workers, each with its own connection.",
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Open every value, commit nothing, and estimate what the run will cost.",
    ),
]
Join = Annotated[
    bool,
    typer.Option("--join", help="Work together with another process on its job."),
]
RunName = Annotated[
    str | None,
    typer.Option(
        "--run-name",
        metavar="NAME",
        help="Processes with the same name share one job. The first process begins it, and the others join it. A "
        "process that starts after the job has ended reports the job and begins no other.",
    ),
]
Patience = Annotated[
    float,
    typer.Option(
        "--patience",
        parser=seconds("--patience"),
        metavar=TIME,
        help="Give up after the same error (no connection, a locked row, a full disk) lasts this long.",
    ),
]
Restart = Annotated[
    bool,
    typer.Option(
        "--restart",
        help="Begin a new job instead of resuming an unfinished one.",
    ),
]
Yes = Annotated[
    bool,
    typer.Option(
        "--yes",
        "-y",
        "--force",
        envvar="FLUXBASE_CLI_YES",
        show_envvar=False,
        help="Do not ask for confirmation. Without a terminal, as in cron, nothing is asked. No refusal is skipped.",
    ),
]
AllowTriggers = Annotated[
    bool,
    typer.Option(
        "--allow-triggers",
        help="Continue even if triggers can't be disabled. They then fire for every row written: updated_at changes, "
        "and webhook triggers POST copies of old and new rows (with sealed values) to other systems. Better: GRANT SET "
        "ON PARAMETER session_replication_role to the role.",
    ),
]
AllowPublications = Annotated[
    bool,
    typer.Option(
        "--allow-publications",
        help="Accept that the tables of fluxbase_rotation are published to subscribers. Create them there first.",
    ),
]
AcceptUndecryptable = Annotated[
    bool,
    typer.Option(
        "--accept-undecryptable",
        help="Continue even if no key opens over half of a location's sample. Such values are left as they are.",
    ),
]


MaxRate = Annotated[
    float | None,
    typer.Option(
        "--max-rate",
        min=0,
        metavar="N",
        help="Handle at most this many secrets a second. The job's runners share the rate equally. 0: no limit.",
    ),
]
MaxReplicaLag = Annotated[
    str | None,
    typer.Option(
        "--max-replica-lag",
        metavar="LAG",
        help="Wait while a standby is further behind than this: 10s, 64MB, or both (10s,64MB). 0: no limit.",
    ),
]


DatabasesOption = Annotated[
    Databases,
    typer.Option(
        "--databases",
        help="Use these databases: the main one, those of branches, those of tenants, or all of them.",
    ),
]
LocationsOption = Annotated[
    Path | None,
    typer.Option(
        "--locations",
        metavar="FILE",
        help="Read this YAML file. It lists more locations of sealed values, and what you leave out on purpose.",
    ),
]
TransactionWait = Annotated[
    float,
    typer.Option(
        "--transaction-wait",
        parser=seconds("--transaction-wait"),
        metavar=TIME,
        help="Wait at most this long for open transactions that have written to a sealed table.",
    ),
]


AllowWeakKey = Annotated[
    bool,
    typer.Option("--allow-weak-key", help="Accept a target key that is publicly known or easy to guess."),
]
AllowUnusableKey = Annotated[
    bool,
    typer.Option(
        "--allow-unusable-key",
        help="Accept a target key that the server can't be given, because it is not text of 32 bytes.",
    ),
]


PlanOut = Annotated[
    Path | None,
    typer.Option(
        "--plan-out",
        metavar="FILE",
        help="Write what would be done to this file, for somebody to approve. Changes nothing, as --dry-run. The tool "
        "does not know who approves: your CI asks for that, between the job with --plan-out and the one with --plan.",
    ),
]
PlanIn = Annotated[
    Path | None,
    typer.Option(
        "--plan",
        metavar="FILE",
        help="Run exactly this plan, without a question. Refused with exit code 3 if the database or the keys are not "
        "those of the plan any more.",
    ),
]
PlanDigest = Annotated[
    str | None,
    typer.Option(
        "--plan-digest",
        parser=plan_digest,
        metavar="DIGEST",
        help="With --plan: the digest that was approved, as --plan-out has printed it (sha256:…). Another plan is "
        "refused with exit code 3.",
    ),
]
PlanValid = Annotated[
    float,
    typer.Option(
        "--plan-valid",
        parser=seconds("--plan-valid", least=60.0, most=2_592_000.0, needs_unit=True),
        metavar=TIME,
        help="With --plan-out: the plan is refused after this time, as in 24h. At most 30d.",
    ),
]


@option_group
@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """The options of a job. `re-encrypt` and `rollback` have the same ones. Each field means the same as its option."""

    batch_size: JobBatchSize = None
    batch_time: BatchTime = 0.1
    concurrency: Concurrency = 4
    max_rate: MaxRate = None
    max_replica_lag: MaxReplicaLag = None
    dry_run: DryRun = False
    join: Join = False
    run_name: RunName = None
    restart: Restart = False
    patience: Patience = 120.0
    yes: Yes = False
    allow_triggers: AllowTriggers = False
    allow_publications: AllowPublications = False
    accept_undecryptable: AcceptUndecryptable = False
    allow_weak_key: AllowWeakKey = False
    allow_unusable_key: AllowUnusableKey = False
    vacuum: Vacuum = False
    databases: DatabasesOption = Databases.MAIN
    locations: LocationsOption = None
    transaction_wait: TransactionWait = 10.0
    notify: Notify = None
    plan_out: PlanOut = None
    plan: PlanIn = None
    plan_digest: PlanDigest = None
    plan_valid: PlanValid = 86_400.0


def max_lag(text: str | None) -> MaxLag | None:
    """Read `--max-replica-lag`.

    Raises:
        ConfigurationError: the text is neither a time nor a size.
    """
    from fluxbase_cli.engine.throttle.pacing import MaxLag  # noqa: PLC0415  # start-up time

    if text is None:
        return None
    try:
        return MaxLag.parse(text)
    except ValueError:
        raise ConfigurationError(
            f"--max-replica-lag {text!r} is neither a time nor a size", hint="Write 10s, 500ms, 2m, 64MB, or 10s,64MB."
        ) from None


def limits_of(batch_size: int | None) -> Limits:
    """The limits of a batch. None means the default."""
    from fluxbase_cli.store.limits import DEFAULT_LIMITS, Limits  # noqa: PLC0415  # start-up time

    return DEFAULT_LIMITS if batch_size is None else Limits(rows=batch_size, bytes=DEFAULT_LIMITS.bytes)


def scope_of(path: Path | None) -> SearchScope:
    """The locations of the releases, and those in the file of `--locations`.

    Raises:
        ConfigurationError: the file can't be used.
    """
    from fluxbase_cli.catalogue.extra import read_places  # noqa: PLC0415  # start-up time

    return read_places(path)
