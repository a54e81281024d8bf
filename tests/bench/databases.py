"""The data: a source database that is filled once, and a fresh copy of it for each measurement."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from fluxbase_cli.demo.tables import create_tables
from tests.bench.shapes import Shape


@dataclass(frozen=True, slots=True)
class Databases:
    """The source and its copy.

    Attributes:
        server_url: where they are, as a superuser.
        name: the source's name; the copy's follows from it.
        old_key, new_key: the keys, in hex.
    """

    server_url: str
    name: str
    old_key: str
    new_key: str

    @classmethod
    @contextmanager
    def filled(cls, server_url: str, shape: Shape, rows: int, value_bytes: int) -> Iterator[Databases]:
        """A source with so many rows of a shape; dropped afterwards, with its copy."""
        name = f"fluxbase_bench_{secrets.token_hex(4)}"
        databases = cls(server_url, name, os.urandom(32).hex(), os.urandom(32).hex())
        databases._maintain(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            databases._fill(shape, rows, value_bytes)
            yield databases
        finally:
            for each in (f"{name}_copy", name):
                databases._maintain(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(each)))

    def fresh_copy(self) -> str:
        """Make a new copy and return its URL. Ends with a checkpoint, so that all begin alike."""
        copy = sql.Identifier(f"{self.name}_copy")
        self._maintain(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(copy))
        self._maintain(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(copy, sql.Identifier(self.name))
        )
        self._maintain(sql.SQL("CHECKPOINT"))
        return self._url(f"{self.name}_copy")

    def _url(self, database: str) -> str:
        return urlunsplit(urlsplit(self.server_url)._replace(path=f"/{database}"))

    def _maintain(self, statement: sql.SQL | sql.Composed) -> None:
        with psycopg.connect(self.server_url, autocommit=True) as connection:
            connection.execute(statement)

    def _fill(self, shape: Shape, rows: int, value_bytes: int) -> None:
        with psycopg.connect(self._url(self.name), autocommit=True) as connection:
            create_tables(connection)
            # Rows of other tables that these refer to are not needed.
            connection.execute("SET session_replication_role = replica")
            with connection.cursor() as cursor, cursor.copy(shape.copy_in) as copy:
                for row in shape.make(bytes.fromhex(self.old_key), rows, value_bytes):
                    copy.write_row(row)
            connection.execute(sql.SQL("VACUUM ANALYZE {}").format(shape.name))
