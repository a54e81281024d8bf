"""The plan of a run: how many rows there are, how large the shards are, and what the key sample showed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fluxbase_cli.catalogue.locations import Form
from fluxbase_cli.engine.goal import Goal
from fluxbase_cli.engine.prepare.key_sample import KeySample, take_sample
from fluxbase_cli.engine.tally import Tally
from fluxbase_cli.keyring import Keyring
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.records import ShardLayout
from fluxbase_cli.store.relation import Relation
from fluxbase_cli.store.table_stats import TableStats, table_stats
from fluxbase_cli.store.transactions import Access, begin_stats_read

#: Small enough that ten runners share a large table evenly and that little is lost when one dies. Large enough that
#: leases cost nothing. While one half of a shard is written, the freed room in the other half becomes usable.
_ROWS_A_SHARD = 30_000
#: Small tables are cut into more shards, so that all workers have some. A lane of such a shard fills one batch at most.
_ROWS_A_SMALL_SHARD = 12_000
_LEAST_ROWS_A_SHARD = 5_000
_SHARDS = 8
#: A document counts as so many values: it has several, and is larger.
_VALUES_A_DOCUMENT = 5
#: Measured on 1,000,000 rows: with fewer lanes the table grows more (by the first lane), with more lanes it is read too
#: many times.
_LANES = 12
#: Up to this size a table has one lane. It may grow.
_FEW_ROWS = 2_000


@dataclass(frozen=True, slots=True)
class Plan:
    """All tables of a run.

    Attributes:
        stats: how much there is, by relation (a table, or a partition of one).
        key_sample: what the key sample showed.
    """

    stats: Mapping[Relation, TableStats]
    key_sample: KeySample

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(found.rows for found in self.stats.values())

    @property
    def rows_by_location(self) -> Mapping[str, int]:
        """Rows for each `schema.table.column`, for a progress display."""
        rows: dict[str, int] = {}
        for relation, found in self.stats.items():
            for column in relation.columns:
                location = relation.table.location(column)
                rows[location] = rows.get(location, 0) + found.rows
        return rows

    @property
    def values_by_location(self) -> Mapping[str, int]:
        """Non-empty values (for JSON: documents) for each `schema.table.column`."""
        values: dict[str, int] = {}
        for relation, found in self.stats.items():
            for column in relation.columns:
                location = relation.table.location(column)
                values[location] = values.get(location, 0) + found.values[column.name]
        return values

    def values_to_move(self, goal: Goal) -> int:
        """About how many values (for JSON: documents) the goal moves, by the shares of the key sample."""
        return self._about(lambda tally: tally.moving(goal))

    @property
    def plaintext(self) -> int:
        """About how many values are plaintext, by the shares of the key sample. No job moves them."""
        return self._about(lambda tally: tally.plaintext)

    @property
    def undecryptable(self) -> int:
        """About how many values no key opens, by the shares of the key sample. No job moves them."""
        return self._about(lambda tally: tally.undecryptable)

    def _about(self, count: Callable[[Tally], int]) -> int:
        values = 0.0
        for location, number in self.values_by_location.items():
            tally = self.key_sample.samples.get(location)
            # A plaintext value is no sealed value, so `scanned` does not count it. The number of values does.
            sampled = 0 if tally is None else tally.scanned + tally.plaintext
            if tally is not None and sampled:
                values += number * count(tally) / sampled
        return round(values)

    @property
    def work(self) -> int:
        """How many values there are, about; those in documents are not counted before they are read."""
        return sum(
            found.values[column.name] * (_VALUES_A_DOCUMENT if column.form is Form.JSON else 1)
            for relation, found in self.stats.items()
            for column in relation.columns
        )

    @property
    def shard_layouts(self) -> Mapping[Relation, ShardLayout]:
        """How each relation is divided into shards."""
        return {
            relation: ShardLayout(
                blocks=max(1, found.blocks * _rows_a_shard(found.rows) // max(found.rows, 1)),
                lanes=_LANES if found.rows > _FEW_ROWS else 1,
            )
            for relation, found in self.stats.items()
        }


def _rows_a_shard(rows: int) -> int:
    if rows >= _SHARDS * _ROWS_A_SHARD:
        return _ROWS_A_SHARD
    return min(_ROWS_A_SMALL_SHARD, max(_LEAST_ROWS_A_SHARD, rows // _SHARDS))


def make_plan(connection: Connection, relations: tuple[Relation, ...], access: Access, keyring: Keyring) -> Plan:
    """Count and sample the tables. Reads only.

    Args:
        connection: a connection that returns raw bytes (see `for_values`), outside a transaction.
        relations: the tables, as the preflight check found them.
        access: how to read values with this role.
        keyring: the keys for the key sample.
    """
    connection.execute(begin_stats_read(access))
    try:
        stats = table_stats(connection, relations)
        return Plan(stats, take_sample(connection, stats, keyring))
    finally:
        connection.execute("ROLLBACK")
