"""What is kept in memory of the values that were left as they are: the first of each kind, and how many there are.

A kind is a location with a reason. A table in which every value is damaged would otherwise fill the memory and the
report. The table `fluxbase_rotation.quarantine` holds all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Self

from fluxbase_cli.store.records import UNWRITABLE, QuarantineEntry

#: How many values of a kind are listed, and how many in all.
MOST_OF_A_KIND = 250
MOST_LISTED = 1000
_ORDER = attrgetter("location", "id", "path")


@dataclass(frozen=True, slots=True)
class LeftValues:
    """How many values of a location a job left as they are, by the reason."""

    location: str
    undecryptable: int
    unwritable: int


@dataclass(frozen=True, slots=True)
class LeftKind:
    """How many values of a location were left as they are for the same reason.

    Attributes:
        exact: whether that is their number. Otherwise there may be more.
    """

    location: str
    reason: str
    number: int
    exact: bool = True

    @property
    def unwritable(self) -> bool:
        """Whether a key opens them, but the database refuses the new values."""
        return self.reason.startswith(UNWRITABLE)


class Quarantine(tuple[QuarantineEntry, ...]):  # noqa: SLOT001  # a tuple's length varies, so it can't have slots
    """The listed values, ordered by location, row id and path.

    Args:
        entries: the values that are listed.
        undecryptable, unwritable: how many values there are for each of the two causes. None: those that are listed.
        kinds: how many values there are of each kind, if somebody has counted them.
    """

    undecryptable: int
    unwritable: int
    kinds: tuple[LeftKind, ...]

    def __new__(
        cls,
        entries: Iterable[QuarantineEntry] = (),
        *,
        undecryptable: int | None = None,
        unwritable: int | None = None,
        kinds: Iterable[LeftKind] | None = None,
    ) -> Self:
        """Make the list."""
        made = super().__new__(cls, entries)
        listed = sum(entry.unwritable for entry in made)
        made.undecryptable = len(made) - listed if undecryptable is None else undecryptable
        made.unwritable = listed if unwritable is None else unwritable
        found = _kinds(made, exact=made.total == len(made)) if kinds is None else kinds
        made.kinds = tuple(sorted(found, key=lambda kind: (-kind.number, kind.location, kind.reason)))
        return made

    @property
    def total(self) -> int:
        """How many values there are."""
        return self.undecryptable + self.unwritable

    @property
    def unlisted(self) -> int:
        """How many of them are not listed here."""
        return self.total - len(self)

    @classmethod
    def together(cls, parts: Sequence[Quarantine]) -> Self:
        """Several lists as one, for example of several databases."""
        return cls(
            _first([entry for part in parts for entry in part], MOST_LISTED),
            undecryptable=sum(part.undecryptable for part in parts),
            unwritable=sum(part.unwritable for part in parts),
            kinds=_added([kind for part in parts for kind in part.kinds]),
        )


class QuarantineCollector:
    """Takes undecryptable values as they are found, in any order and some of them twice, and keeps the first ones."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, str], list[QuarantineEntry]] = {}

    def add(self, entries: Iterable[QuarantineEntry]) -> None:
        """Take values."""
        for entry in entries:
            kind = self._kinds.setdefault((entry.location, entry.reason), [])
            kind.append(entry)
            if len(kind) >= 2 * MOST_OF_A_KIND:
                kind[:] = _sorted(kind)[:MOST_OF_A_KIND]

    def entries(self) -> Iterator[QuarantineEntry]:
        """The values that are kept, for another collector."""
        for kind in self._kinds.values():
            yield from kind

    def result(self, undecryptable: int) -> Quarantine:
        """The list.

        Args:
            undecryptable: how many values no key opens.
        """
        kept = [entry for kind in self._kinds.values() for entry in _sorted(kind)[:MOST_OF_A_KIND]]
        listed = _first(kept, MOST_LISTED)
        return Quarantine(listed, undecryptable=max(undecryptable, len(listed)), unwritable=0)


def _kinds(entries: Iterable[QuarantineEntry], *, exact: bool) -> list[LeftKind]:
    counted = Counter((entry.location, entry.reason) for entry in entries)
    return [LeftKind(location, reason, number, exact) for (location, reason), number in counted.items()]


def _added(kinds: Iterable[LeftKind]) -> list[LeftKind]:
    """The kinds of several databases. The same location with the same reason is one kind."""
    numbers: dict[tuple[str, str], LeftKind] = {}
    for kind in kinds:
        name = kind.location, kind.reason
        before = numbers.get(name, replace(kind, number=0))
        numbers[name] = replace(kind, number=before.number + kind.number, exact=before.exact and kind.exact)
    return list(numbers.values())


def _sorted(entries: Iterable[QuarantineEntry]) -> list[QuarantineEntry]:
    # A value that was read twice is listed once.
    return sorted(set(entries), key=_ORDER)


def _first(entries: Sequence[QuarantineEntry], most: int) -> list[QuarantineEntry]:
    """Choose values so that each kind has its first ones. The order is kept where all of them fit."""
    if len(entries) <= most:
        return sorted(entries, key=_ORDER)
    places: dict[tuple[str, str], int] = {}
    ranked = []
    for entry in sorted(entries, key=_ORDER):
        kind = entry.location, entry.reason
        places[kind] = places.get(kind, 0) + 1
        ranked.append((places[kind], entry))
    ranked.sort(key=lambda each: each[0])
    return sorted((entry for _, entry in ranked[:most]), key=_ORDER)
