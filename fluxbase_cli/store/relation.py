"""One relation with sealed values: the columns of its rows, and the parts of statements that name them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID

from psycopg import sql

from fluxbase_cli.catalogue.locations import Form, SealedColumn, SealedTable
from fluxbase_cli.store.encoding import UTF8, Name, TextCodec
from fluxbase_cli.store.limits import SMALL_BYTES

Row = tuple[Any, ...]


#: The indexes in a row of its ctid, its id, its first sealed column, the transaction that wrote this row version
#: (`xmin`, 4 bytes), and its size in bytes of stored text.
TID, ID, FIRST, WRITER, SIZE = 0, 1, 2, -2, -1


@dataclass(frozen=True, slots=True)
class Relation:
    """A relation of this database that holds the sealed values of a table of the catalogue.

    Attributes:
        table: the table of the catalogue.
        schema, name: the relation that holds the rows: the table itself, or one of its partitions.
        columns: the sealed columns that exist.
        user_column, flag_column: the columns that say how values are sealed; None if they don't exist.
        oid: the relation's object id.
        keyed: whether the key names one row of the relation. If it does not (a table that inherits, a partition whose
            key has more columns), only the ctid says which row was written.
        codec: the database's encoding.
        surrogate: whether the key is no uuid, so that a digest of it is used as the row's id.
    """

    table: SealedTable
    schema: str
    name: str
    columns: tuple[SealedColumn, ...]
    user_column: str | None
    flag_column: str | None
    oid: int = 0
    keyed: bool = True
    surrogate: bool = False
    codec: TextCodec = UTF8

    @property
    def user_index(self) -> int | None:
        """The index of the user's id in a row."""
        return FIRST + len(self.columns) if self.user_column else None

    @property
    def flag_index(self) -> int | None:
        """The index of the flag in a row."""
        if not self.flag_column:
            return None
        return FIRST + len(self.columns) + (1 if self.user_column else 0)

    @property
    def qualified(self) -> str:
        """The relation as `schema.name`."""
        return f"{self.schema}.{self.name}"

    def name_row(self, row_id: bytes) -> str:
        """The name of a row in a message, by its id."""
        return f"{self.qualified} {UUID(bytes=row_id)}"

    def values_of(self, row: Row) -> Row:
        """The sealed columns of a row as it was read."""
        return row[FIRST : FIRST + len(self.columns)]

    @property
    def identifier(self) -> Name:
        """The table's name for a statement."""
        return self.named(self.schema, self.name)

    def named(self, *parts: str) -> Name:
        """A name for a statement: of a column, or of a column behind the name that the table has there."""
        return Name(self.codec, *parts)

    @property
    def key(self) -> sql.Composed:
        """The id of a row, as uuid."""
        column = self.named("t", self.table.key)
        return sql.SQL("md5({}::text)::uuid" if self.surrogate else "{}").format(column)

    def selected(self, *, small_only: bool = False, all_large: bool = False) -> sql.Composed:
        """The columns of a row, in its order.

        Args:
            small_only: select NULL for the sealed columns of rows that are larger than `SMALL_BYTES`.
            all_large: count every row as larger than that.
        """
        size = self.stored_bytes()
        if all_large:
            size = sql.SQL("greatest({}, {})").format(size, sql.Literal(SMALL_BYTES + 1))
        parts: list[sql.Composable] = [sql.SQL("t.ctid"), sql.SQL("{} AS id").format(self.key)]
        for column in self.columns:
            reference: sql.Composable = self.named("t", column.name)
            if column.form is Form.JSON:
                reference = sql.SQL("{}::text").format(reference)
            if small_only:
                reference = sql.SQL("CASE WHEN {size} <= {small} THEN {column} END").format(
                    size=size, small=sql.Literal(SMALL_BYTES), column=reference
                )
            parts.append(sql.SQL("{} AS {}").format(reference, self.named(column.name)))
        parts.extend(self.named("t", name) for name in (self.user_column, self.flag_column) if name)
        parts += [sql.SQL("t.xmin"), size]
        return sql.SQL(", ").join(parts)

    @property
    def versioned(self) -> bool:
        """Whether the id, the ctid and `xmin` together name one row version, whose contents never change.

        That needs an id that only one row has. Where several rows have it, a VACUUM FULL may move one of them to the
        ctid of another, with the same `xmin`.
        """
        return self.keyed and not self.surrogate

    def holds_value(self) -> sql.Composed:
        """The condition that a row has a value in at least one sealed column."""
        return sql.SQL("({})").format(
            sql.SQL(" OR ").join(
                sql.SQL("{} IS NOT NULL").format(self.named("t", column.name)) for column in self.columns
            )
        )

    @property
    def packable(self) -> bool:
        """Whether its rows can be read as row blocks."""
        return len(self.columns) == 1 and not (self.holds_documents or self.user_column or self.flag_column)

    @property
    def holds_documents(self) -> bool:
        """Whether the sealed columns are JSON documents."""
        return any(column.form is Form.JSON for column in self.columns)

    def stored_bytes(self) -> sql.Composed:
        """The size of a row, computed without reading TOAST."""
        if self.holds_documents:
            # A stored document may be compressed a hundredfold, so no document counts as small.
            return sql.SQL("greatest({}, {})").format(self._sum("pg_column_size"), sql.Literal(SMALL_BYTES + 1))
        return self._sum("octet_length")

    def _sum(self, measure: LiteralString) -> sql.Composed:
        return sql.SQL(" + ").join(
            sql.SQL("coalesce({}({}), 0)").format(sql.SQL(measure), self.named("t", column.name))
            for column in self.columns
        )


def names_of(relations: Iterable[Relation]) -> dict[str, list[str]]:
    """The relations as parameters of a statement: `schemas` and `names`."""
    listed = list(relations)
    return {"schemas": [relation.schema for relation in listed], "names": [relation.name for relation in listed]}


def columns_of(relations: Iterable[Relation]) -> dict[str, list[str]]:
    """The sealed columns of relations as parameters of a statement: `schemas`, `names` and `columns`."""
    pairs = [(relation, column) for relation in relations for column in relation.columns]
    return {**names_of(relation for relation, _ in pairs), "columns": [column.name for _, column in pairs]}
