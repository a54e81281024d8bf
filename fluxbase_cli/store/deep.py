"""Looking into every column of a database: which columns there are, and the rows in which a seal may stand.

The server filters by form, so that only values with a run of at least 40 characters of base64 are sent. The filter
lets everything through that may hold a seal, also one with JSON escapes or line breaks in it; `proof/candidates.py`
looks at the rest.

The session speaks the database's own encoding and takes names and values as bytes: no conversion can fail, whatever
bytes a column holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import psycopg
from psycopg import sql
from psycopg.pq import Escaping
from psycopg.rows import dict_row

from fluxbase_cli.seal import MIN_TEXT_BYTES, OVERHEAD_BYTES
from fluxbase_cli.store.connect import Connection, TextArray, for_values
from fluxbase_cli.store.places import Place, Stretch
from fluxbase_cli.store.queries import named_queries

#: The only access method whose rows have an order by place.
HEAP = "heap"
#: A `bytea` of at most so many bytes may be a decoded seal; of a longer one only the text in it is looked at.
MAX_RAW_BYTES = 4096
#: Larger values, in bytes, are not sent with the others but fetched later, see `DeepTable.fetch`.
SMALL_BYTES = 2048
#: Rows that one statement sends at most.
ROWS_A_PAGE = 5_000

#: Beyond these sizes the server would need too much memory for its regular expression, so the value is sent.
_MAX_FILTERED_TEXT = 32 * 1024 * 1024
_MAX_FILTERED_BYTEA = 16 * 1024 * 1024
#: A text of at most so many bytes is first asked for a character that no hex digit is. That costs a tenth of the
#: search for a run, and leaves out digests: a seal of hex digits alone has odds of one in 10**18.
_MAX_DIGEST_BYTES = 512
_NO_HEX = "[G-Zg-z+/]"
#: What a seal is made of in any text: base64, with line breaks, JSON escapes and percent signs.
_CHARACTERS = r"A-Za-z0-9+/=%\\\r\n"
#: A run is tried from its first character only: from each of them it takes half as long again.
_RUN = rf"(?:^|[^{_CHARACTERS}])[{_CHARACTERS}]{{{MIN_TEXT_BYTES}}}"
#: The same in bytea's escape format, where a backslash is two, and one backslash begins a byte that is no text.
_BYTEA_RUN = rf"(?:[A-Za-z0-9+/=%\r\n]|\\\\){{{MIN_TEXT_BYTES}}}"

#: Text of the row beside a seal that may name its user; longer texts are not looked at.
_MAX_HINT_BYTES = 4096
_UUID_TEXT_BYTES = 36


class ColumnKind(Enum):
    """How a column is looked into."""

    TEXT = "text"
    """Stored as text."""
    PRINTED = "printed"
    """JSON, XML, hstore, an array or a composite type: as it is printed."""
    BYTES = "bytes"
    """bytea."""
    UUID = "uuid"
    """A uuid, which may name a user; not searched."""
    UUIDS = "uuids"
    """An array of uuids; likewise."""


_SEARCHED = frozenset({ColumnKind.TEXT, ColumnKind.PRINTED, ColumnKind.BYTES})


class _Name(sql.Composable):
    """An identifier as the bytes that the server sent, whatever the encoding is."""

    def __init__(self, *parts: bytes) -> None:
        super().__init__(parts)
        self._parts = parts

    def as_bytes(self, context: psycopg.abc.AdaptContext | None = None) -> bytes:
        connection = context.connection if context is not None else None
        if connection is None:
            return b".".join(b'"' + part.replace(b'"', b'""') + b'"' for part in self._parts)
        escaping = Escaping(connection.pgconn)
        return b".".join(bytes(escaping.escape_identifier(part)) for part in self._parts)


@dataclass(frozen=True, slots=True)
class DeepColumn:
    """A column of a table.

    Attributes:
        name: its name, as bytes of the database's encoding.
        location: `schema.table.column`, for reports.
        kind: how it is looked into.
    """

    name: bytes
    location: str
    kind: ColumnKind


@dataclass(frozen=True, slots=True)
class DeepRelation:
    """A table or materialized view with rows of its own.

    Attributes:
        oid: its object id.
        schema, name: its name, as bytes of the database's encoding.
        where: `schema.table`, for reports.
        ancestors: the partitioned tables that it is a part of, as `schema.table`.
        columns: the columns that may hold a seal, in the table's order.
        owners: the columns that may name a user, and are not searched.
        key: a column of numbers or uuids that names a row, where it has one.
        storage: its file, as the snapshot shows it; another one means that the table was written anew.
        method: the access method.
        readable: whether the role may read it.
        populated: false for a materialized view that has never been filled.
        blocks, bytes: about its size in pages, and with what is stored beside it.
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


