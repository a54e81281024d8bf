"""The release of the server that made the tables."""

from __future__ import annotations

from fluxbase_cli.catalogue.releases import Release
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.relations import find_relations


def read_release(connection: Connection) -> Release:
    """The release, or a range of releases."""
    return find_relations(connection).release
