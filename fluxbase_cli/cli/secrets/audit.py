"""The command `fluxbase-cli secrets audit`: shows which keys are still needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fluxbase_cli.cli.context import load, messages_for, with_keys
from fluxbase_cli.cli.fleet import with_fleet
from fluxbase_cli.cli.listing import ColumnNames, chosen_columns, print_list
from fluxbase_cli.cli.notify import Notify, notifications_for
from fluxbase_cli.cli.option_types import (
    Concurrency,
    DatabasesOption,
    LocationsOption,
    ReadBatchSize,
    TransactionWait,
    limits_of,
    scope_of,
    whole_number,
)
from fluxbase_cli.cli.options import LIST_OUTPUTS, Databases, Options, command
from fluxbase_cli.cli.output import print_quarantine
from fluxbase_cli.cli.telemetry import telemetry_for
from fluxbase_cli.errors import interrupted_code
from fluxbase_cli.log_events import LogEvent

if TYPE_CHECKING:
    from fluxbase_cli.cli.context import Loaded
    from fluxbase_cli.notifications.manual_run import ManualRun
    from fluxbase_cli.proof.proof import ProofRequest
    from fluxbase_cli.report.messages import Messages


def add_to(app: typer.Typer) -> None:
    """Add the command to the group `secrets`."""
    app.command("audit", epilog=_AUDIT_EXAMPLES)(command(with_fleet(audit), outputs=LIST_OUTPUTS))


_AUDIT_EXAMPLES = """\b
Examples:
  fluxbase-cli secrets audit
  fluxbase-cli secrets audit --key-version 1 && echo "version 1 is not needed"
  fluxbase-cli secrets audit --key-version 1 --databases all --deep
  fluxbase-cli secrets audit -o csv > locations.csv
"""


def audit(  # noqa: PLR0913  # a command's options
    options: Options,
    *,
    key_version: Annotated[
        int | None,
        typer.Option(
            "--key-version",
            parser=whole_number(least=1),
            metavar="N",
            help="Check this version. Exit code 0: no value needs its key any more. 3: some values do.",
        ),
    ] = None,
    deep: Annotated[
        bool,
        typer.Option(
            "--deep",
            help="Also search every text, JSON and bytea column of every table.",
        ),
    ] = False,
    databases: DatabasesOption = Databases.MAIN,
    locations: LocationsOption = None,
    transaction_wait: TransactionWait = 10.0,
    batch_size: ReadBatchSize = 1000,
    concurrency: Concurrency = 4,
    columns: ColumnNames = None,
    notify: Notify = None,
) -> int:
    """Show which keys are still needed.

    Opens every sealed value with every configured key. Writes nothing: a read-only role that sees all rows is enough.
    Lists what could not be examined, and then ends with exit code 4. Only exit code 0 means that nothing needs the key.
    A value that no configured key opens gives exit code 4 too.

    With --key-version N it does not: the key of that version was tried on it and does not open it, so it does not need
    that key. A warning says how many there are.
    """
    from fluxbase_cli.notifications.manual_run import AUDIT, audit_title  # noqa: PLC0415  # start-up time
    from fluxbase_cli.proof.proof import ProofRequest  # noqa: PLC0415
    from fluxbase_cli.store.databases import Databases as Wanted  # noqa: PLC0415

    messages = messages_for(options)
    settings = load(options, messages)
    with notifications_for(messages, settings, AUDIT, asked=notify) as told:
        told.is_about(audit_title(key_version))
        request = ProofRequest(
            limits=limits_of(batch_size),
            key_version=key_version,
            databases=Wanted(databases.value),
            deep=deep,
            scope=scope_of(locations),
            workers=concurrency,
            wait_s=transaction_wait,
        )
        return _audit(options, messages, with_keys(settings, messages), request, told, columns)


def _audit(  # noqa: PLR0913, PLR0917  # an audit, and who is told
    options: Options,
    messages: Messages,
    loaded: Loaded,
    request: ProofRequest,
    told: ManualRun,
    columns: str | None,
) -> int:
    from fluxbase_cli.cli.signals import stop_on_signals  # noqa: PLC0415  # start-up time
    from fluxbase_cli.engine.events import Several  # noqa: PLC0415
    from fluxbase_cli.engine.stop import Stop  # noqa: PLC0415
    from fluxbase_cli.proof.proof import take_proof  # noqa: PLC0415
    from fluxbase_cli.report.audit import location_rows, locations_listing  # noqa: PLC0415
    from fluxbase_cli.report.json_report import proof_report  # noqa: PLC0415
    from fluxbase_cli.report.next_step import audit_next  # noqa: PLC0415
    from fluxbase_cli.report.progress import progress_for  # noqa: PLC0415
    from fluxbase_cli.report.text import audit_lines, proof_lines  # noqa: PLC0415

    listing = locations_listing(tuple(sorted(loaded.keyring.versions)))
    chosen = chosen_columns(options, listing, columns)
    told.started()
    stop = Stop()
    with (
        telemetry_for(messages, stop) as telemetry,
        stop_on_signals(stop, messages.tell),
        progress_for(messages, color=options.color) as progress,
        telemetry.span("secrets audit", {"audit.deep": request.deep}),
    ):
        # An audit is no job, so there are no metrics of one.
        telemetry.measure(tuple)
        observer = Several(progress, telemetry, told)
        proof = take_proof(loaded.settings.database, loaded.keyring, request, stop=stop, observer=observer)
        together = proof.together
        telemetry.add({"audit.scanned": together.scanned, "audit.undecryptable": together.undecryptable})
    if stop.requested:
        # An incomplete audit proves nothing, so none is printed.
        messages.warn(LogEvent.COMMAND_INTERRUPTED, "interrupted; the audit is incomplete and proves nothing")
        told.interrupted(stop.signal)
        return interrupted_code(stop.signal)
    report = proof.together
    told.audit_ended(report)
    for warning in report.warnings:
        messages.warn(LogEvent.DATABASE_WARNING, warning)
    text = (*audit_lines(report), *proof_lines(proof))
    print_list(options, proof_report(proof), listing, location_rows(report), chosen, text)
    for each in report.unexamined:
        messages.warn(LogEvent.NOT_EXAMINED, f"not examined: {each}")
    if report.quarantine:
        print_quarantine(messages, report.quarantine, None)
    for line in audit_next(report):
        messages.tell(LogEvent.COMMAND_NEXT, line)
    return report.exit_code