def speak_its_encoding(connection: Connection) -> Connection:
    """Make a session take and give names and values as bytes in the database's own encoding."""
    for_values(connection)
    connection.execute("SELECT set_config('client_encoding', current_setting('server_encoding'), false)")
    # One statement reads one stretch: we divide the work among connections of ours.
    connection.execute("SET enable_seqscan = off; SET jit = off; SET max_parallel_workers_per_gather = 0")
    return connection


def list_relations(connection: Connection) -> list[DeepRelation]:
    """All that the deep census looks into; reads the system catalogues only.

    Args:
        connection: a session as `speak_its_encoding` makes it, in a transaction with the census's snapshot.
    """
    encoding = _codec(connection)
    rows: dict[int, list[dict[str, Any]]] = {}
    with connection.cursor(row_factory=dict_row, binary=True) as cursor:
        for row in cursor.execute(named_queries("deep.sql")["columns"]):
            rows.setdefault(row["oid"], []).append(row)
    relations = [_relation(columns, encoding) for columns in rows.values()]
    sizes = _sizes(connection, [relation.oid for relation in relations if relation.columns and relation.readable])
    return [
        replace(relation, blocks=blocks, bytes=size)
        for relation in relations
        for blocks, size in (sizes.get(relation.oid, (relation.blocks, relation.bytes)),)
        if relation.columns
    ]


def _sizes(connection: Connection, oids: Sequence[int]) -> dict[int, tuple[int, int]]:
    """The sizes of tables in pages and bytes, where they can be had without waiting: only speed depends on them."""
    try:
        with connection.transaction():
            connection.execute("SET LOCAL lock_timeout = '100ms'")
            rows = connection.execute(named_queries("deep.sql")["sizes"], {"oids": oids}, binary=True).fetchall()
    except psycopg.errors.LockNotAvailable:
        return {}
    return {oid: (blocks, size) for oid, blocks, size in rows if blocks is not None}


def _relation(rows: Sequence[Mapping[str, Any]], encoding: str) -> DeepRelation:
    def told(name: bytes) -> str:
        return name.decode(encoding, "backslashreplace")

    first = rows[0]
    where = f"{told(first['schema'])}.{told(first['name'])}"
    columns = [
        DeepColumn(row["column_name"], f"{where}.{told(row['column_name'])}", ColumnKind(row["kind"].decode()))
        for row in rows
        if row["kind"] is not None
    ]
    key = (row["column_name"] for row in rows if row["is_key"] and row["kind"] in (None, b"uuid"))
    return DeepRelation(
        oid=first["oid"],
        schema=first["schema"],
        name=first["name"],
        where=where,
        ancestors=tuple(map(told, first["ancestors"])),
        columns=tuple(column for column in columns if column.kind in _SEARCHED),
        owners=tuple(column for column in columns if column.kind not in _SEARCHED),
        key=next(key, None),
        storage=first["storage"],
        method=told(first["method"] or b""),
        readable=first["readable"],
        populated=first["populated"],
        blocks=first["blocks"],
        bytes=first["bytes"],
    )


def _codec(connection: Connection) -> str:
    try:
        encoding = connection.info.encoding
    except psycopg.NotSupportedError:
        return "ascii"
    # Most that is stored in a database without an encoding is UTF-8.
    return "utf-8" if encoding == "ascii" else encoding


