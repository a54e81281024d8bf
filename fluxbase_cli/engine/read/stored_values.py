"""Lists every value: where it is, what its row is called, and which keys it needs. Never the value itself.

It gets the rows of an audit (`full_read`), so it reads as the audit does, and opens with the same keys in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from uuid import UUID

from fluxbase_cli.engine.read.visitor import SnapshotReading
from fluxbase_cli.engine.run.resealer import FoundValue, RowResealer
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.relation import ID, TID, Relation
from fluxbase_cli.store.row_facts import NO_FACTS, RowFacts, RowFactsReader
from fluxbase_cli.store.rows import Rows


class ValueState(StrEnum):
    """What a stored value is."""

    SEALED = "sealed"
    PLAINTEXT = "plaintext"
    UNDECRYPTABLE = "undecryptable"


@dataclass(frozen=True, slots=True)
class StoredValue:
    """One value of a database.

    Attributes:
        database: the database's name.
        location: its column, as `schema.table.column`.
        id: the id of its row.
        path: where it is in a document; empty if the column is the value.
        state: what it is.
        key_versions: the versions of the keys that it needs, outermost first; more than one if it was sealed twice.
        size: bytes of the stored text.
        reason: why it is undecryptable; None if it is not.
        facts: about its row.
    """

    database: str
    location: str
    id: UUID
    path: tuple[str, ...]
    state: ValueState
    key_versions: tuple[int, ...]
    size: int
    reason: str | None
    facts: RowFacts


@dataclass(frozen=True, slots=True)
class ValueFilter:
    """Which values to list. None, or nothing: all.

    Attributes:
        locations: `schema.table` or `schema.table.column`.
        key_version: values that need this key.
        undecryptable: undecryptable values only.
        name: values of rows with such a name; `*`, `?` and `[…]` stand for other characters, as in a shell.
        tenant: values of rows of this tenant.
        older_than_s, newer_than_s: values of rows that were changed longer ago than this, or less long, in seconds.
    """

    locations: tuple[str, ...] = ()
    key_version: int | None = None
    undecryptable: bool = False
    name: str | None = None
    tenant: UUID | None = None
    older_than_s: float | None = None
    newer_than_s: float | None = None

    def has_location(self, table: str, column: str) -> bool:
        """Whether to list a location."""
        return not self.locations or table in self.locations or f"{table}.{column}" in self.locations

    def has_row(self, facts: RowFacts) -> bool:
        """Whether to list the values of a row. A row without a name has no name that fits, and so on."""
        return (
            (self.name is None or (facts.name is not None and fnmatchcase(facts.name, self.name)))
            and (self.tenant is None or facts.tenant == str(self.tenant))
            and (self.older_than_s is None or (facts.age_s is not None and facts.age_s > self.older_than_s))
            and (self.newer_than_s is None or (facts.age_s is not None and facts.age_s <= self.newer_than_s))
        )

    def has_value(self, value: StoredValue) -> bool:
        """Whether to list a value of such a row."""
        return (self.key_version is None or self.key_version in value.key_versions) and (
            not self.undecryptable or value.state is ValueState.UNDECRYPTABLE
        )


@dataclass(slots=True)
class ListedCounts:
    """What was listed.

    Attributes:
        sealed, plaintext, undecryptable: how many values of each state.
        unknown: undecryptable values that fit but for their key, which nobody knows.
    """

    sealed: int = 0
    plaintext: int = 0
    undecryptable: int = 0
    unknown: int = 0

    @property
    def listed(self) -> int:
        """How many values were listed."""
        return self.sealed + self.plaintext + self.undecryptable

    def add(self, state: ValueState) -> None:
        """Count a listed value."""
        match state:
            case ValueState.SEALED:
                self.sealed += 1
            case ValueState.PLAINTEXT:
                self.plaintext += 1
            case ValueState.UNDECRYPTABLE:
                self.undecryptable += 1


class ValueList:
    """Hands on the values that a filter chooses, until there are enough.

    Args:
        chosen: which values.
        limit: how many at most; None: all.
        take: gets them, some at a time. It returns whether it wants more.
        enough: called once, when no more are wanted.
    """

    def __init__(
        self,
        chosen: ValueFilter,
        limit: int | None,
        take: Callable[[Sequence[StoredValue]], bool],
        enough: Callable[[], None],
    ) -> None:
        self.chosen = chosen
        self.counts = ListedCounts()
        self._limit = limit
        self._take = take
        self._enough = enough
        self.ended_early = False

    def add(self, values: Iterator[StoredValue]) -> None:
        """Take the values of some rows."""
        listed: list[StoredValue] = []
        for value in values:
            if self.ended_early:
                break
            self.counts.unknown += value.state is ValueState.UNDECRYPTABLE
            if not self.chosen.has_value(value):
                continue
            if self._limit is not None and self.counts.listed == self._limit:
                self._end()
                break
            self.counts.add(value.state)
            listed.append(value)
        if listed and not self._take(listed):
            self._end()

    def _end(self) -> None:
        self.ended_early = True
        self._enough()


class ValueVisitor:
    """Lists the values of one database. It is the `RowVisitor` of a full read.

    Args:
        database: its name.
        values: takes the values.
    """

    def __init__(self, database: str, values: ValueList) -> None:
        self._database = database
        self._values = values
        self._chosen = values.chosen
        self._reader: tuple[Relation, RowFactsReader] | None = None

    @property
    def began(self) -> bool:
        """Whether values were handed on."""
        return self._values.counts.listed > 0

    def wants(self, relation: Relation) -> bool:
        """Whether the filter chooses a location of the relation."""
        table = relation.table.qualified
        return any(self._chosen.has_location(table, column.name) for column in relation.columns)

    def visit(self, relation: Relation, resealer: RowResealer, rows: Rows, reading: SnapshotReading) -> None:
        """List the values of some rows."""
        if self._values.ended_early:
            return

        def read(connection: Connection) -> dict[bytes, RowFacts]:
            if self._reader is None or self._reader[0] is not relation:
                self._reader = relation, RowFactsReader(connection, relation)
            return dict(self._reader[1].read(connection, rows))

        facts = reading(read)
        self._values.add(self._each(relation, resealer, rows, facts))

    def _each(
        self, relation: Relation, resealer: RowResealer, rows: Rows, facts: dict[bytes, RowFacts]
    ) -> Iterator[StoredValue]:
        table = relation.table
        columns = {each: table.location(each) for each in relation.columns}
        wanted = {each for each in columns if self._chosen.has_location(table.qualified, each.name)}
        for row in rows.tuples():
            about = facts.get(row[TID], NO_FACTS)
            if not self._chosen.has_row(about):
                continue
            row_id = UUID(bytes=row[ID])
            for found in resealer.each_value(row):
                if found.column in wanted:
                    yield StoredValue(
                        self._database,
                        columns[found.column],
                        row_id,
                        found.path,
                        _state(found),
                        tuple(dict.fromkeys(layer.version for layer in found.layers)),
                        found.size,
                        found.reason,
                        about,
                    )


def _state(found: FoundValue) -> ValueState:
    if found.layers:
        return ValueState.SEALED
    return ValueState.PLAINTEXT if found.reason is None else ValueState.UNDECRYPTABLE
