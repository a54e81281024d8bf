"""The roles of the API and of the server, and what they may create."""

from __future__ import annotations

from dataclasses import dataclass

from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.queries import Statements


@dataclass(frozen=True, slots=True)
class ApiRole:
    """`anon` or `authenticated`.

    Attributes:
        name: its name.
        can_login, superuser, bypasses_row_security: its attributes.
        strong: privileged roles and owners of tables that it may become.
        owned: the tables that it owns.
    """

    name: str
    can_login: bool
    superuser: bool
    bypasses_row_security: bool
    strong: tuple[str, ...]
    owned: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ServerRole:
    """A role as which the server may connect.

    Attributes:
        name: its name.
        superuser, bypasses_row_security, creates_roles: its attributes.
        configured: whether the configuration names it.
    """

    name: str
    superuser: bool
    bypasses_row_security: bool
    creates_roles: bool
    configured: bool


@dataclass(frozen=True, slots=True)
class Creatable:
    """A schema in which a role of the API may create objects.

    Attributes:
        schema: its name.
        roles: those of `anon` and `authenticated` that may.
        on_path: whether it is on the search_path of one of them.
    """

    schema: str
    roles: frozenset[str]
    on_path: bool


@dataclass(frozen=True, slots=True)
class DatabasePrivileges:
    """What the roles of the API may create in the database itself.

    Attributes:
        name: the database.
        schema_creators: those of `anon` and `authenticated` that may create schemas.
        temporary_creators: those that may create temporary tables.
    """

    name: str
    schema_creators: frozenset[str]
    temporary_creators: frozenset[str]


def read_api_roles(connection: Connection) -> tuple[ApiRole, ...]:
    """Those of `anon` and `authenticated` that exist."""
    rows = Statements(connection, "security_roles.sql").rows("api_roles")
    return tuple(ApiRole(**(row | {"strong": tuple(row["strong"]), "owned": tuple(row["owned"])})) for row in rows)


def read_server_roles(connection: Connection, configured: str | None) -> tuple[ServerRole, ...]:
    """The roles as which the server may connect.

    Args:
        connection: the session.
        configured: the role that the configuration names.
    """
    rows = Statements(connection, "security_roles.sql").rows("server_roles", configured=configured)
    return tuple(ServerRole(**row) for row in rows)


def read_creatable(connection: Connection) -> tuple[Creatable, ...]:
    """The schemas in which a role of the API may create objects, by name."""
    rows = Statements(connection, "security_roles.sql").rows("creatable")
    return tuple(Creatable(**(row | {"roles": frozenset(row["roles"])})) for row in rows)


def read_database_privileges(connection: Connection) -> DatabasePrivileges:
    """What the roles of the API may create in this database."""
    (row,) = Statements(connection, "security_roles.sql").rows("database_privileges")
    return DatabasePrivileges(row["name"], frozenset(row["schema_creators"]), frozenset(row["temporary_creators"]))
