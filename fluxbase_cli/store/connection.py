"""Opens connections safely: with time-outs, keepalives, binary results, and the settings of each session."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, LiteralString

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import Conninfo, TransactionStatus
from psycopg.types.string import ByteaBinaryLoader

from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.config.conninfo import parameter_names
from fluxbase_cli.errors import ConfigurationError, DatabaseError, PreflightRefusedError
from fluxbase_cli.printable import printable
from fluxbase_cli.store.binary import (
    TextArray,
    TextElements,
    TidArray,
    TidElements,
    Uuid,
    UuidArray,
    UuidElements,
    XidArray,
    XidElements,
    _TextArrayDumper,
    _TextElementsDumper,
    _TidArrayDumper,
    _TidElementsDumper,
    _UuidArrayDumper,
    _UuidDumper,
    _UuidElementsDumper,
    _XidArrayDumper,
    _XidElementsDumper,
)
from fluxbase_cli.store.connect_hint import connect_hint
from fluxbase_cli.store.encoding import convert_texts_here
from fluxbase_cli.store.first_answer import ask
from fluxbase_cli.store.pooler import is_pooled, refuse_unfit_pooler, server_process_of, shared
from fluxbase_cli.store.refused_connection import FREE_CONNECTIONS, TooManyConnectionsError, explain_refusal
from fluxbase_cli.store.session_settings import apply_settings
from fluxbase_cli.store.transactions import Access

# The driver logs errors of a pipeline, which it also raises. Without a handler, Python prints them into our output.
logging.getLogger("psycopg").addHandler(logging.NullHandler())


Connection = psycopg.Connection[tuple[Any, ...]]


APPLICATION_NAME = "fluxbase-cli"


_CLIENT: dict[str, str | int] = {
    "connect_timeout": 10,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
    "application_name": APPLICATION_NAME,
    # Until the session uses the database's encoding, of which the driver may know nothing.
    "client_encoding": "SQL_ASCII",
}


#: How long a new connection may take to answer its first statement, in seconds.
_FIRST_ANSWER_S = 10.0


class _Session(psycopg.Connection[tuple[Any, ...]]):
    """A connection that leaves nothing behind in a session that a pooler will give to others."""

    pooled: bool = False

    def close(self) -> None:
        if self.pooled and not self.closed:
            with suppress(psycopg.Error):
                if self.info.transaction_status is not TransactionStatus.IDLE:
                    ask(self, "ROLLBACK", limit_s=1.0)
                ask(self, "DISCARD ALL", limit_s=1.0)
        super().close()


def connect(database: DatabaseSettings) -> Connection:
    """Open an autocommit connection with our time-outs. For the first one of a command, see `connect_or_explain`.

    Raises:
        ConfigurationError: the address, the role, the password or the database's name is wrong.
        PreflightRefusedError: a pooler has given the connection another server process meanwhile.
        psycopg.OperationalError: the server can't be reached now; a retry may help.
    """
    connection = _open(database)
    return _with_settings(connection, _process(connection), database)


def _process(connection: _Session) -> int:
    """The number of the server process of a new connection."""
    try:
        return server_process_of(connection, _FIRST_ANSWER_S)
    except BaseException:
        connection.close()
        raise


def _with_settings(connection: _Session, process: int, database: DatabaseSettings) -> Connection:
    try:
        settled = apply_settings(connection, process)
    except BaseException:
        connection.close()
        raise
    if not settled:
        connection.close()
        raise shared(database.describe())
    connection.pooled = is_pooled(connection, process)
    convert_texts_here(connection)
    return connection


def _open(database: DatabaseSettings) -> _Session:
    """Open a connection and set nothing."""
    try:
        given: dict[str, Any] = dict(database.connection_parameters())
        given |= conninfo_to_dict(str(given.pop("conninfo", "")))
        if database.instead is not None:
            given["dbname"] = database.instead
        # Our defaults come first, so that an explicit setting of the URL or the configuration overrides them.
        parameters = {**_CLIENT, **given}
        if parameters["application_name"] != APPLICATION_NAME:
            # By the beginning of their names, our sessions are told apart from those of the server.
            parameters["application_name"] = f"{APPLICATION_NAME}: {parameters['application_name']}"
        return _try(database, parameters)
    except psycopg.OperationalError as error:
        raise explain_refusal(error, make_conninfo(**parameters), database.describe()) from None
    except psycopg.ProgrammingError:
        # The text of this error contains the connection string with the password.
        unknown = _unknown_parameters(database)
        if unknown:
            raise ConfigurationError(
                f"the database address in {database.source} has a parameter that libpq does not know: "
                f"{', '.join(unknown)}",
                hint="https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS lists them.",
            ) from None
        raise ConfigurationError(
            f"the database address in {database.source} can't be read",
            hint="Expected postgresql://user:password@host:port/database; special characters in it are %-encoded.",
        ) from None


def _try(database: DatabaseSettings, parameters: dict[str, Any]) -> _Session:
    try:
        return _Session.connect(autocommit=True, **parameters)
    except psycopg.OperationalError as error:
        # Nobody has configured a password, and libpq has found none. The server's default is left.
        if not (database.is_default_password and getattr(error.pgconn, "needs_password", False)):
            raise
        return _Session.connect(autocommit=True, **parameters, password=database.password.reveal())


def _unknown_parameters(database: DatabaseSettings) -> list[str]:
    if database.url is None:
        return []
    known = {option.keyword.decode() for option in Conninfo.get_defaults()}
    # libpq also reads `ssl=true`, as JDBC writes it.
    return [printable(name) for name in parameter_names(database.url.reveal()) if name not in known | {"ssl"}]


def connect_or_explain(database: DatabaseSettings) -> Connection:
    """As `connect`, for the first connection of a command: every failure becomes an error for the user.

    Raises:
        ConfigurationError: as for `connect`.
        PreflightRefusedError: a pooler is in between whose sessions can't be used.
        DatabaseError: the server can't be reached.
    """
    try:
        connection = _open(database)
        process = _process(connection)
        if not is_pooled(connection, process):
            return _with_settings(connection, process, database)
        # A pool may have one session only.
        connection.close()
        refuse_unfit_pooler(partial(_open, database), database.describe())
        return connect(database)
    except psycopg.Error as error:
        raise DatabaseError(
            f"can't connect to {database.describe()}: {first_line(error)}", hint=connect_hint(database, error)
        ) from None


@contextmanager
def session(database: DatabaseSettings) -> Iterator[Connection]:
    """A connection for a block, in which every error of the database becomes an error for the user.

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
        except psycopg.errors.DataCorrupted as error:
            page = _DAMAGED_PAGE.search(str(error))
            raise DatabaseError(
                f"{database.describe()}: the storage of the database is damaged: "
                f"{page[0] if page else first_line(error)}",
                hint="What was committed stays. `SELECT pg_filenode_relation(0, N)` names the table, where N is the "
                "relation's last number. Restore it from a backup, then run the same command again.",
            ) from None
        except psycopg.Error as error:
            raise DatabaseError(
                f"{database.describe()}: {failure_text(error)}",
                hint="What was committed stays. Run the same command again to resume.",
            ) from None


