"""The command `fluxbase-cli secrets list`: what is stored where, and under which key. Never a value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from fluxbase_cli.cli.context import load, messages_for, with_keys
from fluxbase_cli.cli.durations import TIME, seconds
from fluxbase_cli.cli.listing import ColumnNames, chosen_columns
from fluxbase_cli.cli.option_types import (
    DatabasesOption,
    LocationsOption,
    ReadBatchSize,
    TransactionWait,
    limits_of,
    scope_of,
    whole_number,
)
from fluxbase_cli.cli.options import LIST_OUTPUTS, Databases, Options, Output, command
from fluxbase_cli.cli.output import was_printed, write
from fluxbase_cli.counts import worded
from fluxbase_cli.errors import ConfigurationError, ExitCode, FluxbaseCliError, interrupted_code
from fluxbase_cli.log_events import LogEvent

if TYPE_CHECKING:
    from fluxbase_cli.catalogue.extra import SearchScope
    from fluxbase_cli.engine.read.stored_values import StoredValue, ValueFilter, ValueList
    from fluxbase_cli.proof.proof import Proof
    from fluxbase_cli.report.columns import Column, Listing
    from fluxbase_cli.report.messages import Messages
    from fluxbase_cli.report.stored_values import ValueWriter


def add_to(app: typer.Typer) -> None:
    """Add the command to the group `secrets`."""
    app.command("list", epilog=_LIST_EXAMPLES)(command(list_values, outputs=LIST_OUTPUTS))


_LIST_EXAMPLES = """\b
Examples:
  fluxbase-cli secrets list --key-version 1
  fluxbase-cli secrets list --key-version 1 --databases all -o csv > found.csv
  fluxbase-cli secrets list --undecryptable
  fluxbase-cli secrets list --name 'STRIPE_*' --location functions.secrets
  fluxbase-cli secrets list --older-than 365d --columns location,id,name
