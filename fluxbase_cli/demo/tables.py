"""Makes the tables of a Fluxbase release in an empty database (`schema/`)."""

from __future__ import annotations

from enum import StrEnum
from importlib import resources
from typing import Any

from psycopg import Connection


class SchemaRelease(StrEnum):
    """The releases whose tables can be made: one for each layout."""

    STABLE = "2026.3.6"
    """The newest stable release. Stable releases since 2026.2.3 have the same tables."""
    MAIN = "main"
    """The development state, 2026.3.7-rc.13."""


#: What every release has, in the order of creation. After that comes what only the one release has.
_OF_EVERY_RELEASE = ("roles", "claims", "tables", "bystanders", "webhooks", "policies")


def create_tables(conn: Connection[Any], *, release: SchemaRelease = SchemaRelease.MAIN) -> None:
    """Create Fluxbase's roles, schemas and tables, in one transaction.

    Args:
        conn: a connection as a superuser, to a database that has none of these.
        release: make the tables of this release.
    """
    folder = resources.files(__package__).joinpath("schema")
    with conn.transaction():
        for name in (*_OF_EVERY_RELEASE, release):
            conn.execute(folder.joinpath(f"{name}.sql").read_bytes())
