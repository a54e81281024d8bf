"""Counts rows and values and samples ids, for the plan, the key sample and the confirmation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from fluxbase_cli.catalogue.locations import Form, SealedColumn
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.encoding import NO_PARAMETERS
from fluxbase_cli.store.relation import Relation

#: Rows that are read to learn how ids are spread: all rows of a smaller table, a sample of the pages of a larger one.
_SAMPLE_ROWS = 30_000


@dataclass(frozen=True, slots=True)
class TableStats:
    """How much a relation holds.

    Attributes:
        rows: rows with a value in at least one sealed column.
        values: non-empty values (for JSON: documents) by sealed column.
        blocks: its size in pages.
    """

    rows: int
    values: Mapping[str, int]
    blocks: int


def table_stats(connection: Connection, relations: Sequence[Relation]) -> dict[Relation, TableStats]:
    """Count the rows and values of relations, in one statement."""
    if not relations:
        return {}
    # Each relation has another number of columns, so the counts are an array.
    each = [
        sql.SQL("SELECT {number}, ARRAY[{counts}] FROM ONLY {table} AS t").format(
            number=sql.Literal(number),
            counts=sql.SQL(", ").join(
                sql.SQL("count(*) FILTER (WHERE {})").format(condition)
                for condition in (relation.holds_value(), *(_filled(relation, column) for column in relation.columns))
            ),
            table=relation.identifier,
        )
        for number, relation in enumerate(relations)
    ]
    counted = connection.execute(sql.SQL(" UNION ALL ").join(each), NO_PARAMETERS).fetchall()
    found: dict[int, Sequence[int]] = dict(counted)
    blocks = count_blocks(connection, relations)
    stats = {}
    for number, relation in enumerate(relations):
        rows, *values = found[number]
        names = [column.name for column in relation.columns]
        stats[relation] = TableStats(int(rows), dict(zip(names, map(int, values), strict=True)), blocks[relation])
    return stats


def count_blocks(connection: Connection, relations: Sequence[Relation]) -> dict[Relation, int]:
    """The sizes of relations in pages, without large values outside the rows (TOAST)."""
    found = connection.execute(
        sql.SQL(
            "SELECT coalesce(pg_relation_size(oid) / current_setting('block_size')::bigint, 0) "
            "FROM unnest(%(oids)s::oid[]) WITH ORDINALITY AS wanted (oid, place) ORDER BY place"
        ),
        {"oids": [relation.oid for relation in relations]},
    ).fetchall()
    return {relation: int(blocks) for relation, (blocks,) in zip(relations, found, strict=True)}


def spread_ids(
    connection: Connection, relation: Relation, column: SealedColumn, values: int, wanted: int
) -> list[bytes]:
    """The ids of rows with a value in a column, spread over the table's ids.

    Args:
        connection: a connection that returns uuids as bytes (see `for_values`).
        relation: the relation.
        column: the column that must hold a value.
        values: about how many values it holds.
        wanted: how many ids at most.
    """
    if values == 0:
        return []
    source: sql.Composable = sql.SQL("ONLY {} AS t").format(relation.identifier)
    if values > _SAMPLE_ROWS:
        # A sample of pages, so that the cost does not grow with the table.
        percent = max(100 * _SAMPLE_ROWS / values, 0.01)
        source += sql.SQL(" TABLESAMPLE SYSTEM ({}) REPEATABLE (1)").format(sql.Literal(percent))
    parts = min(wanted, values)
    row = _one(
        connection,
        sql.SQL(
            "SELECT percentile_disc(%(at)s::float8[]) WITHIN GROUP (ORDER BY {key}) FROM {source} WHERE {filled}"
        ).format(key=relation.key, source=source, filled=_filled(relation, column)),
        {"at": [(part + 0.5) / parts for part in range(parts)]},
        binary=True,
    )
    return sorted({key for key in row[0] or () if key is not None})


def _filled(relation: Relation, column: SealedColumn) -> sql.Composed:
    reference = relation.named("t", column.name)
    if column.form is Form.JSON or not column.empty_is_unset:
        return sql.SQL("{} IS NOT NULL").format(reference)
    return sql.SQL("octet_length({}) > 0").format(reference)


def _one(
    connection: Connection,
    statement: sql.Composed | sql.SQL,
    arguments: dict[str, Any] | None = None,
    *,
    binary: bool = False,
) -> Sequence[Any]:
    row = connection.execute(statement, arguments or NO_PARAMETERS, binary=binary).fetchone()
    return row if row is not None else ()
