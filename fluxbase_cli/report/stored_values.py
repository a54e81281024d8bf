"""The values of `secrets list`, printed while they are read: in memory is only what was just read."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Protocol

from fluxbase_cli.duration import format_duration
from fluxbase_cli.engine.read.stored_values import ListedCounts, StoredValue, ValueState
from fluxbase_cli.printable import Lines, lines, printable
from fluxbase_cli.report.columns import Column, Listing, csv_heading, csv_row
from fluxbase_cli.report.json_report import dotted, to_json, to_yaml
from fluxbase_cli.report.table import paragraph

_WIDTH = 80
#: So many rows decide how wide the columns of a table are.
_LOOKED_AT = 1_000
_ID_WIDTH = 36
_UNIT = re.compile("[0-9]+[a-z]+")

Write = Callable[[str], None]


def _age(value: StoredValue) -> str:
    """The age of a row in its largest unit, such as `482d`."""
    seconds = value.facts.age_s
    if seconds is None:
        return "-"
    units = _UNIT.match(format_duration(timedelta(seconds=max(0.0, seconds))))
    return units.group() if units else "-"


def _key(value: StoredValue) -> str:
    return " ".join(map(str, value.key_versions)) or value.state.value


def values_listing(*, several: bool) -> Listing[StoredValue]:
    """The list of values.

    Args:
        several: whether they are of more than one database.
    """
    return Listing(
        (
            Column("database", lambda value: value.database, shown=several),
            Column("location", lambda value: value.location),
            Column("id", lambda value: str(value.id)),
            Column("path", lambda value: dotted(value.path) if value.path else None),
            Column("name", lambda value: value.facts.name),
            Column("namespace", lambda value: value.facts.namespace),
            Column("state", lambda value: value.state.value),
            Column("key_versions", lambda value: list(value.key_versions)),
            Column("size", lambda value: value.size, right=True),
            Column("age_seconds", lambda value: _rounded(value.facts.age_s), _age, "AGE", right=True),
            Column("created_at", lambda value: _moment(value.facts.created_at)),
            Column("updated_at", lambda value: _moment(value.facts.updated_at)),
            Column("user", lambda value: value.facts.user),
            Column("tenant", lambda value: value.facts.tenant),
            Column("reason", lambda value: value.reason),
        ),
        lambda value: str(value.id),
    )


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _moment(moment: Any) -> str | None:  # noqa: ANN401  # a datetime or None
    return None if moment is None else str(moment.isoformat())


class ValueWriter(Protocol):
    """Prints values as they come, and the summary at the end."""

    def add(self, values: Sequence[StoredValue]) -> None:
        """Print some values."""
        ...

    def end(self, counts: ListedCounts, summary: Mapping[str, Any]) -> None:
        """Print what comes after the last value.

        Args:
            counts: how many values were listed.
            summary: what JSON shows after the values.
        """
        ...


class JsonWriter:
    """One JSON object, exactly as `to_json` would print it as a whole."""

    def __init__(self, write: Write, listing: Listing[StoredValue]) -> None:
        self._write = write
        self._columns = listing.columns
        self._begun = False
        # Whether a comma follows is known when the next value comes.
        self._last: str | None = None

    def add(self, values: Sequence[StoredValue]) -> None:
        """Print some values, but the last one."""
        parts = [] if self._begun else ['{\n  "values": [']
        self._begun = True
        for value in values:
            if self._last is not None:
                parts.append(f"{self._last},")
            self._last = textwrap.indent(to_json(_fields(value, self._columns)), "    ")
        if parts:
            self._write(Lines("\n".join(parts)))

    def end(self, counts: ListedCounts, summary: Mapping[str, Any]) -> None:  # noqa: ARG002  # of the protocol
        """Print the rest of the object."""
        values = ['{\n  "values": [],'] if self._last is None else [self._last, "  ],"]
        rest = to_json(summary).removeprefix("{\n")
        self._write(Lines("\n".join([*values, rest])))


class YamlWriter:
    """One YAML document, exactly as `to_yaml` would print it as a whole."""

    def __init__(self, write: Write, listing: Listing[StoredValue]) -> None:
        self._write = write
        self._columns = listing.columns
        self._begun = False

    def add(self, values: Sequence[StoredValue]) -> None:
        """Print some values."""
        text = to_yaml({"values": [_fields(value, self._columns) for value in values]})
        self._write(Lines(text.partition("\n")[2]) if self._begun else text)
        self._begun = True

    def end(self, counts: ListedCounts, summary: Mapping[str, Any]) -> None:  # noqa: ARG002  # of the protocol
        """Print the rest of the document."""
        self._write(to_yaml(summary if self._begun else {"values": [], **summary}))


def _fields(value: StoredValue, columns: Sequence[Column[StoredValue]]) -> dict[str, Any]:
    return {column.name: column.value(value) for column in columns}


class CsvWriter:
    """Lines of CSV."""

    def __init__(self, write: Write, columns: Sequence[Column[StoredValue]]) -> None:
        self._write = write
        self._columns = columns
        self._heading = [csv_heading(columns)]

    def add(self, values: Sequence[StoredValue]) -> None:
        """Print some values."""
        self._write(lines([*self._heading, *(csv_row(value, self._columns) for value in values)]))
        self._heading = []

    def end(self, counts: ListedCounts, summary: Mapping[str, Any]) -> None:  # noqa: ARG002  # of the protocol
        """Print the names of the columns if there was no value."""
        if self._heading:
            self._write(self._heading[0])


class IdWriter:
    """The id of each row on a line. A row with several values has one line."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._last: tuple[str, str] | None = None

    def add(self, values: Sequence[StoredValue]) -> None:
        """Print some values."""
        ids = []
        for value in values:
            row = value.location.rpartition(".")[0], str(value.id)
            if row != self._last:
                ids.append(row[1])
            self._last = row
        if ids:
            self._write(lines(ids))

    def end(self, counts: ListedCounts, summary: Mapping[str, Any]) -> None:
        """Print nothing more."""


