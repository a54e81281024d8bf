"""The service keys, without their hashes."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql
from psycopg.rows import dict_row

from fluxbase_cli.security.database.rows import columns_of, existing
from fluxbase_cli.security.finding import NotCheckedError
from fluxbase_cli.store.connection import Connection

_TABLES = ("auth.service_keys", "platform.service_keys")
#: Keys with these types have no more rights than a visitor or the user they belong to.
_WEAK_TYPES = ("anon", "publishable")


@dataclass(frozen=True, slots=True)
class ServiceKey:
    """A service key that is valid now.

    Attributes:
        table: its table.
        id: its id.
        name: the name that its maker gave it.
        expires: whether it expires.
        all_scopes: whether it may do everything that its kind may do.
    """

    table: str
    id: str
    name: str
    expires: bool
    all_scopes: bool


def read_service_keys(connection: Connection) -> tuple[ServiceKey, ...]:
    """The service keys that are valid now.

    Raises:
        NotCheckedError: this release has no such table.
    """
    tables = columns_of(connection, *_TABLES)
    if not tables:
        message = f"the table {_TABLES[0]} is not in this database"
        raise NotCheckedError(message)
    found: list[ServiceKey] = []
    for table in sorted(tables):
        columns = tables[table]
        statement = sql.SQL(
            "SELECT id::text AS id, name::text AS name, expires_at IS NOT NULL AS expires,"
            " '*' = ANY (scopes) AS all_scopes FROM {table}"
            " WHERE coalesce({enabled}, true) AND coalesce({active}, true) AND {revoked} IS NULL"
            " AND coalesce(expires_at > now(), true) AND NOT coalesce({type} = ANY (%s), false) ORDER BY id"
        ).format(
            table=sql.Identifier(*table.split(".")),
            enabled=existing(columns, "enabled", "true"),
            active=existing(columns, "is_active", "true"),
            revoked=existing(columns, "revoked_at", "NULL"),
            type=existing(columns, "key_type", "NULL::text"),
        )
        with connection.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(statement, (list(_WEAK_TYPES),)).fetchall()
        found += [ServiceKey(table, row["id"], row["name"], row["expires"], bool(row["all_scopes"])) for row in rows]
    return tuple(found)
