"""Finds rows that other transactions have locked, without waiting for them, and who has locked them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from fluxbase_cli.store.binary import TidArray
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.queries import Statements, named_queries
from fluxbase_cli.store.relation import ID, TID, Relation, Row
from fluxbase_cli.unexamined import Unexamined, UnexaminedKind


@dataclass(frozen=True, slots=True, repr=False)
class LockedRow:
    """A row that another transaction has locked. Its `repr` hides the values.

    Attributes:
        relation: its table.
        row: as it was read.
        holder: who has locked it, in words.
    """

    relation: Relation
    row: Row
    holder: str

    def unexamined(self) -> Unexamined:
        """The row as something that could not be examined."""
        return Unexamined(
            UnexaminedKind.LOCKED_ROW,
            self.relation.name_row(self.row[ID]),
            f"it is locked by {self.holder}, and its values were not moved: wait for that transaction's end, or end "
            "it, then run this again",
        )


def find_locked_rows(connection: Connection, relation: Relation, rows: Sequence[Row]) -> list[LockedRow]:
    """Find those of some rows that other transactions have locked. Locks the others.

    Args:
        connection: a connection for values, in a transaction that may write.
        relation: their table.
        rows: the rows as they were read. A row that has another ctid now is not found.

    Raises:
        psycopg.errors.LockNotAvailable: the whole table is locked.
    """
    by_ctid = {row[TID]: row for row in rows}
    statements = (
        "SELECT t.ctid FROM ONLY {} AS t WHERE t.ctid = ANY(%(tids)s) FOR NO KEY UPDATE SKIP LOCKED",
        "SELECT t.ctid, t.xmax::text FROM ONLY {} AS t WHERE t.ctid = ANY(%(tids)s)",
    )
    free, there = (
        connection.execute(
            sql.SQL(statement).format(relation.identifier), {"tids": TidArray(list(by_ctid))}, binary=True
        ).fetchall()
        for statement in statements
    )
    ours = {ctid for (ctid,) in free}
    xmax = {bytes(ctid): int(number) for ctid, number in there if ctid not in ours}
    holders = {number: _holder(connection, number) for number in set(xmax.values())}
    return [LockedRow(relation, by_ctid[ctid], holders[number]) for ctid, number in xmax.items()]


def _holder(connection: Connection, xmax: int) -> str:
    queries = Statements(connection, "locked_rows.sql")
    found = queries.rows("holder", xids=f"{{{xmax}}}")
    if not found:
        members = _members(connection, xmax)
        found = queries.rows("holder", xids=members) if members else []
    return _in_words(found[0]) if found else "another transaction"


def _members(connection: Connection, xmax: int) -> str | None:
    """The transactions behind an `xmax` that names several; None if it does not."""
    try:
        with connection.transaction():
            row = connection.execute(named_queries("locked_rows.sql")["members"], {"xmax": str(xmax)}).fetchone()
    except psycopg.Error:
        return None
    return None if row is None or row[0] is None else str(row[0])


def _in_words(found: dict[str, Any]) -> str:
    age = "" if found["age_s"] is None else f", open for {found['age_s']:.0f}s"
    owner = f" of {found['owner']}" if found["owner"] else ""
    if found["pid"] is None:
        return f"prepared transaction '{found['gid']}'{owner}{age} (COMMIT PREPARED or ROLLBACK PREPARED ends it)"
    application = f", application {found['application']}" if found["application"] else ""
    state = f", {found['state']}" if found["state"] else ""
    return f"process {found['pid']}{owner}{application}{state}{age}"
