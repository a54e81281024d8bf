"""The policies of row-level security, and the columns that decide in them."""

from __future__ import annotations

from dataclasses import dataclass

from fluxbase_cli.security.database.schemas import is_user_schema
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.queries import Statements

_COMMANDS = {"*": "ALL", "r": "SELECT", "a": "INSERT", "w": "UPDATE", "d": "DELETE"}
#: Names of columns that say what a user may do, or that users may write themselves.
DECIDING_COLUMNS = (
    "role",
    "roles",
    "user_role",
    "is_admin",
    "is_staff",
    "is_superuser",
    "admin",
    "permissions",
    "user_metadata",
    "raw_user_meta_data",
)


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy.

    Attributes:
        oid: its object id.
        table_oid: the object id of its table.
        name: its name.
        permissive: whether it adds rows; a restrictive one takes rows away.
        command: `ALL`, `SELECT`, `INSERT`, `UPDATE` or `DELETE`.
        roles: those of `anon` and `authenticated` that it applies to.
        condition: USING; None if it has none.
        with_check: WITH CHECK; None if it has none.
    """

    oid: int
    table_oid: int
    name: str
    permissive: bool
    command: str
    roles: frozenset[str]
    condition: str | None
    with_check: str | None

    @property
    def commands(self) -> tuple[str, ...]:
        """The commands that it applies to."""
        return ("SELECT", "INSERT", "UPDATE", "DELETE") if self.command == "ALL" else (self.command,)

    @property
    def text(self) -> str:
        """Both expressions."""
        return f"{self.condition or ''} {self.with_check or ''}"


@dataclass(frozen=True, slots=True)
class PolicyColumn:
    """A column that a policy looks at.

    Attributes:
        policy: the object id of the policy.
        table_oid: the object id of the column's table.
        schema, table: that table.
        column: the column.
        writers: those of `anon` and `authenticated` that may update it.
    """

    policy: int
    table_oid: int
    schema: str
    table: str
    column: str
    writers: frozenset[str]

    @property
    def is_users(self) -> bool:
        """Whether it is a column of a table of users."""
        return is_user_schema(self.schema)


@dataclass(frozen=True, slots=True)
class RoleColumn:
    """The column `role` of `auth.users`.

    Attributes:
        writers: those of `anon` and `authenticated` that may update it.
        triggers: the source of the functions of triggers before an update.
    """

    writers: frozenset[str]
    triggers: tuple[str, ...]


def read_policies(connection: Connection) -> tuple[Policy, ...]:
    """All policies, by table and name."""
    return tuple(
        Policy(
            row["oid"],
            row["table_oid"],
            row["name"],
            row["permissive"],
            _COMMANDS[row["command"]],
            frozenset(row["roles"]),
            row["condition"],
            row["with_check"],
        )
        for row in Statements(connection, "security_tables.sql").rows("policies")
    )


def read_policy_columns(connection: Connection) -> tuple[PolicyColumn, ...]:
    """The columns of `DECIDING_COLUMNS` that policies look at."""
    rows = Statements(connection, "security_tables.sql").rows("policy_columns", columns=list(DECIDING_COLUMNS))
    return tuple(
        PolicyColumn(
            row["policy"], row["table_oid"], row["schema"], row["name"], row["column_name"], frozenset(row["writers"])
        )
        for row in rows
    )


def read_role_column(connection: Connection) -> RoleColumn | None:
    """The column `auth.users.role`; None if it does not exist."""
    rows = Statements(connection, "security_tables.sql").rows("role_column")
    return RoleColumn(frozenset(rows[0]["writers"]), tuple(rows[0]["triggers"])) if rows else None


def read_policy_tables(connection: Connection) -> frozenset[int]:
    """The object ids of the tables that policies of other tables read, with the privileges of who asks."""
    return frozenset(row["oid"] for row in Statements(connection, "security_tables.sql").rows("policy_tables"))
