"""The settings that the server keeps in its table `app.settings`: a few switches, no secrets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.queries import Statements

#: What the rules read. Nothing else of the table is read.
KEYS = (
    "app.security.enable_global_rate_limit",
    "setup_completed",
)


def read_app_settings(connection: Connection) -> Mapping[str, Any]:
    """The switches by key. A switch that is not stored is missing."""
    rows = Statements(connection, "security_settings.sql").rows("app_settings", keys=list(KEYS))
    return {row["key"]: row["value"] for row in rows}