class ColumnsWriter:
    """A table of the columns that were named. The first rows decide how wide its columns are."""

    def __init__(self, write: Write, columns: Sequence[Column[StoredValue]]) -> None:
        self._write = write
        self._columns = columns
        self._waiting: list[list[str]] = []
        self._widths: list[int] | None = None

    def add(self, values: Sequence[StoredValue]) -> None:
        """Print some values."""
        self._waiting += [[printable(column.cell(value)) for column in self._columns] for value in values]
        if self._widths is not None or len(self._waiting) >= _LOOKED_AT:
            self._print()

    def _print(self) -> None:
        rows = self._waiting
        self._waiting = []
        if self._widths is None:
            rows = [[column.title for column in self._columns], *rows]
            self._widths = [max(len(row[index]) for row in rows) for index in range(len(self._columns))]
        if rows:
            self._write(lines(self._line(row, self._widths) for row in rows))

    def _line(self, row: Sequence[str], widths: Sequence[int]) -> str:
        cells = (
            cell.rjust(width) if column.right else cell.ljust(width)
            for cell, width, column in zip(row, widths, self._columns, strict=True)
        )
        return "  ".join(cells).rstrip()

    def end(self, counts: ListedCounts, summary: Mapping[str, Any]) -> None:  # noqa: ARG002  # of the protocol
        """Print the values that wait."""
        self._print()


class TableWriter:
    """A table for people: a heading for each table of the database, and lines that fit 80 columns.

    Args:
        write: prints a text.
        wide: the tables with several sealed columns, as `schema.table`. Each of their lines says which one it is.
        several: whether values of more than one database come.
    """

    def __init__(self, write: Write, wide: frozenset[str], *, several: bool) -> None:
        self._write = write
        self._wide = wide
        self._several = several
        self._under: str | None = None
        self._key_width = 0

    def add(self, values: Sequence[StoredValue]) -> None:
        """Print some values."""
        shown: list[str] = []
        for value in values:
            place = _table(value) if _table(value) in self._wide else value.location
            heading = f"{value.database}: {place}" if self._several else place
            if heading != self._under:
                if self._under is not None:
                    shown.append("")
                self._under = heading
                self._key_width = max(
                    len("KEY"), *(len(_key(each)) for each in values if _table(each) == _table(value))
                )
                label = "COLUMN, NAME" if place != value.location else "NAME"
                shown += [heading, self._line("ID", "KEY", "AGE", "SIZE", label)]
            shown += self._value(value)
        self._write(lines(shown))

    def _value(self, value: StoredValue) -> Iterator[str]:
        facts = value.facts
        column = value.location.rpartition(".")[2] if _table(value) in self._wide else None
        name = facts.name if facts.namespace is None else f"{facts.namespace}/{facts.name}"
        label = printable(" ".join(part for part in (column, dotted(value.path), name) if part))
        facts_of_row = (str(value.id), _key(value), _age(value), str(value.size))
        line = self._line(*facts_of_row, label)
        if len(line) <= _WIDTH:
            yield line
        else:
            # No word is cut.
            yield self._line(*facts_of_row, "")
            yield f"      {label}"
        if value.reason is not None:
            yield from paragraph(value.reason, "      ")

    def _line(self, row_id: str, key: str, age: str, size: str, label: str) -> str:
        key = key.ljust(self._key_width)
        return f"  {row_id.ljust(_ID_WIDTH)}  {key}  {age.rjust(5)}  {size.rjust(4)}  {label}".rstrip()

    def end(self, counts: ListedCounts, summary: Mapping[str, Any]) -> None:  # noqa: ARG002  # of the protocol
        """Print how many values there are."""
        if self._under is not None:
            self._write("")
        self._write(count_line(counts))


def _table(value: StoredValue) -> str:
    return value.location.rpartition(".")[0]


def count_line(counts: ListedCounts) -> str:
    """How many values were listed, and what they are."""
    if not counts.listed:
        return "Listed no values"
    numbers = {
        ValueState.SEALED: counts.sealed,
        ValueState.PLAINTEXT: counts.plaintext,
        ValueState.UNDECRYPTABLE: counts.undecryptable,
    }
    parts = ", ".join(f"{number} {state.value}" for state, number in numbers.items() if number)
    return f"Listed {counts.listed} {'value' if counts.listed == 1 else 'values'}: {parts}"
