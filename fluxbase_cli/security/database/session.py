"""One read-only transaction from which all facts about the database are read, each once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import psycopg

from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.security.finding import NotCheckedError
from fluxbase_cli.store.connection import Connection, connect_or_explain, first_line

_F = TypeVar("_F")

#: Each statement of a check ends within this time.
SESSION_SETTINGS = (
    "SET LOCAL statement_timeout = '10s'; SET LOCAL lock_timeout = '1s'; SET LOCAL search_path = pg_catalog"
)


class DatabaseFacts:
    """Reads facts, each once.

    Args:
        connection: a session with an open transaction.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._read: dict[tuple[Hashable, ...], Any] = {}

    def read(self, reader: Callable[..., _F], *arguments: Hashable) -> _F:
        """What a reader returns. It is called once for all rules, with the same arguments.

        Args:
            reader: a function at the top of a module that takes the connection and these arguments, runs a few
                statements and returns frozen data.
            arguments: its other arguments.

        Raises:
            NotCheckedError: the database refused a statement.
        """
        key = (reader, *arguments)
        if key not in self._read:
            self._read[key] = self._call(reader, *arguments)
        found = self._read[key]
        if isinstance(found, NotCheckedError):
            raise found
        return cast("_F", found)

    def _call(self, reader: Callable[..., _F], *arguments: Hashable) -> _F | NotCheckedError:
        try:
            # A savepoint: an error does not end the transaction for the other readers.
            with self._connection.transaction():
                return reader(self._connection, *arguments)
        except psycopg.errors.QueryCanceled:
            return NotCheckedError("the database took too long to answer; try again when it has less to do")
        except psycopg.errors.InsufficientPrivilege as error:
            return NotCheckedError(f"the role may not read it: {first_line(error)}")
        except psycopg.Error as error:
            return NotCheckedError(f"the database could not answer: {first_line(error)}")
        except NotCheckedError as error:
            return error


@contextmanager
def open_database(database: DatabaseSettings) -> Iterator[DatabaseFacts]:
    """Open one read-only transaction.

    Raises:
        ConfigurationError, DatabaseError: the database can't be reached.
    """
    with connect_or_explain(database) as connection:
        connection.execute("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        connection.execute(SESSION_SETTINGS)
        try:
            yield DatabaseFacts(connection)
        finally:
            if not connection.closed:
                connection.execute("ROLLBACK")
