"""`fluxbase-cli secrets`: re-encrypt, audit, rollback, status; see `control` for pause, resume and tune."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fluxbase_cli.cli import control
from fluxbase_cli.cli.confirm import confirmed
from fluxbase_cli.cli.context import load, load_with_keys, messages_for
from fluxbase_cli.cli.control import MaxRate, MaxReplicaLag
from fluxbase_cli.cli.fleet import with_fleet
from fluxbase_cli.cli.options import Databases, Options, Output, command, group_options
from fluxbase_cli.cli.output import print_result, write
from fluxbase_cli.cli.scope import DatabasesOption, LocationsOption, TransactionWait, places_of
from fluxbase_cli.errors import ConfigurationError, ExitCode

if TYPE_CHECKING:
    from fluxbase_cli.config import DatabaseSettings
    from fluxbase_cli.engine.request import JobRequest
    from fluxbase_cli.report.messages import Messages

_GROUP_HELP = "Move the sealed values to another key, and prove it."

BatchSize = Annotated[
    int,
    typer.Option(
        "--batch-size",
        min=1,
        max=50_000,
        metavar="N",
        envvar="FLUXBASE_CLI_BATCH_SIZE",
        show_envvar=False,
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
        envvar="FLUXBASE_CLI_BATCH_SIZE",
        show_envvar=False,
        help="Rows in one batch's transaction. [default: 1000 at most, fewer where a batch takes over --batch-time]",
    ),
]
BatchTime = Annotated[
    float,
    typer.Option(
        "--batch-time",
        min=0,
        metavar="SECONDS",
        envvar="FLUXBASE_CLI_BATCH_TIME",
        show_envvar=False,
        help="How long a batch's transaction should take; sets its size where --batch-size does not. 0: any time.",
    ),
]
Vacuum = Annotated[
    bool,
    typer.Option(
        "--vacuum",
        envvar="FLUXBASE_CLI_VACUUM",
        show_envvar=False,
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
        envvar="FLUXBASE_CLI_CONCURRENCY",
        show_envvar=False,
        help="Workers, each with a connection.",
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        envvar="FLUXBASE_CLI_DRY_RUN",
        show_envvar=False,
        help="Open every value, commit nothing anywhere, and say what the run will cost.",
    ),
]
Join = Annotated[
    bool,
    typer.Option(
        "--join", envvar="FLUXBASE_CLI_JOIN", show_envvar=False, help="Help a job that another process works on."
    ),
]
RunName = Annotated[
    str | None,
    typer.Option(
        "--run-name",
        metavar="NAME",
        envvar="FLUXBASE_CLI_RUN_NAME",
        show_envvar=False,
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
        envvar="FLUXBASE_CLI_PATIENCE",
        show_envvar=False,
        help="How long one and the same trouble (no connection, a locked row, a full disk) is waited out.",
    ),
]
Restart = Annotated[
    bool,
    typer.Option(
        "--restart",
        envvar="FLUXBASE_CLI_RESTART",
        show_envvar=False,
        help="Begin anew instead of going on with an unfinished job.",
    ),
]
Yes = Annotated[
    bool, typer.Option("--yes", "-y", envvar="FLUXBASE_CLI_YES", show_envvar=False, help="Do not ask for confirmation.")
]
AllowTriggers = Annotated[
    bool,
    typer.Option(
        "--allow-triggers",
        envvar="FLUXBASE_CLI_ALLOW_TRIGGERS",
        show_envvar=False,
        help="Go on where triggers can't be kept silent. They then fire for every row written: updated_at moves, and "
        "webhook triggers copy old and new rows (sealed values included) and POST them out. Better: GRANT SET ON "
        "PARAMETER session_replication_role to the role.",
    ),
]
AcceptUndecryptable = Annotated[
    bool,
    typer.Option(
        "--accept-undecryptable",
        envvar="FLUXBASE_CLI_ACCEPT_UNDECRYPTABLE",
        show_envvar=False,
        help="Go on though over half of the sampled values of a location open under no key; they are left as they are.",
    ),
]


def make_app() -> typer.Typer:
    """The group of commands."""
    app = typer.Typer(help=_GROUP_HELP, no_args_is_help=True, rich_markup_mode=None)
    app.callback()(group_options(_group))
    app.command("re-encrypt", epilog=_RE_ENCRYPT_EXAMPLES)(command(with_fleet(re_encrypt)))
    app.command("audit", epilog=_AUDIT_EXAMPLES)(command(with_fleet(audit)))
    app.command("rollback", epilog=_ROLLBACK_EXAMPLES)(command(with_fleet(rollback)))
    app.command("status", epilog=_STATUS_EXAMPLES)(command(status))
    control.add_to(app)
    return app


def _group() -> None:
    """The sealed values."""


_RE_ENCRYPT_EXAMPLES = """\b
Examples:
  fluxbase-cli secrets re-encrypt --from-version 1 --to-version 2 --dry-run
  fluxbase-cli secrets re-encrypt --from-version 1 --to-version 2 --yes -o json
  fluxbase-cli secrets re-encrypt --from-version 1 --to-version 2 --max-rate 2000 --max-replica-lag 10s --vacuum
  fluxbase-cli secrets re-encrypt --from-version 1 --to-version 2 --fleet fleet.yaml --parallel 4
