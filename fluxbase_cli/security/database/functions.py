"""Functions that run with the rights of their owners, and functions that run text as SQL."""

from __future__ import annotations

from dataclasses import dataclass

from fluxbase_cli.security.database.schemas import is_user_schema
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.queries import Statements


@dataclass(frozen=True, slots=True)
class Function:
    """A function or a procedure.

    Attributes:
        schema, name: its name.
        arguments: the arguments that tell it from others with its name.
        kind: `FUNCTION` or `PROCEDURE`.
        definer: whether it runs with the rights of its owner.
        fixed_path: whether it sets its search_path.
        is_trigger: whether it can only be called by a trigger.
        callers: those of `anon` and `authenticated` that may call it.
        source: its text, if it is in PL/pgSQL.
    """

    schema: str
    name: str
    arguments: str
    kind: str
    definer: bool
    fixed_path: bool
    is_trigger: bool
    callers: frozenset[str]
    source: str | None

    @property
    def signature(self) -> str:
        """Its name with the schema and the arguments, for people."""
        return f"{self.schema}.{self.name}({self.arguments})"

    @property
    def is_users(self) -> bool:
        """Whether it is in no schema of the server."""
        return is_user_schema(self.schema)


def read_functions(connection: Connection) -> tuple[Function, ...]:
    """All functions with SECURITY DEFINER, and all in PL/pgSQL that may run text, by name."""
    rows = Statements(connection, "security_roles.sql").rows("functions")
    return tuple(Function(**(row | {"callers": frozenset(row["callers"])})) for row in rows)
