"""Reads the sealed texts of many rows as one text for each column, with a line for each value.

An audit needs no row of a value that opens. So neither ids nor ctids are sent, and Python makes no objects for rows.
Values that are too large for that are only counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from fluxbase_cli.catalogue.locations import Form, SealedColumn
from fluxbase_cli.store.binary import TextArray
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.ctid import CtidRange
from fluxbase_cli.store.reader import Holding
from fluxbase_cli.store.relation import Relation

#: A salt in front of a value: the text of a uuid (see `fluxbase_cli.seal.user_salt`).
SALT_BYTES = 36


@dataclass(frozen=True, slots=True, repr=False)
class JoinedColumn:
    """The texts of one column. It has no `repr` of its fields, which hold values.

    Attributes:
        texts: the values without a user, as stored.
        of_users: the values with a user: the salt of the user's key (`SALT_BYTES`), then the value.
        large: how many values are too large and were not sent.
    """

    texts: list[bytes]
    of_users: list[bytes]
    large: int

    @property
    def number(self) -> int:
        """How many values there are."""
        return len(self.texts) + len(self.of_users) + self.large


@dataclass(frozen=True, slots=True, repr=False)
class JoinedTexts:
    """The texts of a range of a table.

    Attributes:
        rows: how many rows have a value.
        columns: the texts of each sealed column.
    """

    rows: int
    columns: Sequence[JoinedColumn]


class TextJoiner:
    """Reads the texts of one table.

    Args:
        relation: the table.
    """

    def __init__(self, relation: Relation) -> None:
        self._relation = relation
        parts: list[sql.Composable] = []
        sums: list[sql.Composable] = []
        for index, column in enumerate(relation.columns):
            text, large = sql.Identifier(f"text{index}"), sql.Identifier(f"large{index}")
            parts += [sql.SQL("{} AS {}").format(self._text(column), text), self._is_large(column) + _AS.format(large)]
            of_nobody = sql.SQL(" FILTER (WHERE salt IS NULL)") if relation.user_column else sql.SQL("")
            line = sql.SQL("salt || {}").format(text) if relation.user_column else sql.SQL("NULL::text")
            sums.append(
                sql.SQL(
                    "string_agg({text}, E'\\n'){of_nobody}, count({text}){of_nobody}, "
                    "string_agg({line}, E'\\n'), count({line}), count(*) FILTER (WHERE {large})"
                ).format(text=text, of_nobody=of_nobody, line=line, large=large)
            )
        if relation.user_column:
            parts.append(sql.SQL("{}::text AS salt").format(relation.named("t", relation.user_column)))
        self._statement = (
            sql.SQL(
                # Without OFFSET, the text of a document would be made several times.
                "SELECT count(*), {sums} FROM (SELECT {parts} FROM ONLY {table} AS t "
                "WHERE t.ctid > %(after)s::tid AND t.ctid <= %(upto)s::tid AND {holds} OFFSET 0) AS found"
            )
            .format(
                sums=sql.SQL(", ").join(sums),
                parts=sql.SQL(", ").join(parts),
                table=relation.identifier,
                holds=relation.holds_value(),
            )
            .as_bytes(None)
        )

    def read(self, connection: Connection, ctid_range: CtidRange, small: int) -> JoinedTexts | None:
        """Read the texts of a range.

        Args:
            connection: a connection as for `Reader.list_rows`.
            ctid_range: where to read.
            small: values with more bytes are not sent.

        Returns:
            The texts; None if some value has a line break, so that it can't be told apart from two values.
        """
        arguments = {"after": str(ctid_range.after), "upto": str(ctid_range.upto), "small": small}
        row = connection.execute(self._statement, arguments, prepare=True, binary=True).fetchone() or ()
        rows, *each = row
        columns = []
        for texts, number, lines, salted, large in zip(*[iter(each)] * 5, strict=True):
            column = JoinedColumn(_split(texts), _split(lines), large)
            if len(column.texts) != number or len(column.of_users) != salted:
                return None
            columns.append(column)
        return JoinedTexts(int(rows), columns)

    def holding(
        self, index: int, texts: Sequence[bytes] = (), of_users: Sequence[bytes] = (), *, small: int
    ) -> Holding:
        """The rows whose value in a column is one of these, or too large.

        Args:
            index: the column.
            texts: values without a user.
            of_users: values with a user, as in `JoinedColumn`.
            small: as for `read`.
        """
        column = self._relation.columns[index]
        # Other collations may find texts equal that have other bytes.
        matches = sql.SQL('{} COLLATE "C" = ANY (%(texts)s)').format(self._text(column))
        if self._relation.user_column:
            salt = sql.SQL("{}::text").format(self._relation.named("t", self._relation.user_column))
            matches = sql.SQL(
                'CASE WHEN {0} IS NULL THEN {1} ELSE ({0} || {2}) COLLATE "C" = ANY (%(lines)s) END'
            ).format(salt, matches, self._text(column))
        return Holding(
            sql.SQL(" AND ({} OR {})").format(self._is_large(column), matches),
            {"texts": TextArray(texts), "lines": TextArray(of_users), "small": small},
        )

    def _text(self, column: SealedColumn) -> sql.Composed:
        reference = self._relation.named("t", column.name)
        return sql.SQL("CASE WHEN {} THEN {}::text END").format(self._is_small(column), reference)

    def _is_small(self, column: SealedColumn) -> sql.Composed:
        reference = self._relation.named("t", column.name)
        if column.form is Form.JSON:
            # A compressed document may be a hundred times larger than it is stored. And `json` may have line breaks
            # and names that are there twice.
            return sql.SQL(
                "(pg_typeof({0}) = 'jsonb'::regtype AND pg_column_compression({0}) IS NULL "
                "AND pg_column_size({0}) <= %(small)s)"
            ).format(reference)
        least = sql.Literal(1 if column.empty_is_unset else 0)
        return sql.SQL("octet_length({}) BETWEEN {} AND %(small)s").format(reference, least)

    def _is_large(self, column: SealedColumn) -> sql.Composed:
        reference = self._relation.named("t", column.name)
        if column.form is Form.JSON:
            return sql.SQL("({} IS NOT NULL AND NOT {})").format(reference, self._is_small(column))
        return sql.SQL("coalesce(octet_length({}) > %(small)s, false)").format(reference)


_AS = sql.SQL(" AS {}")


def _split(joined: Any) -> list[bytes]:  # noqa: ANN401  # bytes, or None for no line
    if joined is None:
        return []
    lines: list[bytes] = joined.split(b"\n")
    return lines
