"""Loads the named statements of `store/sql/*.sql`. In these files SQL can be read, linted and explained as SQL."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from psycopg.rows import dict_row

from fluxbase_cli.store.connection import Connection

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_FRAGMENT = re.compile(r"^-- fragment: (\w+)$", re.MULTILINE)
_USE = re.compile(r"\{\{(\w+)\}\}")
_COMMENT = re.compile(r"^--.*\n", re.MULTILINE)


def read_sql(name: str) -> bytes:
    """The text of one file of `store/sql`."""
    return files("fluxbase_cli.store").joinpath("sql", name).read_bytes()


class Statements:
    """The named statements of one file over one connection.

    Args:
        connection: runs them, in the transaction that is open there, if any.
        name: the file.
    """

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self._texts = named_queries(name)

    def __getitem__(self, name: str) -> bytes:
        """The text of one statement."""
        return self._texts[name]

    def rows(self, name: str, **arguments: Any) -> list[dict[str, Any]]:  # noqa: ANN401  # SQL parameters
        """Run a statement and return its rows by the names of the columns; none for one that returns no rows."""
        with self._connection.cursor(row_factory=dict_row) as cursor:
            cursor.execute(self._texts[name], arguments)
            return cursor.fetchall() if cursor.description else []


@cache
def named_queries(name: str) -> Mapping[str, bytes]:
    """The statements of one file by their names, with the fragments that they use inserted.

    Raises:
        KeyError: a statement uses a fragment that does not exist.
    """
    statements = _sections(_NAME, read_sql(name).decode())
    return {title: _USE.sub(lambda use: _fragments()[use[1]], text).encode() for title, text in statements.items()}


@cache
def _fragments() -> Mapping[str, str]:
    sections = _sections(_FRAGMENT, read_sql("fragments.sql").decode())
    return {name: _COMMENT.sub("", text) for name, text in sections.items()}


def _sections(title: re.Pattern[str], text: str) -> Mapping[str, str]:
    parts = title.split(text)
    # parts[0] is the text before the first name. After it come a name and its text in turn.
    return {name: body.strip().rstrip(";") for name, body in zip(parts[1::2], parts[2::2], strict=True)}
