"""Reads from a table the values that may hold a seal. The server filters them by form before it sends anything.

The server sends only values with a run of at least 40 base64 characters. The filter passes everything that may hold a
seal, also a seal with JSON escapes or line breaks in it. `proof/candidates.py` checks more closely what passes.
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

#: A `bytea` of up to this many bytes may be a decoded seal. In a longer one, only the text is searched.
MAX_RAW_BYTES = 4096
#: Values larger than this, in bytes, are not sent with the others but fetched later, see `DeepTable.fetch`.
SMALL_BYTES = 2048
#: Rows that one statement sends at most.
ROWS_A_PAGE = 5_000
#: Columns that one statement searches; a result has at most 1,664.
MOST_COLUMNS = 200

#: For larger values the server would need too much memory for its regular expression, so the value is sent.
_MAX_FILTERED_TEXT = 32 * 1024 * 1024
_MAX_FILTERED_BYTEA = 16 * 1024 * 1024
#: A text of up to this many bytes must have a character that is no hex digit. This check costs a tenth of the search
#: for a run, and excludes digests. The probability of a seal of hex digits only is one in 10**18.
_MAX_DIGEST_BYTES = 512
NO_HEX = "[G-Zg-z+/]"
#: A JSON web token (RFC 7515, section 7.1): a header and claims, which are JSON, and a signature of a length that no
#: seal has. Tokens are common, and to detect one costs half of the search for a run.
IS_TOKEN = sql.SQL(
    "{value} LIKE 'eyJ%.eyJ%.%' AND {value} NOT LIKE '%.%.%.%' "
    "AND octet_length(split_part({value}, '.', 3)) IN (43, 86, 342) AND {value} !~ '[^A-Za-z0-9_.-]'"
)
#: The characters of a seal in any text: base64, line breaks, JSON escapes and percent signs.
_CHARACTERS = r"A-Za-z0-9+/=%\\\r\n"
#: A run is matched from its first character only. To try each of its characters takes half as long again.
RUN = rf"(?:^|[^{_CHARACTERS}])[{_CHARACTERS}]{{{MIN_TEXT_BYTES}}}"
#: The same in the escape format of bytea. There a backslash is written as two, and a single backslash begins a byte
#: that is no text.
_BYTEA_RUN = rf"(?:[A-Za-z0-9+/=%\r\n]|\\\\){{{MIN_TEXT_BYTES}}}"

#: Texts in the row of a seal may name its user. Longer texts than this are not searched.
_MAX_HINT_BYTES = 4096
_UUID_TEXT_BYTES = 36


class _Name(sql.Composable):
    """An identifier as the bytes that the server sent, in any encoding."""

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
    """The values of one column that pass the server's filter. Its `repr` hides the values.

    Attributes:
        places: the ctids of the rows of the values, in the same order.
        values: the values.
        large: the ctids of values that were not sent because they are too large, with their sizes in bytes.
    """

    places: Sequence[bytes]
    values: Sequence[bytes]
    large: Sequence[tuple[bytes, int]]


class DeepTable:
    """Reads from one table the values that may hold a seal.

    Args:
        relation: the table.
        columns: the columns to search.
    """

    def __init__(self, relation: DeepRelation, columns: Sequence[DeepColumn]) -> None:
        self.relation = relation
        self.columns = tuple(columns)
        self._name = _Name(relation.schema, relation.name)

    def matches(self, connection: Connection, ctid_range: CtidRange) -> tuple[list[Matched], bytes | None]:
        """Read the first rows of a range that pass the filter.

        Args:
            connection: a connection in a transaction with the audit's snapshot.
            ctid_range: where to read.

        Returns:
            The values found in each column, and the ctid of the last row; None if there are no more rows in the range.
        """
        row = connection.execute(self._search(ctid_range), binary=True).fetchone()
        number, last, *arrays = row if row is not None else (0, None)
        matched = [
            Matched(places or (), values or (), list(zip(large or (), table_sizes or (), strict=True)))
            for places, values, large, table_sizes in zip(*(iter(arrays),) * 4, strict=True)
        ]
        return matched, last if number == ROWS_A_PAGE else None

    def fetch(self, connection: Connection, column: int, places: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
        """The values of one column at these ctids, of any size, with their ctids."""
        statement = sql.SQL("SELECT t.ctid, {} FROM ONLY {} AS t WHERE t.ctid = ANY({})").format(
            _value(self.columns[column]), self._name, _array(places)
        )
        return connection.execute(statement, binary=True).fetchall()

    def hints(self, connection: Connection, places: Sequence[bytes]) -> dict[bytes, bytes]:
        """What may name a user in these rows: their uuids and their short texts."""
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
        """The primary key of a row, if it is a number or a uuid; else None."""
        if self.relation.key is None:
            return None
        statement = sql.SQL("SELECT {}::text FROM ONLY {} AS t WHERE t.ctid = ANY({})").format(
            _Name(b"t", self.relation.key), self._name, _array([place])
        )
        row = connection.execute(statement, binary=True).fetchone()
        return row[0].decode("ascii") if row is not None else None

    def stands_as_listed(self, connection: Connection) -> bool:
        """Whether the table is the same as in the snapshot, has the same name, and was not rewritten.

        A table that was rewritten since looks empty or incomplete. Call this after a first read in the same
        transaction, because that read locks the table until the transaction ends.
        """
        name = TextArray([self._name.as_bytes(None)])
        row = connection.execute(named_queries("deep.sql")["storage"], {"name": name}, binary=True).fetchone()
        return row == (self.relation.oid, self.relation.storage)

    def _search(self, ctid_range: CtidRange) -> sql.Composed:
        """The statement of `matches`.

        It returns the values as arrays. One row of the result for each value takes four times as long.
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
        """Rows with a value that may hold a seal. For each column: the value, and its size if it may hold a seal.

        Two nested subqueries make sure that each value is printed and filtered once. OFFSET 0 keeps the planner from
        merging them.
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
    """The names of a column's value and of its size."""
    return {"value": sql.Identifier(f"v{number}"), "size": sql.Identifier(f"s{number}")}


def _array(places: Sequence[bytes]) -> sql.Composed:
    """Ctids as a literal. Names may contain percent signs, so a statement with names takes no parameters."""
    return sql.SQL("{}::tid[]").format(sql.Literal("{" + ",".join(f'"{Ctid.of(place)}"' for place in places) + "}"))


def _column(column: DeepColumn) -> _Name:
    return _Name(b"t", column.name)


def _value(column: DeepColumn) -> sql.Composable:
    """A column's value as it is searched."""
    if column.kind is ColumnKind.BYTES:
        return _column(column)
    # concat() prints a value as it is sent. A cast could call a function of another user, with our privileges.
    printed = sql.SQL("{}::text" if column.kind is ColumnKind.TEXT else "concat({})").format(_column(column))
    # The collation "C" is the fastest for regular expressions, and some others refuse them.
    return sql.SQL('{} COLLATE "C"').format(printed)


def _printed(column: DeepColumn) -> sql.Composable:
    if column.kind is not ColumnKind.PRINTED:
        return _value(column)
    # Compression can't make a seal shorter, so smaller values need not be printed.
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
