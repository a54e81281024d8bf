"""Writes names into SQL that operators paste."""

from __future__ import annotations

from psycopg import sql


def quoted(*names: str) -> str:
    """Names in double quotes, joined by dots: `"public"."notes"`."""
    return sql.Identifier(*names).as_string(None)
