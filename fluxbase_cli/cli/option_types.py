"""The options that several commands share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fluxbase_cli.cli.options import Databases, option_group
from fluxbase_cli.errors import ConfigurationError

if TYPE_CHECKING:
    from fluxbase_cli.catalogue.extra import SearchScope
    from fluxbase_cli.engine.throttle.pacing import MaxLag
    from fluxbase_cli.store.rows import Limits

BatchSize = Annotated[
    int,
    typer.Option(
        "--batch-size",
        min=1,
        max=50_000,
        metavar="N",
        help="Rows in one batch's transaction.",
    ),
]
JobBatchSize = Annotated[
    int | None,
    typer.Option(
        "--batch-size",
        min=1,
        max=50_000,
        metavar="N",
        help="Rows in one batch's transaction. [default: 1000 at most, fewer where a batch takes over --batch-time]",
    ),
]
BatchTime = Annotated[
    float,
    typer.Option(
        "--batch-time",
        min=0,
        metavar="SECONDS",
        help="How long a batch's transaction should take; sets its size where --batch-size does not. 0: any time.",
    ),
]
Vacuum = Annotated[
    bool,
    typer.Option(
        "--vacuum",
        help="Vacuum the tables that would gain from it, after the job.",
    ),
]
Concurrency = Annotated[
    int,
    typer.Option(
        "--concurrency",
        min=1,
        max=64,
        metavar="N",
        help="Workers, each with a connection.",
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Open every value, commit nothing anywhere, and say what the run will cost.",
    ),
]
Join = Annotated[
    bool,
    typer.Option("--join", help="Help a job that another process works on."),
]
RunName = Annotated[
    str | None,
    typer.Option(
        "--run-name",
        metavar="NAME",
        help="Processes with the same name share one job: whoever comes first begins it, the others join it, and those "
        "that come after its end report it and begin none.",
    ),
]
Patience = Annotated[
    float,
    typer.Option(
        "--patience",
        min=0.0,
        max=86_400.0,
        metavar="SECONDS",
        help="How long one and the same trouble (no connection, a locked row, a full disk) is waited out.",
    ),
]
Restart = Annotated[
    bool,
    typer.Option(
        "--restart",
        help="Begin anew instead of going on with an unfinished job.",
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
AllowTriggers = Annotated[
    bool,
    typer.Option(
        "--allow-triggers",
        help="Go on where triggers can't be kept silent. They then fire for every row written: updated_at moves, and "
        "webhook triggers copy old and new rows (sealed values included) and POST them out. Better: GRANT SET ON "
        "PARAMETER session_replication_role to the role.",
    ),
]
AcceptUndecryptable = Annotated[
    bool,
    typer.Option(
        "--accept-undecryptable",
        help="Go on though over half of the sampled values of a location open under no key; they are left as they are.",
    ),
]


MaxRate = Annotated[
    float | None,
    typer.Option(
        "--max-rate",
        min=0,
        metavar="N",
        help="Secrets a second at most, of the whole job: its runners share them evenly. 0 lifts the limit.",
    ),
]
MaxReplicaLag = Annotated[
    str | None,
    typer.Option(
        "--max-replica-lag",
        metavar="LAG",
        help="Wait while a standby is further behind than this: 10s, 64MB, or both (10s,64MB). 0 lifts the limit.",
    ),
]


DatabasesOption = Annotated[
    Databases,
    typer.Option(
        "--databases",
        help="Which databases: the main one, those of branches, those of tenants, or all of them.",
    ),
]
LocationsOption = Annotated[
    Path | None,
    typer.Option(
        "--locations",
        metavar="FILE",
        help="A YAML file with further places of sealed values, and with what is left out on purpose.",
    ),
]
TransactionWait = Annotated[
    float,
    typer.Option(
        "--transaction-wait",
        min=0.0,
        max=86_400.0,
        metavar="SECONDS",
        help="How long to wait for open transactions that have written to a sealed table.",
    ),
]


@option_group
@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """The options of a job: `re-encrypt` and `rollback` take the same ones. Each field has the option's meaning."""

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
    accept_undecryptable: AcceptUndecryptable = False
    vacuum: Vacuum = False
    databases: DatabasesOption = Databases.MAIN
    locations: LocationsOption = None
    transaction_wait: TransactionWait = 10.0


def max_lag(text: str | None) -> MaxLag | None:
    """Read `--max-replica-lag`.

    Raises:
        ConfigurationError: it can't be read.
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
    """The limits of a batch; None stands for the default."""
    from fluxbase_cli.store.rows import DEFAULT_LIMITS, Limits  # noqa: PLC0415  # start-up time

    return DEFAULT_LIMITS if batch_size is None else Limits(rows=batch_size, bytes=DEFAULT_LIMITS.bytes)


def scope_of(path: Path | None) -> SearchScope:
    """The places of the releases, and those of the file.

    Raises:
        ConfigurationError: the file can't be used.
    """
    from fluxbase_cli.catalogue.extra import read_places  # noqa: PLC0415  # start-up time

    return read_places(path)
