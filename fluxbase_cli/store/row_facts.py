"""Reads what lists show about rows, besides their sealed values: their name, whom they belong to, and their age."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql

from fluxbase_cli.catalogue.names import OTHER_NAMES, ROW_NAMES, RowNames
from fluxbase_cli.store.binary import TidArray
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.damaged_rows import is_damage
from fluxbase_cli.store.queries import named_queries
from fluxbase_cli.store.relation import TID, Relation
from fluxbase_cli.store.rows import Rows
from fluxbase_cli.store.transactions import TO_SAVEPOINT

_TEXT = frozenset({"text", "character varying", "character", "name"})
_UUID = frozenset({"uuid"})
_TIME = frozenset({"timestamp with time zone", "timestamp without time zone"})
_NOTHING = sql.SQL("NULL::text")


@dataclass(frozen=True, slots=True)
class RowFacts:
    """What is known about a row. None: the table has no such column, the row no value, or the role may not read it.

    Attributes:
        name: its name.
        namespace: where the name is valid.
        user: the id of the user to whom it belongs.
        tenant: the id of the tenant to whom it belongs.
        created_at, updated_at: when it was made and changed. A re-encryption changes neither.
        age_s: seconds since it was changed, or made, by the server's clock.
    """

    name: str | None = None
    namespace: str | None = None
    user: str | None = None
    tenant: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    age_s: float | None = None


NO_FACTS = RowFacts()


class RowFactsReader:
    """Reads the facts about rows of one relation.

    Args:
        connection: in a transaction with the role that reads the values.
        relation: the relation.
    """

    def __init__(self, connection: Connection, relation: Relation) -> None:
        self._relation = relation
        names = ROW_NAMES.get(relation.table.qualified, OTHER_NAMES if relation.table.extra else RowNames())
        own = self._columns(connection, relation.schema, relation.name)
        # A sealed column is never shown, also if its name is `name`.
        own = {name: found for name, found in own.items() if name not in {each.name for each in relation.columns}}
        named, join = own, sql.Composed([])
        alias = "t"
        if names.parent is not None:
            parent = self._columns(connection, names.parent_schema, names.parent_table)
            alias, named = "p", parent if names.parent in own and "id" in parent else {}
            if named:
                join = sql.SQL(" LEFT JOIN {} AS p ON p.id = {}").format(
                    relation.named(names.parent_schema, names.parent_table), relation.named("t", names.parent)
                )

        def text(table: str, columns: Mapping[str, str], name: str | None, types: frozenset[str]) -> sql.Composable:
            if name is None or columns.get(name) not in types:
                return _NOTHING
            return sql.SQL("{}::text").format(relation.named(table, name))

        def moment(name: str) -> sql.Composable:
            if own.get(name) not in _TIME:
                return sql.SQL("NULL::timestamptz")
            return sql.SQL("{}::timestamptz").format(relation.named("t", name))

        self._statement = (
            sql.SQL(
                "SELECT ctid, name, namespace, user_id, tenant, created, updated, "
                "extract(epoch FROM now() - coalesce(updated, created))::float8 "
                "FROM (SELECT t.ctid, {name} AS name, {namespace} AS namespace, {user} AS user_id, {tenant} AS tenant, "
                "{created} AS created, {updated} AS updated "
                "FROM ONLY {table} AS t{join} WHERE t.ctid = ANY(%(tids)s)) AS r"
            )
            .format(
                name=text(alias, named, names.name, _TEXT),
                namespace=text(alias, named, names.namespace, _TEXT),
                user=text("t", own, names.user, _UUID),
                tenant=text("t", own, "tenant_id", _UUID),
                created=moment("created_at"),
                updated=moment("updated_at"),
                table=relation.identifier,
                join=join,
            )
            .as_bytes(None)
        )

    def _columns(self, connection: Connection, schema: str, name: str) -> dict[str, str]:
        query = named_queries("row_facts.sql")["columns"]
        rows = connection.execute(query, {"schema": schema, "name": name}, binary=True).fetchall()
        codec = self._relation.codec
        return {codec.decode(column): codec.decode(type_name) for column, type_name in rows}

    def read(self, connection: Connection, rows: Rows) -> Mapping[bytes, RowFacts]:
        """The facts about rows, by their ctid. Rows about which nothing can be read are missing.

        Args:
            connection: in the snapshot in which the rows were read, after `SAVEPOINT`.
            rows: the rows.
        """
        arguments: dict[str, Any] = {"tids": TidArray([row[TID] for row in rows.tuples()])}
        try:
            found = connection.execute(self._statement, arguments, prepare=True, binary=True).fetchall()
        except psycopg.Error as error:
            if not is_damage(error):
                raise
            # The name of a row is damaged. The values were read, and they matter more.
            connection.execute(TO_SAVEPOINT)
            return {}
        return dict(map(self._facts, found))

    def _facts(self, row: tuple[Any, ...]) -> tuple[bytes, RowFacts]:
        tid, name, namespace, user, tenant, created_at, updated_at, age_s = row
        text = self._text
        facts = RowFacts(text(name), text(namespace), text(user), text(tenant), created_at, updated_at, age_s)
        return tid, facts

    def _text(self, stored: bytes | None) -> str | None:
        return None if stored is None else self._relation.codec.decode(stored)
