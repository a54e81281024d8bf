"""Lists the tables and columns of a database that could hold a seal, with any name.

The session uses the database's encoding, and takes names and values as bytes. So no conversion can fail, no matter
which bytes a column holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import psycopg
from psycopg.rows import dict_row

from fluxbase_cli.store.connection import Connection, for_values
from fluxbase_cli.store.encoding import codec_of
from fluxbase_cli.store.queries import named_queries

#: The only access method whose rows can be read in the order of their ctids.
HEAP = "heap"


class ColumnKind(Enum):
    """How a column is searched."""

    TEXT = "text"
    """Stored as text."""
    PRINTED = "printed"
    """JSON, XML, hstore, an array or a composite type: its printed text is searched."""
    BYTES = "bytes"
    """bytea."""
    UUID = "uuid"
    """A uuid, which may name a user; not searched."""
    UUIDS = "uuids"
    """An array of uuids, which may name users; not searched."""


_SEARCHED = frozenset({ColumnKind.TEXT, ColumnKind.PRINTED, ColumnKind.BYTES})


@dataclass(frozen=True, slots=True)
class DeepColumn:
    """A column of a table.

    Attributes:
        name: its name, as bytes of the database's encoding.
        location: `schema.table.column`, for reports.
        kind: how it is searched.
    """

    name: bytes
    location: str
    kind: ColumnKind


@dataclass(frozen=True, slots=True)
class DeepRelation:
    """A table or materialized view that stores rows.

    Attributes:
        oid: its object id.
        schema, name: its name, as bytes of the database's encoding.
        where: `schema.table`, for reports.
        ancestors: the partitioned tables that it is a part of, as `schema.table`.
        columns: the columns that may hold a seal, in the table's order.
        owners: the columns that may name a user, and are not searched.
        key: a primary key of numbers or uuids that names a row; None if there is none.
        storage: its file, as the snapshot shows it. If it changes, the table was rewritten.
        method: the access method.
        readable: whether the role may read it.
        populated: false for a materialized view that has never been filled.
        blocks, bytes: its approximate size, in pages without TOAST and in bytes with TOAST.
    """

    oid: int
    schema: bytes
    name: bytes
    where: str
    ancestors: tuple[str, ...]
    columns: tuple[DeepColumn, ...]
    owners: tuple[DeepColumn, ...]
    key: bytes | None
    storage: int
    method: str
    readable: bool
    populated: bool
    blocks: int
    bytes: int


def for_searching(connection: Connection) -> Connection:
    """Make a session take and return values as bytes, and read one range with one statement."""
    for_values(connection)
    # No parallel workers, because we divide the work among our connections.
    connection.execute("SET enable_seqscan = off; SET jit = off; SET max_parallel_workers_per_gather = 0")
    return connection


def list_relations(connection: Connection) -> list[DeepRelation]:
    """List all that the deep audit searches. Reads the system catalogues only.

    Args:
        connection: a session from `for_searching`, in a transaction with the audit's snapshot.
    """
    encoding = codec_of(connection).name
    rows: dict[int, list[dict[str, Any]]] = {}
    with connection.cursor(row_factory=dict_row, binary=True) as cursor:
        for row in cursor.execute(named_queries("deep.sql")["columns"]):
            rows.setdefault(row["oid"], []).append(row)
    relations = [_relation(columns, encoding) for columns in rows.values()]
    table_sizes = _sizes(connection, [relation.oid for relation in relations if relation.columns and relation.readable])
    return [
        replace(relation, blocks=blocks, bytes=size)
        for relation in relations
        for blocks, size in (table_sizes.get(relation.oid, (relation.blocks, relation.bytes)),)
        if relation.columns
    ]


def _sizes(connection: Connection, oids: Sequence[int]) -> dict[int, tuple[int, int]]:
    """The sizes of tables in pages and bytes; none if a lock would make it wait. Only speed depends on them."""
    try:
        with connection.transaction():
            connection.execute("SET LOCAL lock_timeout = '100ms'")
            rows = connection.execute(named_queries("deep.sql")["sizes"], {"oids": oids}, binary=True).fetchall()
    except psycopg.errors.LockNotAvailable:
        return {}
    return {oid: (blocks, size) for oid, blocks, size in rows if blocks is not None}


def _relation(rows: Sequence[Mapping[str, Any]], encoding: str) -> DeepRelation:
    def text(name: bytes) -> str:
        return name.decode(encoding, "backslashreplace")

    first = rows[0]
    where = f"{text(first['schema'])}.{text(first['name'])}"
    columns = [
        DeepColumn(row["column_name"], f"{where}.{text(row['column_name'])}", ColumnKind(row["kind"].decode()))
        for row in rows
        if row["kind"] is not None
    ]
    key = (row["column_name"] for row in rows if row["is_key"] and row["kind"] in (None, b"uuid"))
    return DeepRelation(
        oid=first["oid"],
        schema=first["schema"],
        name=first["name"],
        where=where,
        ancestors=tuple(map(text, first["ancestors"])),
        columns=tuple(column for column in columns if column.kind in _SEARCHED),
        owners=tuple(column for column in columns if column.kind not in _SEARCHED),
        key=next(key, None),
        storage=first["storage"],
        method=text(first["method"] or b""),
        readable=first["readable"],
        populated=first["populated"],
        blocks=first["blocks"],
        bytes=first["bytes"],
    )
