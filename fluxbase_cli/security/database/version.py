"""The version of PostgreSQL, and settings of it that change what SQL means."""

from __future__ import annotations

from dataclasses import dataclass

from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.queries import Statements


@dataclass(frozen=True, slots=True)
class StringSetting:
    """A place where `standard_conforming_strings` is off.

    Attributes:
        database: for sessions in this database; None: in all.
        role: for sessions of this role; None: of all. Neither: the server's configuration.
    """

    database: str | None
    role: str | None


def read_version(connection: Connection) -> int:
    """The version, as 180004 for 18.4."""
    (row,) = Statements(connection, "security_roles.sql").rows("version")
    return int(row["number"])


def read_string_settings(connection: Connection) -> tuple[StringSetting, ...]:
    """The places where `standard_conforming_strings` is off."""
    return tuple(StringSetting(**row) for row in Statements(connection, "security_roles.sql").rows("string_settings"))
