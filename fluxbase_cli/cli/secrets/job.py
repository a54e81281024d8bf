"""The commands `fluxbase-cli secrets re-encrypt` and `rollback`. Both run a job of the same engine."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from fluxbase_cli.cli.ask import can_ask
from fluxbase_cli.cli.confirm import confirm
from fluxbase_cli.cli.context import load, messages_for, with_keys
from fluxbase_cli.cli.fleet import with_fleet
from fluxbase_cli.cli.notify import notifications_for
from fluxbase_cli.cli.option_types import JobOptions, whole_number
from fluxbase_cli.cli.options import LIST_OUTPUTS, Options, Output, command
from fluxbase_cli.cli.output import print_quarantine, print_result, write
from fluxbase_cli.cli.plan import (
    WrittenPlan,
    check_plan_options,
    opened_plan,
    place_and_keys_fit,
    work_fits,
    write_plan_of,
)
from fluxbase_cli.cli.secrets.job_request import request_maker
from fluxbase_cli.cli.telemetry import telemetry_for
from fluxbase_cli.errors import ConfigurationError, ExitCode
from fluxbase_cli.log_events import LogEvent, about
from fluxbase_cli.printable import Lines

if TYPE_CHECKING:
    from fluxbase_cli.cli.context import Loaded
    from fluxbase_cli.config import Settings
    from fluxbase_cli.engine.databases import DatabasesReport, PreparedDatabases
    from fluxbase_cli.engine.outcome import JobReport
    from fluxbase_cli.engine.request import JobRequest
    from fluxbase_cli.notifications.manual_run import ManualRun
    from fluxbase_cli.plans.plan_file import SavedPlan
    from fluxbase_cli.report.messages import Messages
    from fluxbase_cli.report.server_key import ServerNotes
    from fluxbase_cli.telemetry.listener import Value

_T = TypeVar("_T")


def add_to(app: typer.Typer) -> None:
    """Add the commands to the group `secrets`."""
    app.command("re-encrypt", epilog=_RE_ENCRYPT_EXAMPLES)(command(with_fleet(re_encrypt), fleet_outputs=LIST_OUTPUTS))
    app.command("rollback", epilog=_ROLLBACK_EXAMPLES)(command(with_fleet(rollback), fleet_outputs=LIST_OUTPUTS))


_RE_ENCRYPT_EXAMPLES = """\b
Examples:
  fluxbase-cli secrets re-encrypt --from-version 1 --to-version 2 --dry-run
  fluxbase-cli secrets re-encrypt --from-version 1 --to-version 2 -y -o json
  fluxbase-cli secrets re-encrypt --from-version 1 --to-version 2 \\
    --max-rate 2000 --max-replica-lag 10s --vacuum
  fluxbase-cli secrets re-encrypt --from-version 1 --to-version 2 \\
    --fleet fleet.yaml --parallel 4
  fluxbase-cli secrets re-encrypt --from-version 1 --to-version 2 \\
    --plan-out plan.json
  fluxbase-cli secrets re-encrypt --plan plan.json
