"""Writing the sealed text columns of one relation: compare-and-set.

One relation is one unit of work, however many sealed columns it has: a row is updated once, and only if all its sealed
columns still hold what was read. Rows are written by their place on disk.
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
        # Compare-and-set, on the text that was read, of every sealed column of the row and not only of those that get
        # a new value: our row version hides the row from the closing census, so nothing in it may have moved unseen.
        # The id is not compared: no two seals are alike, and should a copy of the row have come to its place, what was
        # sealed anew is the copy's secret too. An edit holds a value, so a single column is never NULL.
        equal = sql.SQL("=" if len(names) == 1 else "IS NOT DISTINCT FROM")
        unmoved: list[sql.Composable] = [
            sql.SQL("{} {} {}").format(sql.Identifier("t", name), equal, sql.Identifier("u", f"old{number}"))
            for number, name in enumerate(names)
        ]
        if self.relation.user_column:
            # The user decides which key the new value was sealed under.
            arrays.append(sql.SQL("%(users)s"))
            aliases.append(sql.SQL("owner"))
            unmoved.append(
                sql.SQL("{} IS NOT DISTINCT FROM u.owner").format(sql.Identifier("t", self.relation.user_column))
            )
        # The count comes before the join, and is of no interest: a page is pruned (freed of row versions that nobody
        # can see any more) when it is scanned, not when a row of it is written by its place.
        return sql.SQL(
            "UPDATE ONLY {table} AS t SET {sets} FROM unnest({arrays}) AS u ({aliases}) "
            "WHERE t.ctid = u.tid AND {unmoved} "
            "AND (SELECT count(*) FROM ONLY {table} AS v "
            "WHERE v.ctid >= %(first)s::tid AND v.ctid <= %(last)s::tid) >= 0"
        ).format(
            table=self.relation.identifier,
            sets=sql.SQL(", ").join(
                sql.SQL("{} = {}").format(sql.Identifier(name), sql.Identifier("u", f"new{number}"))
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
            pruned: where the server shall first free what nobody can see any more, so that the rows find room there.

        Returns:
            How many rows were written; the others belong to another writer now.
        """
        return connection.execute(self._update, self._arguments(edits, pruned), prepare=True).rowcount

    def write_by_ctid(self, connection: Connection, edits: Sequence[Edit]) -> set[bytes]:
        """As `write`, for relations whose rows have no key of their own.

        Returns:
            The places that the rows written had before.
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
