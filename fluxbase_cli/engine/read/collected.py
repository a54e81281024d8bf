"""What was found while values were read: by several threads, and by several processes."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import attrgetter

from fluxbase_cli.engine.run.resealer import ResealResult
from fluxbase_cli.engine.tally import Tally
from fluxbase_cli.store.quarantine import Quarantine, QuarantineCollector
from fluxbase_cli.store.reader import Reader
from fluxbase_cli.store.relation import Relation
from fluxbase_cli.unexamined import Unexamined


@dataclass(frozen=True, slots=True)
class ReadResult:
    """The result of reading all values.

    Attributes:
        tallies: the counts by `schema.table.column`, in the order of the catalogue.
        quarantine: the undecryptable values, ordered by location, row id and path.
        unexamined: damaged rows, and what was not committed when they were read.
    """

    tallies: Mapping[str, Tally]
    quarantine: Quarantine
    unexamined: tuple[Unexamined, ...] = ()


@dataclass(frozen=True, slots=True)
class Findings:
    """What one process has found. It is sent to another process.

    Attributes:
        tallies: the counts by `schema.table.column`.
        quarantine: the undecryptable values.
        damaged: the rows that can't be read.
        parts: how many parts were read to their end.
    """

    tallies: Mapping[str, Tally]
    quarantine: QuarantineCollector
    damaged: frozenset[Unexamined]
    parts: int


class Collected:
    """The results of several threads, added under a lock.

    Args:
        locations: all locations, as `schema.table.column`.
    """

    def __init__(self, locations: Iterable[str]) -> None:
        self._lock = threading.Lock()
        self._tallies: dict[str, Tally] = {location: Tally() for location in locations}
        self._quarantine = QuarantineCollector()
        self._damaged: set[Unexamined] = set()
        self._parts = 0

    @property
    def locations(self) -> Iterable[str]:
        """All locations."""
        return self._tallies

    @property
    def parts(self) -> int:
        """How many parts were read to their end."""
        return self._parts

    def add(self, relation: Relation, result: ResealResult) -> None:
        """Add what was found in some rows."""
        with self._lock:
            for column, tally in zip(relation.columns, result.tallies, strict=True):
                self._tallies[relation.table.location(column)].add(tally)
            self._quarantine.add(result.quarantine)

    def add_damaged(self, reader: Reader) -> None:
        """Add the damaged rows that a reader has met."""
        damaged = {row.unexamined() for row in reader.take_damaged()}
        with self._lock:
            self._damaged |= damaged

    def part_done(self) -> None:
        """Count a part that was read to its end."""
        with self._lock:
            self._parts += 1

    def findings(self) -> Findings:
        """All of it, for another process."""
        return Findings(self._tallies, self._quarantine, frozenset(self._damaged), self._parts)

    def merge(self, found: Findings) -> None:
        """Add what another process has found."""
        with self._lock:
            for location, tally in found.tallies.items():
                self._tallies[location].add(tally)
            self._quarantine.add(found.quarantine.entries())
            self._damaged |= found.damaged
            self._parts += found.parts

    def result(self) -> ReadResult:
        """What was found."""
        undecryptable = sum(tally.undecryptable for tally in self._tallies.values())
        return ReadResult(
            self._tallies,
            self._quarantine.result(undecryptable),
            tuple(sorted(self._damaged, key=attrgetter("where"))),
        )
