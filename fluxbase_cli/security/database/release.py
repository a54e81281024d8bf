"""The release of the server that made the tables."""

from __future__ import annotations

from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.relations import find_relations


def read_release(connection: Connection) -> str:
    """The name of the release, or a range of releases."""
    return find_relations(connection).release.name