@dataclass(frozen=True, slots=True, repr=False)
class Matches:
    """What the server's filter lets through of some rows. Its `repr` hides the values.

    Attributes:
        small: values, each with its row's place and the number of its column.
        large: values that were not sent, since they are too large: place, number of the column, and size in bytes.
        last: the place of the last row; None where the stretch ends with it.
    """

    small: Sequence[tuple[bytes, int, bytes]]
    large: Sequence[tuple[bytes, int, int]]
    last: bytes | None


class DeepTable:
    """Reads what may hold a seal from one table.

    Args:
        relation: the table.
        columns: those of its columns that are searched.
    """

    def __init__(self, relation: DeepRelation, columns: Sequence[DeepColumn]) -> None:
        self.relation = relation
        self.columns = tuple(columns)
        self._name = _Name(relation.schema, relation.name)

    def matches(self, connection: Connection, stretch: Stretch) -> Matches:
        """The values of the first rows of a stretch that the filter lets through.

        Args:
            connection: in a transaction with the census's snapshot.
            stretch: where to read.
        """
        rows = connection.execute(self._search(stretch), binary=True).fetchall()
        small = [(row[0], number, value) for row in rows for number, value in enumerate(row[2:]) if value is not None]
        large = [
            (row[0], number, size)
            for row in rows
            if row[1] is not None
            for number, size in enumerate(row[1])
            if size is not None and size > SMALL_BYTES
        ]
        return Matches(small, large, rows[-1][0] if len(rows) == ROWS_A_PAGE else None)

    def fetch(self, connection: Connection, column: int, places: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
        """The values of one column at some places, however large, with their places."""
        statement = sql.SQL("SELECT t.ctid, {} FROM ONLY {} AS t WHERE t.ctid = ANY({})").format(
            _value(self.columns[column]), self._name, _array(places)
        )
        return connection.execute(statement, binary=True).fetchall()

    def hints(self, connection: Connection, places: Sequence[bytes]) -> dict[bytes, bytes]:
        """What stands in these rows that may name a user: their uuids, and their short texts."""
        parts: list[sql.Composable] = [_column(column) for column in self.relation.owners]
        for column in self.relation.columns:
            if column.kind is ColumnKind.BYTES:
                continue
            measure = sql.SQL("octet_length" if column.kind is ColumnKind.TEXT else "pg_column_size")
            parts.append(
                sql.SQL("CASE WHEN {}({}) BETWEEN {} AND {} THEN {} END").format(
                    measure, _column(column), _UUID_TEXT_BYTES, _MAX_HINT_BYTES, _value(column)
                )
            )
        if not parts:
            return {}
        statement = sql.SQL("SELECT t.ctid, concat_ws(' ', {}) FROM ONLY {} AS t WHERE t.ctid = ANY({})").format(
            sql.SQL(", ").join(parts), self._name, _array(places)
        )
        return dict(connection.execute(statement, binary=True).fetchall())

    def name_row(self, connection: Connection, place: bytes) -> str | None:
        """The key of a row, where it has one that is a number or a uuid."""
        if self.relation.key is None:
            return None
        statement = sql.SQL("SELECT {}::text FROM ONLY {} AS t WHERE t.ctid = ANY({})").format(
            _Name(b"t", self.relation.key), self._name, _array([place])
        )
        row = connection.execute(statement, binary=True).fetchone()
        return row[0].decode("ascii") if row is not None else None

    def stands_as_listed(self, connection: Connection) -> bool:
        """Whether the table is what it was in the snapshot: the same, under the same name, and not written anew.

        A table that was written anew since looks empty, or is incomplete. To be asked after a first read in the same
        transaction, which locks the table until its end.
        """
        name = TextArray([self._name.as_bytes(None)])
        row = connection.execute(named_queries("deep.sql")["storage"], {"name": name}, binary=True).fetchone()
        return row == (self.relation.oid, self.relation.storage)

    def _search(self, stretch: Stretch) -> sql.Composed:
        """Two nested tables that the planner must not merge, so that each value is printed and filtered once."""
        inner, middle, outer, sizes, matched = [], [], [], [], []
        for number, column in enumerate(self.columns):
            value, size = sql.Identifier(f"v{number}"), sql.Identifier(f"s{number}")
            inner.append(sql.SQL("{} AS {}").format(_printed(column), value))
            middle.append(
                sql.SQL("{}, CASE WHEN {} THEN octet_length({}) END AS {}").format(
                    value, _may_hold_seal(value, column.kind), value, size
                )
            )
            sizes.append(size)
            outer.append(sql.SQL("CASE WHEN {} <= {} THEN {} END").format(size, SMALL_BYTES, value))
            matched.append(sql.SQL("{} IS NOT NULL").format(size))
        return sql.SQL(
            "SELECT ctid, CASE WHEN greatest({sizes}) > {small} THEN ARRAY[{sizes}] END, {outer} FROM ("
            "SELECT ctid, {middle} FROM ("
            "SELECT t.ctid, {inner} FROM ONLY {table} AS t "
            "WHERE t.ctid > {after}::tid AND t.ctid <= {upto}::tid OFFSET 0"
            ") AS printed OFFSET 0"
            ") AS filtered WHERE {matched} LIMIT {rows}"
        ).format(
            sizes=sql.SQL(", ").join(sizes),
            small=SMALL_BYTES,
            outer=sql.SQL(", ").join(outer),
            middle=sql.SQL(", ").join(middle),
            inner=sql.SQL(", ").join(inner),
            table=self._name,
            after=sql.Literal(str(stretch.after)),
            upto=sql.Literal(str(stretch.upto)),
            matched=sql.SQL(" OR ").join(matched),
            rows=ROWS_A_PAGE,
        )


def _array(places: Sequence[bytes]) -> sql.Composed:
    """Places as a literal: names may hold percent signs, so no statement with names in it takes parameters."""
    return sql.SQL("{}::tid[]").format(sql.Literal("{" + ",".join(f'"{Place.of(place)}"' for place in places) + "}"))


def _column(column: DeepColumn) -> _Name:
    return _Name(b"t", column.name)


def _value(column: DeepColumn) -> sql.Composable:
    """A column's value as it is searched."""
    if column.kind is ColumnKind.BYTES:
        return _column(column)
    # concat() prints a value as it is sent. A cast could be somebody else's function, run with our privileges.
    printed = sql.SQL("{}::text" if column.kind is ColumnKind.TEXT else "concat({})").format(_column(column))
    # The collation "C" is the fastest for regular expressions, and some others refuse them.
    return sql.SQL('{} COLLATE "C"').format(printed)


def _printed(column: DeepColumn) -> sql.Composable:
    if column.kind is not ColumnKind.PRINTED:
        return _value(column)
    # No compression makes a seal shorter than it is, so what is smaller needs not be printed.
    return sql.SQL("CASE WHEN pg_column_size({}) >= {} THEN {} END").format(
        _column(column), MIN_TEXT_BYTES, _value(column)
    )


def _may_hold_seal(value: sql.Identifier, kind: ColumnKind) -> sql.Composed:
    """The filter by form; its cheap parts come first."""
    if kind is ColumnKind.BYTES:
        return sql.SQL(
            "octet_length({value}) BETWEEN {least} AND {raw} OR octet_length({value}) > {raw} AND "
            "(octet_length({value}) > {most} OR encode({value}, 'escape') COLLATE \"C\" ~ {run})"
        ).format(
            value=value,
            least=OVERHEAD_BYTES,
            raw=MAX_RAW_BYTES,
            most=_MAX_FILTERED_BYTEA,
            run=sql.Literal(_BYTEA_RUN),
        )
    return sql.SQL(
        "octet_length({value}) >= {least} AND (octet_length({value}) > {digest} OR {value} ~ {no_hex}) "
        "AND (octet_length({value}) > {most} OR {value} ~ {run})"
    ).format(
        value=value,
        least=MIN_TEXT_BYTES,
        digest=_MAX_DIGEST_BYTES,
        no_hex=sql.Literal(_NO_HEX),
        most=_MAX_FILTERED_TEXT,
        run=sql.Literal(_RUN),
    )
