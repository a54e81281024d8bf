"""Writes sealed values inside JSON documents: one path at a time, so that nothing else in the document changes.

Writing the whole document again would change `1.10` to `1.1`. `jsonb_set` on the stored document keeps numbers as they
are (docs/developers/format.md, "Where sealed values are").
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from fluxbase_cli.catalogue.locations import Form, SealedColumn
from fluxbase_cli.store.binary import Uuid
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.ctid import EMPTY_PAGE_RANGE, Ctid, PageRange
from fluxbase_cli.store.encoding import StoredText
from fluxbase_cli.store.reader import Reader
from fluxbase_cli.store.relation import ID, TID
from fluxbase_cli.store.rows import Edit

#: The calls of jsonb_set are nested, and PostgreSQL limits the depth of an expression. More leaves take several
#: statements.
_LEAVES_A_STATEMENT = 50


_TYPES = {Form.JSON: sql.SQL("jsonb"), Form.TEXT: sql.SQL("text")}


@dataclass(frozen=True, slots=True, repr=False)
class LeafEdit:
    """A new value for one string of a document.

    Attributes:
        path: keys and array indexes from the root. Empty if the document is the string itself.
        value: the new text.
    """

    path: tuple[str, ...]
    value: str


class DocumentStore(Reader):
    """A table with sealed JSON documents. It may have sealed text columns too."""

    def write(self, connection: Connection, edits: Sequence[Edit], pruned: PageRange = EMPTY_PAGE_RANGE) -> int:  # noqa: ARG002
        """Write the edits of rows whose documents have not changed since they were read.

        Args:
            connection: inside a transaction.
            edits: rows, each with a list of `LeafEdit` for each sealed column.
            pruned: not used here: PostgreSQL prunes a page when one of its rows is found by its key.

        Returns:
            How many rows were written. Another writer has changed the other rows.
        """
        return sum(self._write_row(connection, edit) for edit in edits)

    def write_by_ctid(self, connection: Connection, edits: Sequence[Edit]) -> set[bytes]:
        """Like `write`, for relations whose rows have no key.

        Returns:
            The ctids of the written rows before the write.
        """
        return {edit[0][TID] for edit in edits if self._write_row(connection, edit)}

    def _write_row(self, connection: Connection, edit: Edit) -> bool:
        # Compare-and-set on all documents of the row. The first statement that matches also locks the row, so the next
        # statements need not compare again.
        unchanged = sql.SQL("").join(
            sql.SQL(" AND {} IS NOT DISTINCT FROM {}::{}").format(
                self.relation.named("t", column.name), sql.Placeholder(f"old{number}"), _TYPES[column.form]
            )
            for number, column in enumerate(self.columns)
        )
        row, new = edit
        olds = {
            f"old{number}": None if value is None else StoredText(value)
            for number, value in enumerate(self.relation.values_of(row))
        }
        user = self.relation.user_index
        if user is not None:
            # The user decides which key the new value of a text column was sealed under.
            assert self.relation.user_column is not None  # noqa: S101  # it has an index
            unchanged += sql.SQL(" AND {} IS NOT DISTINCT FROM %(owner)s::uuid").format(
                self.relation.named("t", self.relation.user_column)
            )
        compared: dict[str, Any] = dict(olds)
        if user is not None:
            compared["owner"] = None if row[user] is None else Uuid(row[user])
        # Without an index on the id, a row is found by its ctid. Each statement changes the ctid.
        by_ctid = self.relation.surrogate or not self.relation.keyed
        ctid, first = str(Ctid.of(row[TID])), True
        for index, (column, change) in enumerate(zip(self.columns, new, strict=True)):
            for change_one, values in self._statements(column, self.relation.values_of(row)[index], change):
                statement = change_one + (sql.SQL(" AND t.ctid = %(ctid)s::tid") if by_ctid else sql.SQL(""))
                statement += unchanged if first else sql.SQL("")
                arguments = values | {"id": Uuid(row[ID]), "ctid": ctid} | (compared if first else {})
                written = connection.execute(statement + sql.SQL(" RETURNING t.ctid::text"), arguments, prepare=False)
                now = written.fetchone()
                if now is None:
                    return False
                ctid, first = str(now[0]), False
        return not first

    def _statements(
        self,
        column: SealedColumn,
        old: bytes | None,
        change: Any,  # noqa: ANN401  # a text, or a list of `LeafEdit`
    ) -> Iterator[tuple[sql.Composed, dict[str, Any]]]:
        """The statements that change one column of a row; none if it does not change."""
        if column.form is Form.JSON:
            for start in range(0, len(change), _LEAVES_A_STATEMENT):
                yield self._statement(column, change[start : start + _LEAVES_A_STATEMENT])
        elif change != old:
            statement = sql.SQL("UPDATE ONLY {table} AS t SET {column} = %(value)s WHERE {key} = %(id)s")
            yield (
                statement.format(
                    table=self.relation.identifier, key=self.relation.key, column=self.relation.named(column.name)
                ),
                {"value": StoredText(change)},
            )

    def _statement(self, column: SealedColumn, leaves: Sequence[LeafEdit]) -> tuple[sql.Composed, dict[str, Any]]:
        document: sql.Composed = sql.Composed([self.relation.named("t", column.name)])
        arguments: dict[str, Any] = {}
        for number, leaf in enumerate(leaves):
            value = sql.Placeholder(f"value{number}")
            arguments[f"value{number}"] = leaf.value
            if not leaf.path:
                document = sql.SQL("to_jsonb({}::text)").format(value)
                continue
            arguments[f"path{number}"] = list(leaf.path)
            document = sql.SQL("jsonb_set({}, {}::text[], to_jsonb({}::text), false)").format(
                document, sql.Placeholder(f"path{number}"), value
            )
        statement = sql.SQL("UPDATE ONLY {table} AS t SET {column} = {document} WHERE {key} = %(id)s").format(
            table=self.relation.identifier,
            key=self.relation.key,
            column=self.relation.named(column.name),
            document=document,
        )
        return statement, arguments
