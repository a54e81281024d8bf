"""The data: a source database that is filled once, and a fresh copy of it for each measurement."""

from __future__ import annotations

import os
import secrets
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from fluxbase_cli.demo.tables import create_tables
from fluxbase_cli.seal import Sealer

#: For many large rows, a new seal for each row would take longer than everything else.
_DIFFERENT_LARGE_VALUES = 64
_LARGE_BYTES = 64 * 1024


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
    def filled(cls, server_url: str, rows: int, value_bytes: int) -> Iterator[Databases]:
        """A source with so many sealed values in `functions.secrets`; dropped afterwards, with its copy."""
        name = f"fluxbase_bench_{secrets.token_hex(4)}"
        databases = cls(server_url, name, os.urandom(32).hex(), os.urandom(32).hex())
        databases._maintain(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            databases._fill(rows, value_bytes)
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

    def _fill(self, rows: int, value_bytes: int) -> None:
        sealer = Sealer(bytes.fromhex(self.old_key))
        large = [os.urandom(value_bytes) for _ in range(_DIFFERENT_LARGE_VALUES if value_bytes >= _LARGE_BYTES else 0)]
        with psycopg.connect(self._url(self.name), autocommit=True) as connection:
            create_tables(connection)
            copy_in = "COPY functions.secrets (id, name, encrypted_value) FROM STDIN"
            with connection.cursor() as cursor, cursor.copy(copy_in) as copy:
                for number in range(rows):
                    plaintext = large[number % len(large)] if large else os.urandom(value_bytes)
                    copy.write_row((uuid.uuid4(), f"SECRET_{number}", sealer.seal(plaintext).decode()))
            connection.execute("VACUUM ANALYZE functions.secrets")
