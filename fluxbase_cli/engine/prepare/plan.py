"""The plan of a run: how many rows there are, how large the shards are, and what the canary saw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fluxbase_cli.engine.prepare.canary import Canary, sing
from fluxbase_cli.keyring import Keyring
from fluxbase_cli.store.connection import Access, Connection, begin_survey
from fluxbase_cli.store.jobs import Cut
from fluxbase_cli.store.table_stats import Survey, survey
from fluxbase_cli.store.values import Shape

#: Small enough that ten runners share a large table evenly and that little is left when one dies, large enough that
#: leasing costs nothing. While one half of a shard is worked on, what was freed in the other becomes usable.
_ROWS_A_SHARD = 30_000
#: Measured on 1,000,000 rows: fewer strides grow the table (by the first of them), more of them read it too often.
_STRIDES = 12
#: A table so small may grow.
_FEW_ROWS = 2_000


@dataclass(frozen=True, slots=True)
class Plan:
    """All tables of a run.

    Attributes:
        surveys: what there is, by relation (a table, or a partition of one).
        canary: what the sample showed.
    """

    surveys: Mapping[Shape, Survey]
    canary: Canary

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(found.rows for found in self.surveys.values())

    @property
    def rows_by_location(self) -> Mapping[str, int]:
        """Rows for each `schema.table.column`, as a progress display wants them."""
        rows: dict[str, int] = {}
        for shape, found in self.surveys.items():
            for column in shape.columns:
                location = shape.table.location(column)
                rows[location] = rows.get(location, 0) + found.rows
        return rows

    @property
    def values_by_location(self) -> Mapping[str, int]:
        """Non-empty values (for JSON: documents) for each `schema.table.column`."""
        values: dict[str, int] = {}
        for shape, found in self.surveys.items():
            for column in shape.columns:
                location = shape.table.location(column)
                values[location] = values.get(location, 0) + found.values[column.name]
        return values

    @property
    def cuts(self) -> Mapping[Shape, Cut]:
        """How each relation is cut into shards."""
        return {
            shape: Cut(
                blocks=max(1, found.blocks * _ROWS_A_SHARD // max(found.rows, 1)),
                strides=_STRIDES if found.rows > _FEW_ROWS else 1,
            )
            for shape, found in self.surveys.items()
        }


def make_plan(connection: Connection, shapes: tuple[Shape, ...], access: Access, keyring: Keyring) -> Plan:
    """Count and sample the tables. Reads only.

    Args:
        connection: one that hands over raw bytes (see `for_values`), outside a transaction.
        shapes: the tables, as preflight found them.
        access: how to read them.
        keyring: the keys for the canary.
    """
    connection.execute(begin_survey(access))
    try:
        surveys = {shape: survey(connection, shape) for shape in shapes}
        return Plan(surveys, sing(connection, surveys, keyring))
    finally:
        connection.execute("ROLLBACK")
