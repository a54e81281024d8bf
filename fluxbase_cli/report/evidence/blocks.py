"""What a report is made of: sections with facts, tables, sentences and charts. Markdown and HTML write the same blocks.

Texts here are as they were recorded. The writers escape them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

#: What is written for null: the release of the tool that ran the job did not record it.
NOT_RECORDED = "not recorded"
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3_600, 86_400


@dataclass(frozen=True, slots=True)
class Code:
    """A text that a program reads: a name, a fingerprint, a command."""

    text: str


Text = str | Code


@dataclass(frozen=True, slots=True)
class Sentence:
    """A paragraph."""

    text: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Names with their values."""

    rows: Sequence[tuple[str, Text]]


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    Attributes:
        caption: what it lists.
        header: the names of the columns.
        rows: the cells.
        numbers: the columns that hold numbers, from 0.
    """

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[Text]]
    numbers: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class ProgressChart:
    """How far a job was over time.

    Attributes:
        points: seconds since the job began, and the values that were done.
        description: the same in a sentence.
    """

    points: Sequence[tuple[float, int]]
    description: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A location in the chart: how many values were in it, by the key that they needed, in the order of the legend."""

    name: str
    before: Sequence[int]
    after: Sequence[int]


@dataclass(frozen=True, slots=True)
class LocationsChart:
    """What each location held before and after.

    Attributes:
        legend: the names of the parts of a bar.
        bars: the locations.
        description: the same in a sentence.
    """

    legend: Sequence[str]
    bars: Sequence[Bar]
    description: str


Block = Sentence | Facts | Table | ProgressChart | LocationsChart


@dataclass(frozen=True, slots=True)
class Section:
    """A section with a heading."""

    title: str
    blocks: Sequence[Block]


def number(value: float | None) -> str:
    """A number for people."""
    if value is None:
        return NOT_RECORDED
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"


def counted(value: int, noun: str) -> str:
    """A number of things for people: `1 value`, `2 values`."""
    return f"{number(value)} {noun}" if value == 1 else f"{number(value)} {noun}s"


def moment(value: str | None, otherwise: str = NOT_RECORDED) -> str:
    """A time of a report for people, in UTC."""
    return otherwise if value is None else f"{datetime.fromisoformat(value).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def duration(seconds: float | None) -> str:
    """A length of time for people."""
    if seconds is None:
        return NOT_RECORDED
    if seconds < _MINUTE_S:
        return f"{seconds:.1f} s"
    days, rest = divmod(round(seconds), _DAY_S)
    hours, rest = divmod(rest, _HOUR_S)
    minutes, whole = divmod(rest, _MINUTE_S)
    parts = ((days, "d"), (hours, "h"), (minutes, "min"), (whole, "s"))
    return " ".join(f"{each} {unit}" for each, unit in parts if each)


def text(value: Any) -> str:  # noqa: ANN401  # JSON
    """A text that may not be recorded."""
    return NOT_RECORDED if value is None else str(value)


def who(person: dict[str, Any] | None) -> str:
    """Who did something, as the operating system and the database name them."""
    if person is None:
        return NOT_RECORDED
    return f"{person['os_user']} on {person['host']} (database role {person['db_user']})"