"""

_A_CENTURY_S = 3_153_600_000.0


def list_values(  # noqa: PLR0913  # a command's options
    options: Options,
    *,
    key_version: Annotated[
        int | None,
        typer.Option(
            "--key-version", parser=whole_number(least=1), metavar="N", help="Only values that need this key."
        ),
    ] = None,
    location: Annotated[
        list[str] | None,
        typer.Option("--location", metavar="PLACE", help="Only this schema.table or schema.table.column. Repeatable."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="PATTERN", help="Only rows with such a name; * stands for any characters."),
    ] = None,
    tenant: Annotated[
        str | None, typer.Option("--tenant", metavar="UUID", help="Only rows of the tenant with this id.")
    ] = None,
    older_than: Annotated[
        float | None,
        typer.Option(
            "--older-than",
            parser=seconds("--older-than", most=_A_CENTURY_S, needs_unit=True),
            metavar=TIME,
            help="Only rows that were last changed longer ago than this, as in 90d. A re-encryption is no change.",
        ),
    ] = None,
    newer_than: Annotated[
        float | None,
        typer.Option(
            "--newer-than",
            parser=seconds("--newer-than", most=_A_CENTURY_S, needs_unit=True),
            metavar=TIME,
            help="Only rows that were last changed within this time.",
        ),
    ] = None,
    undecryptable: Annotated[
        bool, typer.Option("--undecryptable", help="Only values that no configured key opens.")
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option("--limit", parser=whole_number(least=1), metavar="N", help="End after this many values."),
    ] = None,
    databases: DatabasesOption = Databases.MAIN,
    locations: LocationsOption = None,
    transaction_wait: TransactionWait = 10.0,
    batch_size: ReadBatchSize = 1000,
    columns: ColumnNames = None,
) -> int:
    """List what is stored where, and under which key. Never a value.

    Opens the values as `secrets audit` does, and prints for each its location, the id and the name of its row, the key
    versions that it needs, its size, and the age of the row. Writes nothing: a read-only role that sees all rows is
    enough, and so is a standby.

    Values that were moved to another key are not listed under their old one. So if a key has leaked, save the list
    before you re-encrypt.

    A list is no proof. Only `secrets audit --key-version N` proves that no value needs a key. Exit code 0: everything
    was read. 4: some values could not be opened, or something could not be examined.
    """
    from fluxbase_cli.engine.read.stored_values import ValueFilter  # noqa: PLC0415  # start-up time
    from fluxbase_cli.report.stored_values import values_listing  # noqa: PLC0415

    if key_version is not None and undecryptable:
        raise ConfigurationError(
            "--key-version and --undecryptable can't go together",
            hint="Leave one of the two out: nobody knows which key an undecryptable value needs.",
        )
    listing = values_listing(several=databases is not Databases.MAIN)
    chosen_names = chosen_columns(options, listing, columns)
    scope = scope_of(locations)
    places = tuple(location or ())
    _refuse_unknown(places, scope)
    chosen = ValueFilter(
        places, key_version, undecryptable, name, None if tenant is None else _uuid(tenant), older_than, newer_than
    )
    messages = messages_for(options)
    writer = _writer(options, listing, chosen_names, scope, several=databases is not Databases.MAIN)
    return _list(
        options,
        messages,
        writer,
        chosen,
        scope=scope,
        databases=databases,
        limit=limit,
        wait_s=transaction_wait,
        batch_size=batch_size,
    )


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise ConfigurationError("--tenant is no UUID", hint="It is the tenant's id in platform.tenants.") from None


def _refuse_unknown(places: Sequence[str], scope: SearchScope) -> None:
    columns = [table.location(column) for table in scope.catalogue for column in table.columns]
    known = {*columns, *(table.qualified for table in scope.catalogue)}
    unknown = next((place for place in places if place not in known), None)
    if unknown is not None:
        raise ConfigurationError(
            f"there is no location {unknown!r}",
            hint=f"The locations are: {', '.join(columns)}. --locations adds others.",
        )


def _writer(
    options: Options,
    listing: Listing[StoredValue],
    columns: tuple[Column[StoredValue], ...] | None,
    scope: SearchScope,
    *,
    several: bool,
) -> ValueWriter:
    from fluxbase_cli.report import stored_values as report  # noqa: PLC0415  # start-up time

    match options.output:
        case Output.JSON:
            return report.JsonWriter(write, listing)
        case Output.YAML:
            return report.YamlWriter(write, listing)
        case Output.CSV:
            return report.CsvWriter(write, columns or listing.columns)
        case Output.NAME:
            return report.IdWriter(write)
        case _ if columns is not None:
            return report.ColumnsWriter(write, columns)
        case _:
            wide = frozenset(table.qualified for table in scope.catalogue if len(table.columns) > 1)
            return report.TableWriter(write, wide, several=several)


def _list(  # noqa: PLR0913  # all that a list needs
    options: Options,
    messages: Messages,
    writer: ValueWriter,
    chosen: ValueFilter,
    *,
    scope: SearchScope,
    databases: Databases,
    limit: int | None,
    wait_s: float,
    batch_size: int,
) -> int:
    from fluxbase_cli.cli.signals import stop_on_signals  # noqa: PLC0415  # start-up time
    from fluxbase_cli.engine.read.stored_values import ValueList, ValueVisitor  # noqa: PLC0415
    from fluxbase_cli.engine.stop import Stop  # noqa: PLC0415
    from fluxbase_cli.proof.proof import ProofRequest, take_proof  # noqa: PLC0415
    from fluxbase_cli.report.progress import MessagesOnly  # noqa: PLC0415
    from fluxbase_cli.store.databases import Databases as Wanted  # noqa: PLC0415

    stop = Stop()

    def take(values: Sequence[StoredValue]) -> bool:
        writer.add(values)
        # Nobody reads it any more, as after `| head`.
        return was_printed()

    values = ValueList(chosen, limit, take, stop.request)
    loaded = with_keys(load(options, messages), messages)
    if chosen.key_version is not None:
        loaded.keyring.key(chosen.key_version)
    request = ProofRequest(
        limits=limits_of(batch_size),
        databases=Wanted(databases.value),
        scope=scope,
        # One after the other, so that the values come in order.
        workers=1,
        wait_s=wait_s,
        visitor_for=lambda database: ValueVisitor(database, values),
    )
    try:
        with stop_on_signals(stop, messages.tell):
            proof = take_proof(
                loaded.settings.database, loaded.keyring, request, stop=stop, observer=MessagesOnly(messages)
            )
    except FluxbaseCliError as error:
        if values.counts.listed:
            # What is on stdout stays a whole document, which says that it is incomplete.
            writer.end(values.counts, {**_counted(values), "complete": False, "error": error.message})
        raise
    return _end(messages, writer, values, proof, stop.signal if stop.requested and not values.ended_early else None)


def _counted(values: ValueList) -> dict[str, Any]:
    counts = values.counts
    return {
        "key_version": values.chosen.key_version,
        "listed": counts.listed,
        "sealed": counts.sealed,
        "plaintext": counts.plaintext,
        "undecryptable": counts.undecryptable,
    }


def _end(messages: Messages, writer: ValueWriter, values: ValueList, proof: Proof, signal: int | None) -> int:
    """Print the summary and what could not be examined. Return the exit code."""
    report, counts = proof.together, values.counts
    complete = signal is None and not values.ended_early
    summary = {
        **_counted(values),
        "complete": complete,
        "elapsed_seconds": round(report.elapsed_seconds, 3),
        "warnings": list(report.warnings),
        "unexamined": [each.as_dict() for each in report.unexamined],
    }
    writer.end(counts, summary)
    for warning in report.warnings:
        messages.warn(LogEvent.DATABASE_WARNING, warning)
    for each in report.unexamined:
        messages.warn(LogEvent.NOT_EXAMINED, f"not examined: {each}")
    if signal is not None:
        messages.warn(LogEvent.COMMAND_INTERRUPTED, "interrupted; the list is incomplete")
        return interrupted_code(signal)
    # A reader that ended early wants no more.
    if not complete and was_printed():
        messages.tell(
            LogEvent.LIST_INCOMPLETE, f"The list ends after {worded(counts.listed, 'value', 'values')}; there are more."
        )
    version = values.chosen.key_version
    if version is not None:
        if counts.unknown:
            messages.warn(
                LogEvent.LIST_UNKNOWN,
                f"{worded(counts.unknown, 'value opens', 'values open')} under no configured key, so it is unknown "
                f"whether {'it needs' if counts.unknown == 1 else 'they need'} version "
                f"{version}; --undecryptable lists them",
            )
        if complete and not counts.listed:
            messages.tell(
                LogEvent.LIST_EMPTY,
                f"Values that were under key version {version} and were moved to another key are not listed.",
            )
        messages.tell(
            LogEvent.LIST_NO_PROOF,
            f"A list is no proof: `fluxbase-cli secrets audit --key-version {version}` proves that no value needs the "
            "key.",
        )
    return ExitCode.UNDECRYPTABLE_LEFT if counts.unknown or report.unexamined else ExitCode.DONE
