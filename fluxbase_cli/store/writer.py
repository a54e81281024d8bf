"""Writes the sealed columns of one relation with compare-and-set.

A row is updated once for all its sealed columns, and only if it still is what was read. Rows are written by their ctid.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import sql

from fluxbase_cli.catalogue.locations import Form
from fluxbase_cli.store.binary import (
    TextArray,
    TextElements,
    TidArray,
    TidElements,
    UuidArray,
    UuidElements,
    XidArray,
    XidElements,
)
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.ctid import EMPTY_PAGE_RANGE, PageRange
from fluxbase_cli.store.reader import Reader
from fluxbase_cli.store.relation import FIRST, ID, TID, WRITER, Relation
from fluxbase_cli.store.rows import Edit, RowBlockEdits

_TYPES = {Form.JSON: sql.SQL("jsonb"), Form.TEXT: sql.SQL("text")}


class ValueStore(Reader):
    """Reads and writes one table's sealed values, texts or documents."""

    def __init__(self, relation: Relation) -> None:
        super().__init__(relation)
        self._update = self._write_statement().as_bytes(None)

    def _write_statement(self) -> sql.Composed:
        names = [column.name for column in self.columns]
        types = [_TYPES[column.form] for column in self.columns]
        arrays: list[sql.Composable] = [sql.SQL("%(tids)s")]
        aliases: list[sql.Composable] = [sql.SQL("tid")]
        unmoved: list[sql.Composable] = []
        if self.relation.versioned:
            # Compare-and-set by the row version. Its contents never change, so nothing that was read is sent back.
            # docs/developers/design.md proves it.
            arrays += [sql.SQL("%(ids)s"), sql.SQL("%(writers)s")]
            aliases += [sql.SQL("row_id"), sql.SQL("writer")]
            unmoved = [sql.SQL("t.xmin = u.writer"), sql.SQL("{} = u.row_id").format(self.relation.key)]
        for number, name in enumerate(names):
            arrays.append(sql.Placeholder(f"new{number}"))
            aliases.append(sql.Identifier(f"new{number}"))
            if self.relation.versioned:
                continue
            # Compare-and-set by the text of every sealed column, not only of those that get a new value: the catch-up
            # pass skips row versions that we wrote, so no value in them may have changed unnoticed. The id is not
            # compared: no two seals are equal. If a copy of the row has this ctid now, the resealed secret is that of
            # the copy too.
            arrays.append(sql.Placeholder(f"old{number}"))
            aliases.append(sql.Identifier(f"old{number}"))
            unmoved.append(
                sql.SQL("{} IS NOT DISTINCT FROM {}::{}").format(
                    self.relation.named("t", name), sql.Identifier("u", f"old{number}"), types[number]
                )
            )
        if self.relation.user_column and not self.relation.versioned:
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
                # A column that keeps its value gets NULL. Where it is large, its TOAST is kept too.
                sql.SQL("{} = coalesce({}::{}, {})").format(
                    self.relation.named(name),
                    sql.Identifier("u", f"new{number}"),
                    types[number],
                    self.relation.named("t", name),
                )
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
            edits: rows with the new value of each sealed column; None for a column that keeps its value.
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
        versioned = self.relation.versioned
        if isinstance(edits, RowBlockEdits):
            rows, number = edits.rows, len(edits)
            arguments |= {"tids": TidElements(number, rows.tids), "new0": TextArray(edits.new)}
            if versioned:
                arguments |= {"ids": UuidElements(number, rows.ids), "writers": XidElements(number, rows.writers)}
            else:
                arguments["old0"] = TextElements(number, rows.elements)
            return arguments
        arguments["tids"] = TidArray([row[TID] for row, _ in edits])
        for index in range(len(self.columns)):
            arguments[f"new{index}"] = TextArray([new[index] for _, new in edits])
        if versioned:
            arguments["ids"] = UuidArray([row[ID] for row, _ in edits])
            arguments["writers"] = XidArray([row[WRITER] for row, _ in edits])
            return arguments
        for index in range(len(self.columns)):
            arguments[f"old{index}"] = TextArray([row[FIRST + index] for row, _ in edits])
        user = self.relation.user_index
        if user is not None:
            arguments["users"] = UuidArray([row[user] for row, _ in edits])
        return arguments