#: SQLSTATE classes whose messages are PostgreSQL's fixed texts about connections, locks, resources and privileges.
#: Other messages may contain values: a trigger can raise any text, and a failed conversion names its input.
_SAFE_CLASSES = frozenset({"08", "28", "3D", "40", "53", "55", "57", "58"})


_INSUFFICIENT_PRIVILEGE = "42501"


#: As in `invalid sslmode value: "…"` and `invalid integer value "…" for connection option "port"`.
_QUOTED_VALUE = re.compile(r'(?<=value):? ".*"(?= for connection option|$)')


#: Of a message with SQLSTATE XX001, which a trigger can raise too, only PostgreSQL's own words are printed.
_DAMAGED_PAGE = re.compile(r'invalid page in block \d+ of relation "?[a-z]+/[\w/]+"?')


def failure_text(error: BaseException) -> str:
    """What a report or a message may say of an error of the database: what, where, and what to do if that is known."""
    if isinstance(error, TooManyConnectionsError):
        return f"{first_line(error)}. {FREE_CONNECTIONS.removesuffix('.')}"
    return f"{type(error).__name__}: {first_line(error)}"


def first_line(error: BaseException) -> str:
    """The text of an error without any value: its first line if that is safe, else its kind."""
    if isinstance(error, psycopg.Error):
        state = error.sqlstate
        if state is not None and state[:2] not in _SAFE_CLASSES and state != _INSUFFICIENT_PRIVILEGE:
            where = ".".join(part for part in (error.diag.schema_name, error.diag.table_name) if part)
            names = f" in {where}" if where else ""
            names += f", constraint {error.diag.constraint_name}" if error.diag.constraint_name else ""
            return f"SQLSTATE {state}{names}; the server's log has the message"
    lines = str(error).strip().splitlines()
    # libpq quotes a parameter that it can't use. In a mistyped address, a part of the password may stand there.
    if not lines:
        return type(error).__name__
    # psycopg says "connection failed", and libpq then says which connection failed, and why.
    line = lines[0].removeprefix("connection failed: ").removeprefix("connection is bad: ")
    return _QUOTED_VALUE.sub("", line)


