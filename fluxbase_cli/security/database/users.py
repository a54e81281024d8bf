"""How many users have strong roles, and whether there is an administrator. No names and no addresses."""

from __future__ import annotations

from collections.abc import Mapping

from psycopg import sql

from fluxbase_cli.security.database.rows import FILE, columns_of, existing, require
from fluxbase_cli.security.finding import NotCheckedError
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.queries import Statements

_DASHBOARD = ("dashboard.users", "platform.users")
#: Roles of administrators. The server gives the first three all privileges in the database.
STRONG_ROLES = ("service_role", "dashboard_admin", "instance_admin", "admin")


def read_strong_users(connection: Connection) -> Mapping[str, int]:
    """The number of the application's users with each of `STRONG_ROLES`.

    Raises:
        NotCheckedError: the table is not there.
    """
    require(connection, {"auth.users": ("role",)})
    rows = Statements(connection, FILE).rows("strong_users", roles=list(STRONG_ROLES))
    return {row["role"]: row["number"] for row in rows}


def read_has_dashboard_user(connection: Connection) -> tuple[str, bool]:
    """The table with the dashboard's users, and whether it has one that was not deleted.

    Raises:
        NotCheckedError: the table is not there.
    """
    tables = columns_of(connection, *_DASHBOARD)
    for table, columns in sorted(tables.items()):
        statement = sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE {} IS NULL)").format(
            sql.Identifier(*table.split(".")), existing(columns, "deleted_at", "NULL")
        )
        row = connection.execute(statement).fetchone()
        return table, bool(row and row[0])
    message = "the table with the users of the dashboard is not in this database"
    raise NotCheckedError(message)
