"""Finds the relations that hold sealed values, the release of this database, and what can't be examined.

A table that is partitioned, or from which others inherit, consists of several relations. Each is read separately. A
table or a column that the release must have and that is missing, renamed or of another type is `Unexamined`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import dict_row

from fluxbase_cli.catalogue.locations import CATALOGUE, Form, Layout, SealedColumn, SealedTable
from fluxbase_cli.catalogue.releases import Release, Signs, tell_release
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.encoding import TextCodec, codec_of
from fluxbase_cli.store.queries import named_queries
from fluxbase_cli.store.relation import Relation
from fluxbase_cli.unexamined import Unexamined, UnexaminedKind

_TEXT_TYPES = frozenset({"text", "character varying", "character"})
_DOCUMENT_TYPES = frozenset({"jsonb"})


@dataclass(frozen=True, slots=True)
class Unusable:
    """A table that can be read but not written.

    Attributes:
        message: what is wrong.
        remedy: what to do.
    """

    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class FoundRelations:
    """The sealed tables of a database.

    Attributes:
        release: the release of this database.
        relations: the relations that hold sealed values, in the order of the catalogue.
        unexamined: tables and columns that are missing or have the wrong type.
        unusable: tables that a job can't write.
        foreign: sealed tables that are foreign tables in a tenant's database. Their rows are in the main database.
        is_tenant: whether this is the database of a tenant.
    """

    release: Release
    relations: tuple[Relation, ...]
    unexamined: tuple[Unexamined, ...]
    unusable: tuple[Unusable, ...]
    foreign: tuple[str, ...]
    is_tenant: bool

    @property
    def storage(self) -> frozenset[tuple[str, int]]:
        """The relations by name and object id. It changes when a relation is created, dropped or replaced."""
        return frozenset((relation.qualified, relation.oid) for relation in self.relations)


def find_relations(connection: Connection, catalogue: Sequence[SealedTable] = CATALOGUE) -> FoundRelations:
    """Find the sealed tables. Reads the system catalogues and, if permitted, two tables that name the release.

    Args:
        connection: any session. In a transaction, this sees what the transaction sees.
        catalogue: the sealed tables to look for.
    """
    queries = named_queries("relations.sql")
    with connection.cursor(row_factory=dict_row) as cursor:
        signs, lists_tenants_elsewhere = _signs(cursor)
        release = tell_release(signs)
        # Up to 2026.3.6 there are no tenants. A foreign table of that name belongs to the operator then.
        is_tenant = lists_tenants_elsewhere and release.layouts == {Layout.PLATFORM}
        rows = {
            row["table_name"]: row
            for row in cursor.execute(
                queries["tables"],
                {
                    "schemas": [table.schema for table in catalogue],
                    "names": [table.name for table in catalogue],
                    "keys": [table.key for table in catalogue],
                },
            ).fetchall()
        }
    relations: list[Relation] = []
    unexamined: list[Unexamined] = []
    unusable: list[Unusable] = []
    foreign: list[str] = []
    for table in catalogue:
        row = rows.get(table.qualified)
        if row is None:
            # In a tenant's database tables may be missing.
            if not is_tenant:
                unexamined += _absent(table, release)
            continue
        if row["kind"] == "f" and is_tenant:
            foreign.append(table.qualified)
            continue
        found = _examine(table, row, codec_of(connection), is_tenant=is_tenant)
        relations += found.relations
        unexamined += found.unexamined
        unusable += found.unusable
    if not is_tenant and not release.layouts and rows:
        unexamined.append(
            Unexamined(
                UnexaminedKind.LOCATION,
                "dashboard.oauth_providers or platform.oauth_providers",
                "neither table is there, and every release has one of them; if it was renamed or dropped, restore it",
            )
        )
    return FoundRelations(release, tuple(relations), tuple(unexamined), tuple(unusable), tuple(foreign), is_tenant)


def is_still(connection: Connection, relation: Relation) -> bool:
    """Whether the relation with this name is still the one that was found."""
    row = connection.execute(
        named_queries("relations.sql")["oid"], {"schema": relation.schema, "name": relation.name}
    ).fetchone()
    return row is not None and int(row[0]) == relation.oid


def _signs(cursor: psycopg.Cursor[dict[str, Any]]) -> tuple[Signs, bool]:
    queries = named_queries("relations.sql")
    row = cursor.execute(queries["signs"]).fetchone() or {}
    readable = {
        each["table_name"]
        for each in cursor.execute(
            queries["may_select"],
            {
                "schemas": ["migrations", "migrations", "platform"],
                "names": ["fluxbase", "declarative_state", "declarative_state"],
            },
        ).fetchall()
    }
    return (
        Signs(
            tables=frozenset(row["tables"]),
            schemas=frozenset(row["schemas"]),
            totp_length=row["totp_length"],
            tenant_ids=frozenset(row["tenant_ids"]),
            migration=_named(cursor, "migration") if "migrations.fluxbase" in readable else None,
            fingerprint=_fingerprint(cursor, readable),
        ),
        bool(row["is_tenant"]),
    )


def _fingerprint(cursor: psycopg.Cursor[dict[str, Any]], readable: Collection[str]) -> str | None:
    for table, query in (
        ("platform.declarative_state", "fingerprint"),
        ("migrations.declarative_state", "early_fingerprint"),
    ):
        found = _named(cursor, query) if table in readable else None
        if found is not None:
            return str(found)
    return None


def _named(cursor: psycopg.Cursor[dict[str, Any]], query: str) -> Any:  # noqa: ANN401  # a number or a text
    """What a table of the server says about the release; None if the table has an unknown form."""
    try:
        # A savepoint, so that an error does not abort the caller's transaction.
        with cursor.connection.transaction():
            row = cursor.execute(named_queries("relations.sql")[query]).fetchone()
    except (psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege):
        return None
    return row["found"] if row else None


def _absent(table: SealedTable, release: Release) -> Iterator[Unexamined]:
    if table.extra:
        yield Unexamined(
            UnexaminedKind.LOCATION,
            table.qualified,
            "the table is not there, and the file of --locations names it; correct the name there, or remove the entry",
        )
    elif table.layouts & release.layouts:
        yield Unexamined(
            UnexaminedKind.LOCATION,
            table.qualified,
            f"the table is not there, and release {release.name} has it; if it was renamed or dropped, restore it; "
            "if it is absent on purpose, list it under `absent` in the file of --locations",
        )


@dataclass(frozen=True, slots=True)
class _Found:
    relations: tuple[Relation, ...] = ()
    unexamined: tuple[Unexamined, ...] = ()
    unusable: tuple[Unusable, ...] = ()


def _examine(table: SealedTable, row: dict[str, Any], codec: TextCodec, *, is_tenant: bool) -> _Found:
    """Find what can be examined in an existing table."""
    if row["kind"] == "f":
        return _Found(
            unexamined=(
                Unexamined(
                    UnexaminedKind.LOCATION,
                    table.qualified,
                    "it is a foreign table: its rows are on another server; run this on that server too",
                ),
            )
        )
    if row["kind"] not in ("r", "p"):
        fault = f"is not a table (relkind '{row['kind']}')"
        reason = f"it {fault}; if the table was renamed or dropped, restore it"
        return _Found(
            unexamined=(Unexamined(UnexaminedKind.LOCATION, table.qualified, reason),),
            unusable=(
                Unusable(
                    f"{table.qualified} {fault}",
                    "Sealed values can only be rotated where they are stored. Restore the table under this name.",
                ),
            ),
        )
    types: dict[str, str] = row["columns"]
    if types.get(table.key) != "uuid" and not (table.extra and table.key in types):
        fault = f"has no column `{table.key} uuid`"
        remedy = f"ALTER TABLE {table.qualified} ADD COLUMN {table.key} uuid PRIMARY KEY;"
        return _Found(
            unexamined=(Unexamined(UnexaminedKind.LOCATION, table.qualified, f"it {fault}; add it: {remedy}"),),
            unusable=(Unusable(f"{table.qualified} {fault}", remedy),),
        )
    unusable: tuple[Unusable, ...] = ()
    if not row["has_key"] and not table.extra:
        unusable = (
            Unusable(
                f"{table.qualified} has no primary key `id uuid`",
                f"ALTER TABLE {table.qualified} ADD PRIMARY KEY (id);",
            ),
        )
    unexamined = [] if is_tenant else list(_wrong_columns(table, types))
    columns = tuple(column for column in table.columns if types.get(column.name) in _types(column))
    leaves = row["leaves"]
    unexamined += [
        Unexamined(
            UnexaminedKind.LOCATION,
            f"{schema}.{name}",
            f"it is a part of {table.qualified} and a foreign table: its rows are on another server; run this on that "
            "server too",
        )
        for schema, name, kind, *_ in leaves
        if kind == "f"
    ]
    if not columns:
        return _Found((), tuple(unexamined), unusable)
    relations = tuple(
        Relation(
            table,
            schema,
            name,
            columns,
            table.user_column if table.user_column is not None and types.get(table.user_column) == "uuid" else None,
            table.flag_column if table.flag_column is not None and types.get(table.flag_column) == "boolean" else None,
            oid=int(oid),
            keyed=bool(keyed),
            surrogate=types[table.key] != "uuid",
            codec=codec,
        )
        for schema, name, kind, oid, keyed in leaves
        if kind == "r"
    )
    return _Found(relations, tuple(unexamined), unusable)


def _types(column: SealedColumn) -> frozenset[str]:
    return _DOCUMENT_TYPES if column.form is Form.JSON else _TEXT_TYPES


def _wrong_columns(table: SealedTable, types: dict[str, str]) -> Iterator[Unexamined]:
    for column in table.columns:
        found = types.get(column.name)
        if found is None:
            yield Unexamined(
                UnexaminedKind.LOCATION,
                table.location(column),
                "the column is not there; if it was renamed or dropped, restore it",
            )
        elif found not in _types(column):
            expected = " or ".join(sorted(_types(column)))
            yield Unexamined(
                UnexaminedKind.LOCATION,
                table.location(column),
                f"its type is {found} and not {expected}; correct the type",
            )
    for name, wanted in ((table.user_column, "uuid"), (table.flag_column, "boolean")):
        if name is not None and types.get(name) != wanted:
            yield Unexamined(
                UnexaminedKind.LOCATION,
                f"{table.qualified}.{name}",
                f"the column must be there with type {wanted}: it says how the values of its rows are sealed",
            )