def for_values(connection: Connection) -> Connection:
    """Make a connection return texts, uuids and ctids as raw bytes, without a further Python object for each."""
    for name in ("text", "varchar", "bpchar", "uuid", "tid", "xid"):
        connection.adapters.register_loader(name, ByteaBinaryLoader)
    connection.adapters.register_dumper(Uuid, _UuidDumper)
    connection.adapters.register_dumper(UuidArray, _UuidArrayDumper)
    connection.adapters.register_dumper(TidArray, _TidArrayDumper)
    connection.adapters.register_dumper(TextArray, _TextArrayDumper)
    connection.adapters.register_dumper(TidElements, _TidElementsDumper)
    connection.adapters.register_dumper(UuidElements, _UuidElementsDumper)
    connection.adapters.register_dumper(XidArray, _XidArrayDumper)
    connection.adapters.register_dumper(XidElements, _XidElementsDumper)
    connection.adapters.register_dumper(TextElements, _TextElementsDumper)
    return connection


#: Make the planner find rows by their ctid or their key, and in no other way, independent of its statistics.
_BY_CTID: dict[LiteralString, LiteralString] = {
    "jit": "off",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    # Rows are grouped in the order in which they are read.
    "enable_hashagg": "on",
    "enable_sort": "off",
}


def find_by_ctid(connection: Connection) -> None:
    """Make a connection find rows as those of `connect_for_values` do, until its transaction ends."""
    connection.execute("; ".join(f"SET LOCAL {name} = {value}" for name, value in _BY_CTID.items()))


def connect_for_values(database: DatabaseSettings, access: Access) -> Connection:
    """Open a connection that reads and writes many values, by their ctids.

    A setting is made here once if its loss only makes statements slower. All other settings are made again in each
    transaction, see `begin_batch`.

    Args:
        database: how to connect.
        access: how to read and write values with this role.

    Raises:
        ConfigurationError, psycopg.OperationalError: as for `connect`.
    """
    connection = for_values(connect(database))
    connection.execute("; ".join(f"SET {name} = {value}" for name, value in _BY_CTID.items()))
    if access.quiet:
        # After each change of this setting the server plans all statements of the session again
        # (`assign_session_replication_role` in PostgreSQL's src/backend/commands/trigger.c). That takes a third of the
        # time of a small batch. So it is set here too, and the same setting in each batch changes nothing.
        connection.execute("SET session_replication_role = replica")
    return connection
