"""The schemas that belong to the server, and to this program. All others hold the data of users."""

from __future__ import annotations

from fluxbase_cli.store.schema import KEYS_SCHEMA, SCHEMA

#: Schemas of the stable releases and of main.
SERVER_SCHEMAS = frozenset(
    {
        "ai",
        "api",
        "app",
        "auth",
        "branching",
        "dashboard",
        "functions",
        "jobs",
        "logging",
        "mcp",
        "migrations",
        "platform",
        "realtime",
        "rpc",
        "storage",
        "system",
    }
)
OUR_SCHEMAS = frozenset({SCHEMA, KEYS_SCHEMA})


def is_user_schema(schema: str) -> bool:
    """Whether a schema holds the data of users."""
    return schema not in SERVER_SCHEMAS and schema not in OUR_SCHEMAS