"""


def re_encrypt(
    options: Options,
    *,
    from_version: Annotated[
        int | None,
        typer.Option(
            "--from-version",
            "--from",
            parser=whole_number(least=1),
            metavar="N",
            help="Move only values under this key version. [default: all values that are not under the target]",
        ),
    ] = None,
    to_version: Annotated[
        int | None,
        typer.Option(
            "--to-version",
            "--to",
            parser=whole_number(least=1),
            metavar="N",
            help="Seal the values under this key version. [default: active_key_version]",
        ),
    ] = None,
    reason: Annotated[
        str | None,
        typer.Option(
            "--reason", help="Why, for example a change ticket. It is recorded with who, when and from where."
        ),
    ] = None,
    job: JobOptions,
) -> int:
    """Move every sealed value from one key to another.

    The server may write at the same time. Each value is opened, sealed under the new key, opened again to check it, and
    written only if the stored text has not changed since it was read. Progress is kept in the database. After an
    interruption, run the same command again: it resumes.

    If the old key has leaked, first save the list of its secrets. Afterwards nothing says which they were:

    `fluxbase-cli secrets list --key-version N --databases all -o csv`
    """
    from fluxbase_cli.engine.goal import Goal  # noqa: PLC0415  # start-up time
    from fluxbase_cli.store.records import JobKind  # noqa: PLC0415

    job, plan = check_plan_options(job), None
    opened = opened_plan(JobKind.RE_ENCRYPT, job, {"from_version": from_version, "to_version": to_version})
    if opened is not None:
        plan, job = opened
        from_version, to_version = plan.from_version, plan.to_version
    make_request = request_maker(job, plan)

    def request(active: int) -> JobRequest:
        target = active if to_version is None else to_version
        if from_version == target:
            raise ConfigurationError(
                f"--from-version and --to-version are both {target}",
                hint="Name two different versions: the old one and the new one.",
            )
        return make_request(
            JobKind.RE_ENCRYPT, Goal(target=target, source=from_version), (reason or "").strip() or None
        )

    return _run_job(options, request, job, plan)


_ROLLBACK_EXAMPLES = """\b
Examples:
  fluxbase-cli secrets rollback --to-version 1 --reason "New key compromised"
  fluxbase-cli secrets rollback --to-version 1 \\
    --reason "New key compromised" --plan-out plan.json
