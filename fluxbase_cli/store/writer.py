"""Writes the sealed text columns of one relation with compare-and-set.

A row is updated once for all its sealed columns, and only if all of them still hold what was read. Rows are written by
their ctid.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import sql

from fluxbase_cli.store.binary import TextArray, TextElements, TidArray, TidElements, UuidArray
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.ctid import EMPTY_PAGE_RANGE, PageRange
from fluxbase_cli.store.reader import Reader
from fluxbase_cli.store.relation import FIRST, TID, Relation
from fluxbase_cli.store.rows import Edit, RowBlockEdits


class TextStore(Reader):
    """A table whose sealed columns are text."""

    def __init__(self, relation: Relation) -> None:
        super().__init__(relation)
        self._update = self._write_statement().as_bytes(None)

    def _write_statement(self) -> sql.Composed:
        names = [column.name for column in self.columns]
        arrays: list[sql.Composable] = [sql.SQL("%(tids)s")]
        aliases: list[sql.Composable] = [sql.SQL("tid")]
        for number in range(len(names)):
            arrays += [sql.Placeholder(f"old{number}"), sql.Placeholder(f"new{number}")]
            aliases += [sql.Identifier(f"old{number}"), sql.Identifier(f"new{number}")]
        # Compare-and-set compares the text of every sealed column of the row, not only of those that get a new value:
        # the catch-up pass skips row versions that we wrote, so no value in them may have changed unnoticed. The id is
        # not compared: no two seals are equal. If a copy of the row has this ctid now, the resealed secret is that of
        # the copy too. An edit holds a value, so a single column is never NULL.
        equal = sql.SQL("=" if len(names) == 1 else "IS NOT DISTINCT FROM")
        unmoved: list[sql.Composable] = [
            sql.SQL("{} {} {}").format(self.relation.named("t", name), equal, sql.Identifier("u", f"old{number}"))
            for number, name in enumerate(names)
        ]
        if self.relation.user_column:
            # The new value was sealed under a key derived for this user.
            arrays.append(sql.SQL("%(users)s"))
            aliases.append(sql.SQL("owner"))
            unmoved.append(
                sql.SQL("{} IS NOT DISTINCT FROM u.owner").format(self.relation.named("t", self.relation.user_column))
            )
        # The count runs before the join, and its result does not matter: it scans the pages. PostgreSQL prunes a page
        # (frees the room of dead row versions) when the page is scanned, not when a row is written by its ctid.
        return sql.SQL(
            "UPDATE ONLY {table} AS t SET {sets} FROM unnest({arrays}) AS u ({aliases}) "
            "WHERE t.ctid = u.tid AND {unmoved} "
            "AND (SELECT count(*) FROM ONLY {table} AS v "
            "WHERE v.ctid >= %(first)s::tid AND v.ctid <= %(last)s::tid) >= 0"
        ).format(
            table=self.relation.identifier,
            sets=sql.SQL(", ").join(
                sql.SQL("{} = {}").format(self.relation.named(name), sql.Identifier("u", f"new{number}"))
                for number, name in enumerate(names)
            ),
            arrays=sql.SQL(", ").join(arrays),
            aliases=sql.SQL(", ").join(aliases),
            unmoved=sql.SQL(" AND ").join(unmoved),
        )

    def write(self, connection: Connection, edits: Sequence[Edit], pruned: PageRange = EMPTY_PAGE_RANGE) -> int:
        """Write the edits whose rows still hold what was read.

        Args:
            connection: inside a transaction (see `begin_batch`).
            edits: rows with the new values of all their sealed columns.
            pruned: the pages in which the server first frees the room of dead row versions, for the new versions.

        Returns:
            How many rows were written. Another writer has changed the others.
        """
        return connection.execute(self._update, self._arguments(edits, pruned), prepare=True).rowcount

    def write_by_ctid(self, connection: Connection, edits: Sequence[Edit]) -> set[bytes]:
        """As `write`, for relations without a key that names one row.

        Returns:
            The ctids that the written rows had before.
        """
        statement = self._update + b" RETURNING u.tid"
        arguments = self._arguments(edits, EMPTY_PAGE_RANGE)
        return {row[0] for row in connection.execute(statement, arguments, binary=True).fetchall()}

    def _arguments(self, edits: Sequence[Edit], pruned: PageRange) -> dict[str, Any]:
        arguments: dict[str, Any] = {"first": str(pruned.first), "last": str(pruned.last)}
        if isinstance(edits, RowBlockEdits):
            rows = edits.rows
            arguments |= {
                "tids": TidElements(len(rows), rows.tids),
                "old0": TextElements(len(rows), rows.elements),
                "new0": TextArray(edits.new),
            }
            return arguments
        arguments["tids"] = TidArray([row[TID] for row, _ in edits])
        for number in range(len(self.columns)):
            arguments[f"old{number}"] = TextArray([row[FIRST + number] for row, _ in edits])
            arguments[f"new{number}"] = TextArray([new[number] for _, new in edits])
        user = self.relation.user_index
        if user is not None:
            arguments["users"] = UuidArray([row[user] for row, _ in edits])
        return arguments
