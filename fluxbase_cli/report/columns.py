r"""Lists: which columns a list has, and how its rows are printed as a table, as CSV, or as ids.

A list is declared once, as a `Listing`. `--columns`, `-o csv` and `-o name` of all commands work on it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.printable import printable
from fluxbase_cli.report.table import table

R = TypeVar("R")

#: A spreadsheet takes a cell that begins with one of these for a formula (OWASP, "CSV Injection").
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Column(Generic[R]):
    """One column of a list.

    Attributes:
        name: what `--columns` and the first line of CSV call it, as the field in JSON.
        value: the value of a row, as in JSON: a text, a number, a truth value, None, or a list of these.
        text: the cell in a table for people; None: as the value is.
        heading: the heading in a table for people; None: the name in capital letters.
        right: whether the cells of a table are aligned to the right.
        shown: whether a table has it if the operator names no columns.
    """

    name: str
    value: Callable[[R], Any]
    text: Callable[[R], str] | None = None
    heading: str | None = None
    right: bool = False
    shown: bool = True

    @property
    def title(self) -> str:
        """The heading in a table."""
        return self.heading or self.name.replace("_", " ").upper()

    def cell(self, row: R) -> str:
        """The cell of a row in a table."""
        return self.text(row) if self.text is not None else _as_text(self.value(row)) or "-"


@dataclass(frozen=True, slots=True)
class Listing(Generic[R]):
    """A list.

    Attributes:
        columns: all its columns.
        ids: the id of a row, for `-o name`.
    """

    columns: tuple[Column[R], ...]
    ids: Callable[[R], str]

    def choose(self, names: str) -> tuple[Column[R], ...]:
        """The columns that `--columns` names, in its order.

        Args:
            names: the names, separated by commas.

        Raises:
            ConfigurationError: there is no such column, or no name was given.
        """
        by_name = {column.name: column for column in self.columns}
        asked = [name.strip().lower().replace("-", "_") for name in names.split(",") if name.strip()]
        unknown = next((name for name in asked if name not in by_name), None)
        if unknown is None and asked:
            return tuple(by_name[name] for name in dict.fromkeys(asked))
        what = "--columns names no column" if unknown is None else f"there is no column {unknown!r}"
        raise ConfigurationError(what, hint=f"The columns are: {', '.join(by_name)}.")

    def table(self, rows: Iterable[R], columns: Sequence[Column[R]] | None = None) -> Iterator[str]:
        """The rows as a table; of the columns that a table has without `--columns` when None.

        With columns that the operator has named, the table may be wider than 80 columns.
        """
        chosen = self.shown if columns is None else columns
        cells = ([column.cell(row) for column in chosen] for row in rows)
        right = [index for index, column in enumerate(chosen) if column.right]
        return table([column.title for column in chosen], cells, right=right, split=columns is None)

    def csv(self, rows: Iterable[R], columns: Sequence[Column[R]] | None = None) -> Iterator[str]:
        """The rows as CSV (RFC 4180), one line for each, after a line with the names; all columns when None.

        A text that a spreadsheet would take for a formula begins with an apostrophe. Line ends inside a text are
        escaped, so that a row is one line.
        """
        chosen = self.columns if columns is None else columns
        yield csv_heading(chosen)
        for row in rows:
            yield csv_row(row, chosen)

    def id_lines(self, rows: Iterable[R]) -> Iterator[str]:
        """The ids of the rows, one on each line. An id that follows itself is printed once."""
        last = None
        for row in rows:
            found = self.ids(row)
            if found != last:
                yield printable(found)
            last = found

    @property
    def shown(self) -> tuple[Column[R], ...]:
        """The columns of a table without `--columns`."""
        return tuple(column for column in self.columns if column.shown)


def csv_heading(columns: Sequence[Column[R]]) -> str:
    """The first line of CSV."""
    return _csv_line([column.name for column in columns])


def csv_row(row: R, columns: Sequence[Column[R]]) -> str:
    """A row as a line of CSV."""
    return _csv_line([_csv_cell(column.value(row)) for column in columns])


def _as_text(value: Any) -> str:  # noqa: ANN401  # what JSON can hold
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return " ".join(map(_as_text, value))
    return str(value)


def _csv_cell(value: Any) -> str:  # noqa: ANN401  # what JSON can hold
    text = printable(_as_text(value))
    return f"'{text}" if isinstance(value, (str, list, tuple)) and text.startswith(_FORMULA) else text


def _csv_line(cells: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(cells)
    return line.getvalue()
