"""Fluxbase's tables in an empty database, as a release makes them (`schema/`)."""

from __future__ import annotations

from enum import StrEnum
from importlib import resources
from typing import Any

from psycopg import Connection


class SchemaRelease(StrEnum):
    """The releases whose tables can be made: one of each layout that releases have had."""

    STABLE = "2026.3.6"
    """The newest stable release. Those since 2026.2.3 make the same tables."""
    MAIN = "main"
    """The development state, 2026.3.7-rc.13."""


#: What every release has, in the order in which it is made; then comes what the release has beyond it.
_OF_EVERY_RELEASE = ("roles", "claims", "tables", "bystanders", "webhooks", "policies")


def create_tables(conn: Connection[Any], *, release: SchemaRelease = SchemaRelease.MAIN) -> None:
    """Create Fluxbase's roles, schemas and tables, in one transaction.

    Args:
        conn: a connection to a database that has none of them, as a superuser.
        release: whose tables.
    """
    folder = resources.files(__package__).joinpath("schema")
    with conn.transaction():
        for name in (*_OF_EVERY_RELEASE, release):
            conn.execute(folder.joinpath(f"{name}.sql").read_bytes())
