"""The generation of the server: the stable releases, or the coming ones with tenants."""

from __future__ import annotations

from enum import StrEnum

from fluxbase_cli.catalogue.locations import Layout
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.relations import find_relations

#: For remedies on tables of the server: a server of main makes them as its release describes them at each start.
AFTER_EACH_START = "-- The server undoes this when it starts: run it after each start.\n"


class Generation(StrEnum):
    """The releases that the rules tell apart."""

    STABLE = "stable"
    """2026.1.4 to 2026.3.6."""
    MAIN = "main"
    """2026.3.7-rc.1 and later, with the schema `platform` and tenants."""


def read_generation(connection: Connection) -> Generation | None:
    """The generation of the server that made a database. None if the tables do not show it."""
    layouts = find_relations(connection).release.layouts
    if layouts == {Layout.PLATFORM}:
        return Generation.MAIN
    return Generation.STABLE if layouts == {Layout.DASHBOARD} else None
