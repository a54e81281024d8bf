"""Connecting safely: time-outs, keepalives, binary results, and the settings each transaction begins with."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.string import ByteaBinaryLoader

from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.errors import ConfigurationError, DatabaseError, PreflightRefusedError
from fluxbase_cli.store.binary import (
    TextArray,
    TextElements,
    TidArray,
    TidElements,
    Uuid,
    UuidArray,
    _TextArrayDumper,
    _TextElementsDumper,
    _TidArrayDumper,
    _TidElementsDumper,
    _UuidArrayDumper,
    _UuidDumper,
)
from fluxbase_cli.store.transactions import Access

# What the driver would log of a pipeline it also raises; without a handler Python prints it in the midst of our output.
logging.getLogger("psycopg").addHandler(logging.NullHandler())


Connection = psycopg.Connection[tuple[Any, ...]]


APPLICATION_NAME = "fluxbase-cli"


#: A dead client must never hold a lock: the server gives up on a silent transaction, and on a silent socket, soon.
_SESSION = (
    "SET client_encoding = 'UTF8'; "
    "SET search_path = pg_catalog; "
    "SET statement_timeout = 0; "
    "SET lock_timeout = '3s'; "
    "SET idle_in_transaction_session_timeout = '60s'; "
    "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3; "
    "SET row_security = off; "
    # Only batches may be lost in a crash (see `begin_batch`), whatever the database's owner thinks of other commits:
    # what is recorded of a key must be there before the key is gone.
    "SELECT set_config('synchronous_commit', 'local', false) WHERE current_setting('synchronous_commit') = 'off'"
)


_CLIENT: dict[str, str | int] = {
    "connect_timeout": 10,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
    "application_name": APPLICATION_NAME,
}


#: SQLSTATE classes that say "what was configured is wrong" rather than "the server is not there".
_CONFIGURATION_SQLSTATES = ("28", "3D")


def connect(database: DatabaseSettings) -> Connection:
    """Open an autocommit connection with our time-outs.

    Raises:
        ConfigurationError: the address, the role, the password or the database's name is wrong.
        psycopg.OperationalError: the server can't be reached just now; a retry may help.
    """
    try:
        asked: dict[str, Any] = dict(database.connection_parameters())
        asked |= conninfo_to_dict(str(asked.pop("conninfo", "")))
        if database.instead is not None:
            asked["dbname"] = database.instead
        # Ours come first: what a URL or the configuration says explicitly is never overruled.
        connection = psycopg.connect(autocommit=True, **{**_CLIENT, **asked})
    except psycopg.OperationalError as error:
        raise _explained(error, database) from None
    except psycopg.ProgrammingError:
        # Its text quotes the connection string, password included.
        raise ConfigurationError(
            f"the database address in {database.source} can't be read",
            hint="Expected postgresql://user:password@host:port/database; special characters in it are %-encoded.",
        ) from None
    connection.execute(_SESSION)
    return connection


def connect_or_explain(database: DatabaseSettings) -> Connection:
    """As `connect`, for the first connection of a command: whatever fails is told to the user.

    Raises:
        ConfigurationError: as for `connect`.
        DatabaseError: the server can't be reached.
    """
    try:
        return connect(database)
    except psycopg.OperationalError as error:
        raise DatabaseError(
            f"can't connect to {database.describe()}: {first_line(error)}",
            hint="Check that the server is up and that database.* or --database-url points at it.",
        ) from None


@contextmanager
def session(database: DatabaseSettings) -> Iterator[Connection]:
    """A connection for the length of a block, in which whatever the database refuses is told to the user.

    Raises:
        ConfigurationError, DatabaseError: as for `connect_or_explain`.
        PreflightRefusedError: the role lacks a privilege.
    """
    with connect_or_explain(database) as connection:
        try:
            yield connection
        except psycopg.errors.InsufficientPrivilege as error:
            raise PreflightRefusedError(
                f"{database.describe()}: {first_line(error)}",
                hint="`fluxbase-cli config check` says what the role needs. The schema fluxbase_rotation belongs to "
                "the role that ran the first job.",
            ) from None
        except psycopg.Error as error:
            raise DatabaseError(
                f"{database.describe()}: {type(error).__name__}: {first_line(error)}",
                hint="What was committed stays; the same command goes on from there.",
            ) from None


def _explained(error: psycopg.OperationalError, database: DatabaseSettings) -> Exception:
    text = first_line(error)
    # libpq gives no SQLSTATE for a refused connection attempt, only the server's words.
    refused = (error.sqlstate or "")[:2] in _CONFIGURATION_SQLSTATES or any(
        words in text
        for words in (
            "password authentication failed",
            "does not exist",
            "no pg_hba.conf entry",
            "no password supplied",
        )
    )
    if refused:
        return ConfigurationError(
            f"{database.describe()} refuses the connection: {text}",
            hint="Check user, password and database name in database.*, FLUXBASE_DATABASE_* or --database-url.",
        )
    return error


#: SQLSTATE classes whose messages are PostgreSQL's own words about connections, locks, resources and privileges. Others
#: may quote values: a trigger can raise what it likes, and a failed conversion names its input.
_SPEAKING_CLASSES = frozenset({"08", "28", "3D", "40", "53", "55", "57", "58"})


_INSUFFICIENT_PRIVILEGE = "42501"


def first_line(error: BaseException) -> str:
    """What an error may say without telling a value: its first line where that is harmless, else its kind."""
    if isinstance(error, psycopg.Error):
        state = error.sqlstate
        if state is not None and state[:2] not in _SPEAKING_CLASSES and state != _INSUFFICIENT_PRIVILEGE:
            where = ".".join(part for part in (error.diag.schema_name, error.diag.table_name) if part)
            return f"SQLSTATE {state}{f' in {where}' if where else ''}; the server's log has its words"
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def for_values(connection: Connection) -> Connection:
    """Make a connection hand over text, uuid and JSON as raw bytes: no Python object per value beyond that."""
    for name in ("text", "varchar", "bpchar", "uuid", "tid"):
        connection.adapters.register_loader(name, ByteaBinaryLoader)
    connection.adapters.register_dumper(Uuid, _UuidDumper)
    connection.adapters.register_dumper(UuidArray, _UuidArrayDumper)
    connection.adapters.register_dumper(TidArray, _TidArrayDumper)
    connection.adapters.register_dumper(TextArray, _TextArrayDumper)
    connection.adapters.register_dumper(TidElements, _TidElementsDumper)
    connection.adapters.register_dumper(TextElements, _TextElementsDumper)
    return connection


#: Go by a row's place on disk, or by its key, and no other way, whatever the planner's statistics say.
_BY_PLACE = (
    "SET jit = off; SET enable_seqscan = off; SET enable_bitmapscan = off; "
    "SET enable_hashjoin = off; SET enable_mergejoin = off; "
    # Rows are grouped in the order in which they are read.
    "SET enable_hashagg = on; SET enable_sort = off"
)


def connect_for_values(database: DatabaseSettings, access: Access) -> Connection:
    """Open a connection that reads and writes many values, by their places.

    What a batch needs is set here once, as far as nothing worse than a slower statement comes of a setting that gets
    lost; the rest is set again in each transaction, see `begin_batch`.

    Args:
        database: where.
        access: how values may be read and written.

    Raises:
        ConfigurationError, psycopg.OperationalError: as for `connect`.
    """
    connection = for_values(connect(database))
    connection.execute(_BY_PLACE)
    if access.quiet:
        # Each change of this setting has the server plan all of the session's statements anew
        # (`assign_session_replication_role` in PostgreSQL's src/backend/commands/trigger.c): a third of a small batch.
        connection.execute("SET session_replication_role = replica")
    return connection
