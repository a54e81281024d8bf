"""Writes names into SQL that operators paste, and into sentences."""

from __future__ import annotations

from collections.abc import Iterable

from psycopg import sql


def quoted(*names: str) -> str:
    """Names in double quotes, joined by dots: `"public"."notes"`."""
    return sql.Identifier(*names).as_string(None)


def joined(names: Iterable[str]) -> str:
    """Names in order, for a sentence: `anon and authenticated`."""
    return " and ".join(sorted(names))