"""


def re_encrypt(  # noqa: PLR0913  # a command's options
    options: Options,
    *,
    from_version: Annotated[
        int | None,
        typer.Option(
            "--from-version",
            min=1,
            metavar="N",
            envvar="FLUXBASE_CLI_FROM_VERSION",
            show_envvar=False,
            help="Move values under this key version. [default: all that are not under the target]",
        ),
    ] = None,
    to_version: Annotated[
        int | None,
        typer.Option(
            "--to-version",
            min=1,
            metavar="N",
            envvar="FLUXBASE_CLI_TO_VERSION",
            show_envvar=False,
            help="Seal them under this one. [default: active_key_version]",
        ),
    ] = None,
    batch_size: JobBatchSize = None,
    batch_time: BatchTime = 0.1,
    concurrency: Concurrency = 4,
    max_rate: MaxRate = None,
    max_replica_lag: MaxReplicaLag = None,
    dry_run: DryRun = False,
    join: Join = False,
    run_name: RunName = None,
    restart: Restart = False,
    patience: Patience = 120.0,
    yes: Yes = False,
    allow_triggers: AllowTriggers = False,
    accept_undecryptable: AcceptUndecryptable = False,
    vacuum: Vacuum = False,
    databases: DatabasesOption = Databases.MAIN,
    locations: LocationsOption = None,
    transaction_wait: TransactionWait = 10.0,
) -> int:
    """Move every sealed value from one key to another, while the server may be writing.

    Each value is opened, sealed anew, opened again, and written only where the stored text is still what was read.
    Progress is kept in the database: after an interruption the same command goes on where it was.
    """
    from fluxbase_cli.engine.goal import Goal  # noqa: PLC0415  # start-up time
    from fluxbase_cli.engine.request import JobRequest  # noqa: PLC0415
    from fluxbase_cli.store.records import JobKind  # noqa: PLC0415

    max_lag = control.max_lag(max_replica_lag)
    scope = places_of(locations)

    def request(active: int) -> JobRequest:
        target = active if to_version is None else to_version
        if from_version == target:
            raise ConfigurationError(
                f"--from-version and --to-version are both {target}", hint="Name the old version and the new one."
            )
        return JobRequest(
            kind=JobKind.RE_ENCRYPT,
            goal=Goal(target=target, source=from_version),
            limits=_limits(batch_size),
            batch_s=_batch_s(batch_size, batch_time),
            max_rate_per_s=max_rate,
            max_lag=max_lag,
            vacuum=vacuum,
            workers=concurrency,
            dry_run=dry_run,
            join=join,
            restart=restart,
            run_name=_run_name(run_name, restart=restart, dry_run=dry_run),
            retry_limit_s=patience,
            allow_triggers=allow_triggers,
            accept_undecryptable=accept_undecryptable,
            catalogue=scope.catalogue,
            wait_s=transaction_wait,
        )

    return _run_job(options, request, yes=yes, databases=databases)


_ROLLBACK_EXAMPLES = """\b
Example:
  fluxbase-cli secrets rollback --to-version 1 --reason "New key compromised"
