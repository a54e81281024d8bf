"""A Fluxbase server as the database sees it: it inserts, updates, deletes, copies, and sometimes vacuums."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql

from tests.stateful.layouts import DOCUMENT, LEAVES, Table
from tests.stateful.model import Effect, Model, Value
from tests.stateful.reader import STRANGER, Row, Spot, read_row, seal

Connection = psycopg.Connection[Any]

#: Spreads consecutive ids over the whole range, the same in every run.
_ID_STEP = 0x9E3779B97F4A7C15F39CC0605CEDC835
#: A row is updated up to so many times, until its newest version has the ctid of the first one.
_TRIES = 6


class How(Enum):
    """How a value is stored."""

    SERVER = "under the server's key"
    STALE = "under any key"
    TWICE = "sealed again, under the server's key"
    THRICE = "sealed three times"
    BROKEN = "with line breaks in it"
    MASTER = "a user's value under the master key"
    PLAIN = "as plaintext"
    DAMAGED = "under a key that nobody has"
    EMPTY = "as an empty text"
    NULL = "not at all"


@dataclass(frozen=True, slots=True)
class Cell:
    """A value that will be written: how, and which of the versions is meant."""

    how: How
    version: int = 0


class What(Enum):
    """What a writer does to a row."""

    INSERT = "insert"
    UPDATE = "update"
    TOUCH = "change another column"
    DELETE = "delete"
    RESTORE = "copy an older version's seal"
    RETURN = "update until the row is where it was"
    REPLACE = "delete, and insert another row at its place"


@dataclass(frozen=True, slots=True)
class Write:
    """One write; the numbers choose among the rows, columns and versions that exist."""

    what: What
    table: int
    row: int
    cells: tuple[Cell, ...]
    column: int = 0
    flag: bool | None = True


class Writer:
    """Writes as servers do, over one connection.

    Args:
        connection: in autocommit, or in a transaction that another object ends.
        model: is read to see what exists. It is not changed.
        numbers: how many things were made so far, shared by all writers.
    """

    def __init__(self, connection: Connection, model: Model, numbers: list[int]) -> None:
        self._connection = connection
        self._model = model
        self._numbers = numbers

    def write(self, write: Write, *, but: Collection[Row] = ()) -> list[Effect]:  # noqa: PLR0911  # one for each kind
        """Do a write, unless there is no row for it.

        Args:
            write: what to do.
            but: rows that another transaction has locked.
        """
        table = self._model.layout.tables[write.table % len(self._model.layout.tables)]
        rows = self._model.rows(table, but=but)
        if write.what is What.INSERT or not rows:
            return [self._insert(table, write)]
        row = rows[write.row % len(rows)]
        match write.what:
            case What.DELETE:
                return [self._delete(row)]
            case What.TOUCH:
                return [self._touch(row)]
            case What.RESTORE:
                return self._restore(write, but)
            case What.RETURN:
                return [self._return(table, row, write)]
            case What.REPLACE:
                return [self._delete(row), self._replacement(table, write)]
            case _:
                return [self._update(table, row, write, write.cells[0])]

    def rest(self, effect: Effect) -> Mapping[str, Any] | None:
        """The other columns of a row that was written, once that is committed."""
        if effect.values is None:
            return None
        table = self._model.layout.tables[[t.name for t in self._model.layout.tables].index(effect.row.table)]
        return read_row(self._connection, table, effect.row.id).rest[effect.row]

    # --- values ---------------------------------------------------------------------------------------------------

    def _number(self) -> int:
        self._numbers[0] += 1
        return self._numbers[0]

    def _text(self, cell: Cell, user: str | None) -> str:  # noqa: PLR0911  # one for each way
        """The text that is stored."""
        # No shorter than a realistic secret.
        plaintext = f"plaintext number {self._number():015}"
        versions = sorted(self._model.ring)
        any_version = versions[cell.version % len(versions)]
        server = self._model.server
        match cell.how:
            case How.STALE:
                return seal(any_version, plaintext, user)
            case How.TWICE:
                return seal(server, seal(any_version, plaintext, user), user)
            case How.THRICE:
                return seal(any_version, seal(server, seal(any_version, plaintext, user), user), user)
            case How.BROKEN:
                text = seal(any_version, plaintext, user)
                return f"\n{text[:10]}\r\n{text[10:]}\r"
            case How.MASTER:
                return seal(any_version, plaintext)
            case How.PLAIN:
                return f"ya29.{plaintext}"
            case How.DAMAGED:
                return seal(STRANGER, plaintext)
            case How.EMPTY:
                return ""
            case _:
                return seal(server, plaintext, user)

    def _value(self, table: Table, column: str, cell: Cell, user: str | None) -> Value | None:
        if cell.how is How.NULL and column in table.nullable:
            return None
        return Value.of(self._text(cell, user), user)

    # --- writes ---------------------------------------------------------------------------------------------------

    def _run(self, statement: str, *arguments: Any) -> None:
        done = self._connection.execute(statement.encode(), arguments or None)
        assert done.rowcount == 1, statement

    def _insert(self, table: Table, write: Write) -> Effect:
        row = Row(table.name, str(UUID(int=self._number() * _ID_STEP % 2**128)))
        columns: dict[str, Any] = {"id": row.id}
        for name, other in table.others.items():
            columns[name] = UUID(int=self._number()) if other == "%s" else other
        user = None
        if table.owned and write.flag:
            user = columns["user_id"] = str(UUID(int=self._number()))
        if table.flagged:
            columns["is_encrypted"] = write.flag
        values: dict[Spot, Value | None] = {}
        if table.document:
            leaves = {path: self._leaf(write.cells[i % len(write.cells)]) for i, path in enumerate(LEAVES)}
            escaped = (leaf.text.replace("\n", "\\n").replace("\r", "\\r") for leaf in leaves.values())
            columns[table.columns[0]] = DOCUMENT % tuple(escaped)
            values = {Spot(row, table.columns[0], path): leaf for path, leaf in leaves.items()}
        else:
            for index, name in enumerate(table.columns):
                value = self._value(table, name, write.cells[index % len(write.cells)], user)
                values[Spot(row, name)] = value
                columns[name] = None if value is None else value.text
        self._connection.execute(
            sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
                sql.Identifier(*table.name.split(".")),
                sql.SQL(", ").join(map(sql.Identifier, columns)),
                sql.SQL(", ").join(sql.Placeholder() * len(columns)),
            ),
            [*columns.values()],
        )
        return Effect(row, values)

    def _leaf(self, cell: Cell) -> Value:
        return Value.of(self._text(cell, None), None)

    def _update(self, table: Table, row: Row, write: Write, cell: Cell) -> Effect:
        column = table.columns[write.column % len(table.columns)]
        if table.document:
            path = LEAVES[write.column % len(LEAVES)]
            leaf = self._leaf(cell)
            self._run(
                f"UPDATE {row.table} SET {column} = jsonb_set({column}, %s, to_jsonb(%s::text)) WHERE id = %s",
                list(path),
                leaf.text,
                row.id,
            )
            return Effect(row, {Spot(row, column, path): leaf})
        value = self._value(table, column, cell, self._model.user(row))
        flag = ", is_encrypted = true" if table.flagged else ""
        text = None if value is None else value.text
        self._run(f"UPDATE {row.table} SET {column} = %s{flag} WHERE id = %s", text, row.id)
        return Effect(row, {Spot(row, column): value})

    def _touch(self, row: Row) -> Effect:
        """Do what the server does when it starts: set `tenant_id` where it is NULL."""
        self._run(f"UPDATE {row.table} SET tenant_id = NULL WHERE id = %s", row.id)
        return Effect(row, {})

    def _delete(self, row: Row) -> Effect:
        self._run(f"DELETE FROM {row.table} WHERE id = %s", row.id)
        return Effect(row, None)

    def _restore(self, write: Write, but: Collection[Row]) -> list[Effect]:
        tables = {table.name: table for table in self._model.layout.tables}
        live = self._model.rows(tables["functions.secrets"], but=but)
        old = self._model.rows(tables["functions.secret_versions"], but=but)
        if not live or not old:
            return []
        to, from_ = live[write.row % len(live)], old[write.column % len(old)]
        record = self._connection.execute(
            "UPDATE functions.secrets SET encrypted_value = (SELECT encrypted_value FROM functions.secret_versions"
            " WHERE id = %s) WHERE id = %s RETURNING encrypted_value",
            [from_.id, to.id],
        ).fetchone()
        assert record is not None
        return [Effect(to, {Spot(to, "encrypted_value"): Value.of(record[0], None)})]

    # --- ctids ----------------------------------------------------------------------------------------------------

    def _place(self, row: Row) -> str:
        record = self._connection.execute(f"SELECT ctid::text FROM {row.table} WHERE id = %s".encode(), [row.id])
        found = record.fetchone()
        return "" if found is None else str(found[0])

    def _vacuum(self, table: str) -> None:
        if self._connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE:
            # If another session uses the table, the vacuum is left out.
            with contextlib.suppress(psycopg.errors.LockNotAvailable):
                self._connection.execute(f"VACUUM (INDEX_CLEANUP on) {table}".encode())

    def _return(self, table: Table, row: Row, write: Write) -> Effect:
        """Give the row's newest version the ctid that a job may have read, with another value in it."""
        place = self._place(row)
        values: dict[Spot, Value | None] = {}
        for number in range(_TRIES):
            # A NULL or an empty text would test less than another secret.
            try:
                effect = self._update(table, row, write, write.cells[number % len(write.cells)])
            except psycopg.errors.LockNotAvailable:
                if not values:
                    raise
                # A batch has reached the row meanwhile; what was written before stays.
                break
            values |= effect.values or {}
            self._vacuum(row.table)
            if self._place(row) == place:
                break
        return Effect(row, values)

    def _replacement(self, table: Table, write: Write) -> Effect:
        self._vacuum(table.name)
        return self._insert(table, write)
