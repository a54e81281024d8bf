"""The settings of the server by release, with their defaults (`settings.tsv`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from types import MappingProxyType

#: The releases that the table knows, in order. `main` is 2026.3.7-rc.1 and later.
RELEASES = (
    *(f"2026.1.{number}" for number in (4, 5, 6, 7, 8, 10, 11, 13, 15, 16, 17, 18, 19, 20, 21, 22)),
    *(f"2026.2.{number}" for number in range(1, 9)),
    *(f"2026.3.{number}" for number in range(1, 7)),
    "main",
)
MAIN = "main"
NEWEST_STABLE = "2026.3.6"


class Type(StrEnum):
    """The type of a setting."""

    TEXT = "text"
    BOOLEAN = "boolean"
    INTEGER = "integer"
    NUMBER = "number"
    DURATION = "duration"
    LIST = "list"
    ENTRIES = "entries"
    """A list or a mapping of sections."""
    MAPPING = "mapping"


@dataclass(frozen=True, slots=True)
class KnownSetting:
    """A setting that the server reads.

    Attributes:
        path: its dotted path; `[]` is an entry of a list and `{}` an entry of a mapping.
        type: its type.
        default: the server's default as text, lists joined by commas; None: it has no default.
    """

    path: str
    type: Type
    default: str | None


def is_before(release: str, other: str) -> bool:
    """Whether a release is older than another."""
    return RELEASES.index(release) < RELEASES.index(other)


@cache
def settings_of(release: str) -> Mapping[str, KnownSetting]:
    """The settings of a release by their paths.

    Args:
        release: one of `RELEASES`.
    """
    number = RELEASES.index(release)
    return MappingProxyType(
        {each.path: each for first, last, each in _table() if first <= number <= last},
    )


@cache
def all_settings() -> Mapping[str, KnownSetting]:
    """The settings of all releases by their paths, as the newest release that has them reads them."""
    return MappingProxyType({each.path: each for _, _, each in _table()})


@cache
def _table() -> tuple[tuple[int, int, KnownSetting], ...]:
    text = files(__package__).joinpath("settings.tsv").read_text(encoding="utf-8")
    rows = []
    for line in text.splitlines():
        if not line.startswith("#"):
            path, kind, first, last, default = line.split("\t")
            setting = KnownSetting(path, Type(kind), None if default == "-" else default[1:-1])
            rows.append((RELEASES.index(first), RELEASES.index(last), setting))
    return tuple(rows)