"""


def rollback(  # noqa: PLR0913  # a command's options
    options: Options,
    *,
    to_version: Annotated[
        int,
        typer.Option(
            "--to-version",
            min=1,
            metavar="N",
            envvar="FLUXBASE_CLI_TO_VERSION",
            show_envvar=False,
            help="The version to go back to.",
        ),
    ],
    reason: Annotated[
        str,
        typer.Option(
            "--reason", envvar="FLUXBASE_CLI_REASON", show_envvar=False, help="Why; kept with who, when and from where."
        ),
    ],
    batch_size: JobBatchSize = None,
    batch_time: BatchTime = 0.1,
    concurrency: Concurrency = 4,
    max_rate: MaxRate = None,
    max_replica_lag: MaxReplicaLag = None,
    dry_run: DryRun = False,
    join: Join = False,
    run_name: RunName = None,
    restart: Restart = False,
    patience: Patience = 120.0,
    yes: Yes = False,
    allow_triggers: AllowTriggers = False,
    accept_undecryptable: AcceptUndecryptable = False,
    vacuum: Vacuum = False,
    databases: DatabasesOption = Databases.MAIN,
    locations: LocationsOption = None,
    transaction_wait: TransactionWait = 10.0,
) -> int:
    """Go back: move everything that is not under an older key version to it.

    The same engine as `re-encrypt`, the other way. An unfinished re-encryption is superseded. (The server's own
    `fluxbase secrets rollback NAME VERSION` is another thing: it restores one secret's earlier value.)
    """
    from fluxbase_cli.engine.goal import Goal  # noqa: PLC0415  # start-up time
    from fluxbase_cli.engine.request import JobRequest  # noqa: PLC0415
    from fluxbase_cli.store.records import JobKind  # noqa: PLC0415

    if not reason.strip():
        raise ConfigurationError("--reason is empty", hint="Say why: it is kept in the record of events.")

    max_lag = control.max_lag(max_replica_lag)
    scope = places_of(locations)

    def request(_active: int) -> JobRequest:
        return JobRequest(
            kind=JobKind.ROLLBACK,
            goal=Goal(target=to_version),
            reason=reason.strip(),
            limits=_limits(batch_size),
            batch_s=_batch_s(batch_size, batch_time),
            max_rate_per_s=max_rate,
            max_lag=max_lag,
            vacuum=vacuum,
            workers=concurrency,
            dry_run=dry_run,
            join=join,
            restart=restart,
            run_name=_run_name(run_name, restart=restart, dry_run=dry_run),
            retry_limit_s=patience,
            allow_triggers=allow_triggers,
            accept_undecryptable=accept_undecryptable,
            catalogue=scope.catalogue,
            wait_s=transaction_wait,
        )

    code = _run_job(options, request, yes=yes, databases=databases)
    if code in (ExitCode.DONE, ExitCode.UNDECRYPTABLE_LEFT) and not dry_run:
        messages_for(options).tell(
            "Now set in the configuration, and restart the server:\n\n"
            f"    security:\n      encryption:\n        active_key_version: {to_version}\n"
        )
    return code


def _run_name(name: str | None, *, restart: bool, dry_run: bool) -> str | None:
    if name is None:
        return None
    if not name.strip():
        raise ConfigurationError("--run-name is empty", hint="Give each run a name of its own, or leave it out.")
    if restart or dry_run:
        raise ConfigurationError(
            f"--run-name and --{'restart' if restart else 'dry-run'} can't go together",
            hint="A run's processes share one job; leave one of the two out.",
        )
    return name.strip()


def _limits(batch_size: int | None) -> Any:  # noqa: ANN401  # Limits, imported when used
    from fluxbase_cli.store.rows import DEFAULT_LIMITS, Limits  # noqa: PLC0415  # start-up time

    return DEFAULT_LIMITS if batch_size is None else Limits(rows=batch_size, bytes=DEFAULT_LIMITS.bytes)


def _batch_s(batch_size: int | None, batch_time: float) -> float | None:
    """How long a batch should take: a size that was asked for is kept to."""
    return batch_time or None if batch_size is None else None


def _run_job(options: Options, request_for: Callable[[int], JobRequest], *, yes: bool, databases: Databases) -> int:
    from fluxbase_cli.cli.signals import leave_on_sigterm, stop_on_signals  # noqa: PLC0415  # start-up time
    from fluxbase_cli.engine.databases import DatabasesRun, prepare_databases  # noqa: PLC0415
    from fluxbase_cli.engine.stop import Stop  # noqa: PLC0415
    from fluxbase_cli.keys.history import read_history  # noqa: PLC0415
    from fluxbase_cli.keys.loader import refuse_as_target  # noqa: PLC0415
    from fluxbase_cli.keys.target_check import target_check  # noqa: PLC0415
    from fluxbase_cli.report.costs import cost_lines  # noqa: PLC0415
    from fluxbase_cli.report.json_report import databases_report  # noqa: PLC0415
    from fluxbase_cli.report.progress import progress_for  # noqa: PLC0415
    from fluxbase_cli.report.text import database_lines, job_lines, job_title  # noqa: PLC0415
    from fluxbase_cli.store.databases import Databases as Wanted  # noqa: PLC0415

    messages = messages_for(options)
    loaded = load_with_keys(options, messages)
    request, wanted = request_for(loaded.keyring.active), Wanted(databases.value)
    with leave_on_sigterm(lambda text: messages.fail(text, None)):
        if not request.dry_run:
            target = loaded.keyring.key(request.goal.target)
            if request.goal.source is not None:
                loaded.keyring.key(request.goal.source)
            # Both keys are there, or it was said without asking the database.
            refuse_as_target(read_history(loaded.settings.database), target)
        with progress_for(messages, color=options.color) as progress:
            targets = prepare_databases(loaded.settings.database, loaded.keyring, request, wanted, progress)
        for warning in targets.warnings:
            messages.warn(warning)
        if not request.dry_run and not yes and not confirmed(loaded, targets):
            messages.tell("Nothing was touched.")
            return ExitCode.FAILED

    as_text = options.output in (None, Output.TABLE)
    if as_text:
        write(job_title(request.kind, request.goal.source, request.goal.target))
    stop = Stop()
    with stop_on_signals(stop, messages.tell), progress_for(messages, color=options.color) as progress:
        check = target_check(
            loaded.settings, os.environ, loaded.keyring.key(request.goal.target), warn=messages.warn_once
        )
        run = DatabasesRun(loaded.keyring, targets, request, stop=stop, observer=progress, before_begin=check)
        everywhere = run.run()
    report = everywhere.together
    print_result(options, databases_report(everywhere), (*job_lines(report), *database_lines(everywhere)))
    for each in report.unexamined:
        messages.warn(f"not examined: {each}")
    if report.quarantine:
        _list_quarantine(messages, report.quarantine, report.job)
    for line in cost_lines(report):
        messages.tell(line)
    if report.state == "interrupted":
        messages.tell("The same command goes on from the last committed batch.")
    return report.exit_code


def _list_quarantine(messages: Messages, entries: Any, job: int | None) -> None:  # noqa: ANN401  # start-up time
    from fluxbase_cli.report.json_report import quarantine  # noqa: PLC0415  # start-up time
    from fluxbase_cli.report.text import quarantine_lines  # noqa: PLC0415

    if messages.as_json:
        for entry, fields in zip(entries, quarantine(entries), strict=True):
            messages.warn(entry.reason, **fields)
        return
    messages.warn("\n".join(quarantine_lines(entries, job)))


_AUDIT_EXAMPLES = """\b
Examples:
  fluxbase-cli secrets audit
  fluxbase-cli secrets audit --key-version 1 && echo "version 1 is no longer needed"
  fluxbase-cli secrets audit --key-version 1 --databases all --deep
"""


def audit(  # noqa: PLR0913  # a command's options
    options: Options,
    *,
    key_version: Annotated[
        int | None,
        typer.Option(
            "--key-version",
            min=1,
            metavar="N",
            envvar="FLUXBASE_CLI_KEY_VERSION",
            show_envvar=False,
            help="Ask about this version: exit 0 where no value needs its key any more, else 3.",
        ),
    ] = None,
    deep: Annotated[
        bool,
        typer.Option(
            "--deep",
            envvar="FLUXBASE_CLI_DEEP",
            show_envvar=False,
            help="Also look into every text, JSON and bytea column of every table.",
        ),
    ] = False,
    databases: DatabasesOption = Databases.MAIN,
    locations: LocationsOption = None,
    transaction_wait: TransactionWait = 10.0,
    batch_size: BatchSize = 1000,
    concurrency: Concurrency = 4,
) -> int:
    """Open every value with every configured key, and say which keys are still needed.

    Reads only: a read-only role that sees all rows is enough. What could not be examined is listed, and then the audit
    ends with 4: only exit 0 means that nothing needs the key.
    """
    from fluxbase_cli.cli.signals import stop_on_signals  # noqa: PLC0415  # start-up time
    from fluxbase_cli.engine.stop import Stop  # noqa: PLC0415
    from fluxbase_cli.proof.proof import ProofRequest, take_proof  # noqa: PLC0415
    from fluxbase_cli.report.json_report import proof_report  # noqa: PLC0415
    from fluxbase_cli.report.progress import progress_for  # noqa: PLC0415
    from fluxbase_cli.report.text import census_lines, proof_lines  # noqa: PLC0415
    from fluxbase_cli.store.databases import Databases as Wanted  # noqa: PLC0415

    messages = messages_for(options)
    scope = places_of(locations)
    loaded = load_with_keys(options, messages)
    request = ProofRequest(
        limits=_limits(batch_size),
        key_version=key_version,
        databases=Wanted(databases.value),
        deep=deep,
        scope=scope,
        workers=concurrency,
        wait_s=transaction_wait,
    )
    stop = Stop()
    with stop_on_signals(stop, messages.tell), progress_for(messages, color=options.color) as progress:
        proof = take_proof(loaded.settings.database, loaded.keyring, request, stop=stop, observer=progress)
    if stop.requested:
        # Half a census proves nothing, so none is printed.
        messages.warn("interrupted; the audit is incomplete and proves nothing")
        return 128 + (stop.signal or 2)
    report = proof.together
    for warning in report.warnings:
        messages.warn(warning)
    for each in report.unexamined:
        messages.warn(f"not examined: {each}")
    print_result(options, proof_report(proof), (*census_lines(report), *proof_lines(proof)))
    if report.quarantine:
        _list_quarantine(messages, report.quarantine, None)
    return report.exit_code


_STATUS_EXAMPLES = """\b
Examples:
  fluxbase-cli secrets status
  fluxbase-cli secrets status 7 -o json
  fluxbase-cli secrets status --watch
  fluxbase-cli secrets status --watch --interval 10 -o json | jq -r .percent
"""


def status(
    options: Options,
    *,
    job: Annotated[int | None, typer.Argument(min=1, metavar="[JOB]", help="Show this job in full.")] = None,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            "-w",
            envvar="FLUXBASE_CLI_WATCH",
            show_envvar=False,
            help="Look again and again, at the unfinished job or at this one, until it has ended: a live table on a "
            "terminal, else a line each time (with -o json an object on a line).",
        ),
    ] = False,
    interval: Annotated[
        float,
        typer.Option(
            "--interval",
            min=0.1,
            max=3600.0,
            metavar="SECONDS",
            envvar="FLUXBASE_CLI_INTERVAL",
            show_envvar=False,
            help="How often to look with --watch.",
        ),
    ] = 2.0,
) -> int:
    """Show jobs, how far and how fast they are, who works on them, and what they could not open."""
    from fluxbase_cli.engine.observe.status import job_details, recent_jobs  # noqa: PLC0415  # start-up time
    from fluxbase_cli.report.status import details_data, details_lines, jobs_data, jobs_lines  # noqa: PLC0415

    settings = load(options)
    if job is not None:
        details = job_details(settings.database, job)
        if not watch:
            print_result(options, details_data(details), details_lines(details))
            return ExitCode.DONE
    if watch:
        code = _watch(options, settings.database, job, interval)
        if code is not None:
            return code
    summaries = recent_jobs(settings.database)
    print_result(options, jobs_data(summaries), jobs_lines(summaries))
    return ExitCode.DONE


def _watch(options: Options, database: DatabaseSettings, job: int | None, interval: float) -> int | None:
    """Watch a job and return the exit code; None where there is none to watch."""
    from fluxbase_cli.cli.signals import stop_on_signals  # noqa: PLC0415  # start-up time
    from fluxbase_cli.engine.observe.watch import watch  # noqa: PLC0415
    from fluxbase_cli.engine.stop import Stop  # noqa: PLC0415
    from fluxbase_cli.report.progress import LineProgress  # noqa: PLC0415
    from fluxbase_cli.report.watch import display_for  # noqa: PLC0415

    form = (options.output or Output.TABLE).value
    stop, seen = Stop(), False
    display = display_for(form, color=options.color)
    with stop_on_signals(stop, lambda _: None), display:
        waits = LineProgress(messages_for(options))
        for details in watch(database, job, every_s=interval, stop=stop, observer=waits):
            display.show(details)
            seen = True
    if stop.requested:
        return 128 + (stop.signal or 2)
    return ExitCode.DONE if seen else None
