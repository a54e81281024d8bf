"""Reading from a table what may hold a seal: the server filters by form before anything is sent.

Only values with a run of at least 40 characters of base64 are sent. The filter lets everything through that may hold a
seal, also one with JSON escapes or line breaks in it; `proof/candidates.py` looks at the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.pq import Escaping

from fluxbase_cli.seal import MIN_TEXT_BYTES, OVERHEAD_BYTES
from fluxbase_cli.store.binary import TextArray
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.ctid import Ctid, CtidRange
from fluxbase_cli.store.deep import ColumnKind, DeepColumn, DeepRelation
from fluxbase_cli.store.queries import named_queries

#: A `bytea` of at most so many bytes may be a decoded seal; of a longer one only the text in it is looked at.
MAX_RAW_BYTES = 4096
#: Larger values, in bytes, are not sent with the others but fetched later, see `DeepTable.fetch`.
SMALL_BYTES = 2048
#: Rows that one statement sends at most.
ROWS_A_PAGE = 5_000
#: Columns that one statement looks into; a result has at most 1,664.
MOST_COLUMNS = 200

#: Beyond these sizes the server would need too much memory for its regular expression, so the value is sent.
_MAX_FILTERED_TEXT = 32 * 1024 * 1024
_MAX_FILTERED_BYTEA = 16 * 1024 * 1024
#: A text of at most so many bytes is first asked for a character that no hex digit is. That costs a tenth of the
#: search for a run, and leaves out digests: a seal of hex digits alone has odds of one in 10**18.
_MAX_DIGEST_BYTES = 512
NO_HEX = "[G-Zg-z+/]"
#: A JSON web token (RFC 7515, section 7.1): a header and claims, which are JSON, and a signature whose length no seal
#: has. To tell one costs half of the search for a run, and they are common.
IS_TOKEN = sql.SQL(
    "{value} LIKE 'eyJ%.eyJ%.%' AND {value} NOT LIKE '%.%.%.%' "
    "AND octet_length(split_part({value}, '.', 3)) IN (43, 86, 342) AND {value} !~ '[^A-Za-z0-9_.-]'"
)
#: What a seal is made of in any text: base64, with line breaks, JSON escapes and percent signs.
_CHARACTERS = r"A-Za-z0-9+/=%\\\r\n"
#: A run is tried from its first character only: from each of them it takes half as long again.
RUN = rf"(?:^|[^{_CHARACTERS}])[{_CHARACTERS}]{{{MIN_TEXT_BYTES}}}"
#: The same in bytea's escape format, where a backslash is two, and one backslash begins a byte that is no text.
_BYTEA_RUN = rf"(?:[A-Za-z0-9+/=%\r\n]|\\\\){{{MIN_TEXT_BYTES}}}"

#: Text of the row beside a seal that may name its user; longer texts are not looked at.
_MAX_HINT_BYTES = 4096
_UUID_TEXT_BYTES = 36


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


@dataclass(frozen=True, slots=True, repr=False)
class Matched:
    """What the server's filter lets through of one column. Its `repr` hides the values.

    Attributes:
        places: where the rows of the values are, in the same order.
        values: the values.
        large: places of values that were not sent since they are too large, with their sizes in bytes.
    """

    places: Sequence[bytes]
    values: Sequence[bytes]
    large: Sequence[tuple[bytes, int]]


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

    def matches(self, connection: Connection, ctid_range: CtidRange) -> tuple[list[Matched], bytes | None]:
        """The values of the first rows of a stretch that the filter lets through.

        Args:
            connection: in a transaction with the census's snapshot.
            ctid_range: where to read.

        Returns:
            What was found in each of the columns, and the place of the last row; None where the stretch ends there.
        """
        row = connection.execute(self._search(ctid_range), binary=True).fetchone()
        number, last, *arrays = row if row is not None else (0, None)
        matched = [
            Matched(places or (), values or (), list(zip(large or (), table_sizes or (), strict=True)))
            for places, values, large, table_sizes in zip(*(iter(arrays),) * 4, strict=True)
        ]
        return matched, last if number == ROWS_A_PAGE else None

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

    def _search(self, ctid_range: CtidRange) -> sql.Composed:
        """The statement of `matches`.

        The values travel as arrays: a row of the result for each of them takes four times as long.
        """
        arrays = [
            sql.SQL(
                "array_agg(ctid) FILTER (WHERE {size} <= {small}), "
                "array_agg({value}) FILTER (WHERE {size} <= {small}), "
                "array_agg(ctid) FILTER (WHERE {size} > {small}), "
                "array_agg({size}) FILTER (WHERE {size} > {small})"
            ).format(small=SMALL_BYTES, **_names(number))
            for number in range(len(self.columns))
        ]
        return sql.SQL("SELECT count(*), max(ctid), {} FROM ({} LIMIT {}) AS page").format(
            sql.SQL(", ").join(arrays),
            self._filter(
                sql.SQL("t.ctid > {}::tid AND t.ctid <= {}::tid").format(
                    sql.Literal(str(ctid_range.after)), sql.Literal(str(ctid_range.upto))
                )
            ),
            ROWS_A_PAGE,
        )

    def _filter(self, where: sql.Composable) -> sql.Composed:
        """Rows with a value that may hold a seal: of each column the value, and its size where it may.

        Two nested tables, which OFFSET 0 keeps the planner from merging, have each value printed and filtered once.
        """
        printed, filtered, matched = [], [], []
        for number, column in enumerate(self.columns):
            names = _names(number)
            printed.append(sql.SQL("{} AS {value}").format(_printed(column), **names))
            filtered.append(
                sql.SQL("{value}, CASE WHEN {} THEN octet_length({value}) END AS {size}").format(
                    _may_hold_seal(names["value"], column.kind), **names
                )
            )
            matched.append(sql.SQL("{size} IS NOT NULL").format(**names))
        return sql.SQL(
            "SELECT * FROM ("
            "SELECT ctid, {filtered} FROM ("
            "SELECT t.ctid, {printed} FROM ONLY {table} AS t WHERE {where} OFFSET 0"
            ") AS printed OFFSET 0"
            ") AS filtered WHERE {matched}"
        ).format(
            filtered=sql.SQL(", ").join(filtered),
            printed=sql.SQL(", ").join(printed),
            table=self._name,
            where=where,
            matched=sql.SQL(" OR ").join(matched),
        )


def _names(number: int) -> dict[str, sql.Identifier]:
    """What a column's value and its size are called."""
    return {"value": sql.Identifier(f"v{number}"), "size": sql.Identifier(f"s{number}")}


def _array(places: Sequence[bytes]) -> sql.Composed:
    """Places as a literal: names may hold percent signs, so no statement with names in it takes parameters."""
    return sql.SQL("{}::tid[]").format(sql.Literal("{" + ",".join(f'"{Ctid.of(place)}"' for place in places) + "}"))


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
        "AND NOT ({token}) AND (octet_length({value}) > {most} OR {value} ~ {run})"
    ).format(
        value=value,
        token=IS_TOKEN.format(value=value),
        least=MIN_TEXT_BYTES,
        digest=_MAX_DIGEST_BYTES,
        no_hex=sql.Literal(NO_HEX),
        most=_MAX_FILTERED_TEXT,
        run=sql.Literal(RUN),
    )