"""


def rollback(
    options: Options,
    *,
    to_version: Annotated[
        int | None,
        typer.Option(
            "--to-version",
            "--to",
            parser=whole_number(least=1),
            metavar="N",
            help="Move all values back to this key version. [required without --plan]",
        ),
    ] = None,
    reason: Annotated[
        str | None,
        typer.Option("--reason", help="Why. It is recorded with who, when and from where. [required without --plan]"),
    ] = None,
    job: JobOptions,
) -> int:
    """Move every sealed value back to an older key version.

    It works like `re-encrypt`, in the other direction. It replaces an unfinished re-encryption. (The server's own
    `fluxbase secrets rollback NAME VERSION` is different: it restores an earlier value of one secret.)
    """
    from fluxbase_cli.engine.goal import Goal  # noqa: PLC0415  # start-up time
    from fluxbase_cli.store.records import JobKind  # noqa: PLC0415

    job, plan = check_plan_options(job), None
    opened = opened_plan(JobKind.ROLLBACK, job, {"to_version": to_version, "reason": reason})
    if opened is not None:
        plan, job = opened
        to_version, reason = plan.to_version, plan.reason
    target, why = _required("--to-version", to_version), _required("--reason", reason).strip()
    if not why:
        raise ConfigurationError("--reason is empty", hint="Say why: it is kept in the record of events.")
    make_request = request_maker(job, plan)
    return _run_job(options, lambda _active: make_request(JobKind.ROLLBACK, Goal(target=target), why), job, plan)


def _required(name: str, value: _T | None) -> _T:
    """The value of an option that a plan may have given instead."""
    if value is None:
        raise ConfigurationError(f"{name} is missing", hint="Give it, or --plan FILE, which has it.")
    return value


def _run_job(
    options: Options, request_for: Callable[[int], JobRequest], job: JobOptions, plan: SavedPlan | None
) -> int:
    from fluxbase_cli.notifications.manual_run import JOB  # noqa: PLC0415  # start-up time

    messages = messages_for(options)
    settings = load(options, messages)
    with notifications_for(messages, settings, JOB, asked=job.notify, dry_run=job.dry_run) as told:
        return _run_loaded(options, messages, settings, request_for, job, plan, told)


def _run_loaded(  # noqa: PLR0913, PLR0917  # a job, and who is told
    options: Options,
    messages: Messages,
    settings: Settings,
    request_for: Callable[[int], JobRequest],
    job: JobOptions,
    plan: SavedPlan | None,
    told: ManualRun,
) -> int:
    from fluxbase_cli.cli.signals import leave_on_sigterm, stop_on_signals  # noqa: PLC0415  # start-up time
    from fluxbase_cli.engine.databases import prepare_databases  # noqa: PLC0415
    from fluxbase_cli.engine.events import Several  # noqa: PLC0415
    from fluxbase_cli.engine.further_databases import MAIN  # noqa: PLC0415
    from fluxbase_cli.engine.stop import Stop  # noqa: PLC0415
    from fluxbase_cli.keys.history import read_history  # noqa: PLC0415
    from fluxbase_cli.keys.loader import refuse_as_target  # noqa: PLC0415
    from fluxbase_cli.keys.run_job import run_job  # noqa: PLC0415
    from fluxbase_cli.keys.target_rules import Allowed, refuse_unfit  # noqa: PLC0415
    from fluxbase_cli.notifications.manual_run import job_title as job_run_title  # noqa: PLC0415
    from fluxbase_cli.report.progress import progress_for  # noqa: PLC0415
    from fluxbase_cli.report.server_key import ServerNotes  # noqa: PLC0415
    from fluxbase_cli.report.text import job_title  # noqa: PLC0415
    from fluxbase_cli.server.one_key import reads_one_key  # noqa: PLC0415
    from fluxbase_cli.store.databases import Databases as Wanted  # noqa: PLC0415
    from fluxbase_cli.store.sessions import sessions_of  # noqa: PLC0415

    loaded = with_keys(settings, messages)
    keyring, encryption = loaded.keyring, loaded.settings.encryption
    # Without an active version in the configuration, the newest key is what values are moved to.
    active = keyring.newest if encryption.active_key_version is None else keyring.active
    request, wanted = request_for(active), Wanted(job.databases.value)
    told.is_about(job_run_title(request.kind, request.goal))
    with leave_on_sigterm(messages.fail):
        # Before the keys are tried: that they are not those of the plan says more than that they open nothing.
        if plan is not None and not place_and_keys_fit(options, job, plan, loaded, request):
            return ExitCode.CHECK_SAYS_NO
        target = keyring.key(request.goal.target)
        if not request.dry_run:
            if request.goal.source is not None:
                keyring.key(request.goal.source)
            # The lines above raise if a key is missing. So that error needs no database.
            refuse_as_target(read_history(loaded.settings.database), target)
        with progress_for(messages, color=options.color) as progress:
            targets = prepare_databases(loaded.settings.database, keyring, request, wanted, Several(progress, told))
        # After the key sample: that the keys are those of another database is the more important error.
        refuse_unfit(target, encryption, Allowed(weak=job.allow_weak_key, unusable=job.allow_unusable_key))
        for warning in targets.warnings:
            messages.warn(LogEvent.DATABASE_WARNING, warning)
        if plan is not None and not work_fits(options, job, plan, targets):
            return ExitCode.CHECK_SAYS_NO
        sessions = (
            sessions_of(loaded.settings.database) if reads_one_key(encryption, targets.release) or _asks(job) else ()
        )
        notes = ServerNotes(
            encryption, targets.release, keyring, target, request.goal.source, sessions, request.dry_run
        )
        _ask(messages, loaded, targets, notes, asks=_asks(job))

    as_text = options.output in (None, Output.TABLE)
    if as_text:
        write(job_title(request.kind, request.goal.source, request.goal.target))
    if not request.dry_run:
        _tell_start(told, targets, request)
    stop = Stop()
    with telemetry_for(messages, stop) as telemetry:
        with (
            stop_on_signals(stop, messages.tell),
            progress_for(messages, color=options.color) as progress,
            telemetry.span(f"secrets {request.kind.value}", _described(request)),
        ):
            if request.dry_run:
                # No job begins, so there are no metrics of one.
                telemetry.measure(tuple)
            everywhere = run_job(
                loaded.settings,
                os.environ,
                keyring,
                targets,
                request,
                stop=stop,
                observer=Several(progress, telemetry, told),
                warn=about(LogEvent.KEY_WARNING, messages.warn_once),
            )
            telemetry.add(_outcome(everywhere.together))
            # Before the result is printed, which may take long where nobody reads it.
            told.job_ended(everywhere.together, in_main=any(each.kind == MAIN for each in everywhere.databases))
        written = write_plan_of(job, loaded, request, targets, everywhere)
        return _tell_result(options, messages, everywhere, notes, request, written)


def _tell_start(told: ManualRun, targets: PreparedDatabases, request: JobRequest) -> None:
    """Notify that the job begins, or is resumed. A process that joins another one's job says nothing."""
    decision = next((target.prepared.decision for target in targets.found if target.prepared is not None), None)
    if decision is None or decision.ended is not None:
        return
    resumed = decision.resumes
    if resumed is None or not (request.join or request.run_name):
        told.started(None if resumed is None else resumed.id, run_name=request.run_name)


