"""Prints lists in the form that `--output` and `--columns` name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from fluxbase_cli.cli.options import Options, Output
from fluxbase_cli.cli.output import print_result, write
from fluxbase_cli.errors import ConfigurationError

if TYPE_CHECKING:
    from fluxbase_cli.report.columns import Column, Listing

R = TypeVar("R")

ColumnNames = Annotated[
    str | None,
    typer.Option(
        "--columns",
        metavar="NAMES",
        help="Print these columns, separated by commas, as a table or with -o csv. A wrong name lists all.",
    ),
]


def chosen_columns(options: Options, listing: Listing[R], names: str | None) -> tuple[Column[R], ...] | None:
    """The columns that `--columns` names. None: it was not given. Call it before anything that takes long.

    Raises:
        ConfigurationError: there is no such column, or the form of the output has no columns.
    """
    if names is None:
        return None
    if options.output not in (None, Output.TABLE, Output.CSV):
        raise ConfigurationError(
            f"--columns and -o {options.output} can't go together",
            hint="Leave one of the two out: columns are for tables and -o csv; -o json and -o yaml have all fields.",
        )
    return listing.choose(names)


def print_list(  # noqa: PLR0913, PLR0917  # the list in all its forms
    options: Options,
    data: Mapping[str, Any],
    listing: Listing[R],
    rows: Iterable[R],
    columns: Sequence[Column[R]] | None,
    text: Iterable[str],
) -> None:
    """Print a list.

    Args:
        options: they name the form.
        data: the result as JSON and YAML show it.
        listing: the list.
        rows: its rows.
        columns: what `chosen_columns` returned.
        text: the lines for people, if no columns were named.
    """
    for line in list_lines(options, listing, rows, columns) or ():
        write(line)
    if options.output not in (Output.CSV, Output.NAME) and columns is None:
        print_result(options, data, text)


def list_lines(
    options: Options, listing: Listing[R], rows: Iterable[R], columns: Sequence[Column[R]] | None
) -> Iterator[str] | None:
    """The lines of a list as CSV, as ids, or as a table of the columns that were named. None: in another form."""
    if options.output is Output.CSV:
        return listing.csv(rows, columns)
    if options.output is Output.NAME:
        return listing.id_lines(rows)
    return None if columns is None else listing.table(rows, columns)