def _described(request: JobRequest) -> dict[str, Value]:
    """A job for telemetry. Its reason is a person's text, and is not told."""
    source = {} if request.goal.source is None else {"job.from_version": request.goal.source}
    return {**source, "job.to_version": request.goal.target, "job.dry_run": request.dry_run}


def _outcome(report: JobReport) -> dict[str, Value | None]:
    counts = {name: getattr(report.total, name) for name in ("scanned", "re_encrypted", "undecryptable")}
    return {
        "job.id": report.job,
        "job.state": report.state,
        "job.remaining": report.remaining,
        **{f"job.{name}": number for name, number in counts.items()},
    }


def _tell_result(  # noqa: PLR0913, PLR0917  # the result and what it is about
    options: Options,
    messages: Messages,
    everywhere: DatabasesReport,
    notes: ServerNotes,
    request: JobRequest,
    written: WrittenPlan,
) -> int:
    """Print how the job ended, and what comes next. Return the exit code."""
    from fluxbase_cli.report.costs import cost_lines  # noqa: PLC0415  # start-up time
    from fluxbase_cli.report.json_report import databases_report  # noqa: PLC0415
    from fluxbase_cli.report.left_values import left_in_short  # noqa: PLC0415
    from fluxbase_cli.report.next_step import job_next  # noqa: PLC0415
    from fluxbase_cli.report.text import database_lines, job_lines  # noqa: PLC0415
    from fluxbase_cli.store.records import JobKind  # noqa: PLC0415

    report = everywhere.together
    data = {**databases_report(everywhere), **written.data}
    print_result(options, data, (*job_lines(report), *database_lines(everywhere), *written.lines))
    for each in report.unexamined:
        messages.warn(LogEvent.NOT_EXAMINED, f"not examined: {each}")
    if report.quarantine:
        print_quarantine(messages, report.quarantine, report.job)
    if messages.quiet and report.exit_code == ExitCode.UNDECRYPTABLE_LEFT:
        messages.fail(LogEvent.VALUES_UNLISTED, left_in_short(report), unlisted=report.quarantine.total)
    for line in cost_lines(report):
        messages.tell(LogEvent.JOB_COST, line)
    for line in notes.after() if report.state == "completed" else ():
        messages.tell(LogEvent.SERVER_NOTICE, line)
    if report.state == "interrupted":
        messages.tell(LogEvent.COMMAND_TO_REPEAT, _how_to_continue(report, request))
    is_done = report.exit_code in (ExitCode.DONE, ExitCode.UNDECRYPTABLE_LEFT) and not request.dry_run
    # A server that knows one key is told above what it must get.
    if request.kind is JobKind.ROLLBACK and is_done and not notes.encryption.is_single:
        messages.tell(
            LogEvent.CONFIGURATION_TO_CHANGE,
            Lines(
                "Now set in the configuration, and restart the server:\n\n"
                f"    security:\n      encryption:\n        active_key_version: {request.goal.target}\n"
            ),
        )
    for line in job_next(report, told=notes.knows_one_key, plan=written.path):
        messages.tell(LogEvent.COMMAND_NEXT, line)
    return report.exit_code


def _asks(job: JobOptions) -> bool:
    return not (job.dry_run or job.yes) and can_ask()


def _ask(messages: Messages, loaded: Loaded, targets: PreparedDatabases, notes: ServerNotes, *, asks: bool) -> None:
    """Say what happens to the server, and ask the operator. Without a terminal nothing is asked.

    Raises:
        CancelledError: the operator does not agree.
    """
    if asks:
        confirm(loaded, targets, notes)
        return
    for line in notes.before():
        messages.tell(LogEvent.SERVER_NOTICE, line)


def _how_to_continue(report: JobReport, request: JobRequest) -> str:
    if report.stopped is not None and request.obeys_stop:
        return "`fluxbase-cli secrets resume` lets the job continue. Then run the same command again."
    return "Run the same command again: it resumes from the last committed batch."
