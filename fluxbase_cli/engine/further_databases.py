"""The databases besides the main one: which there are, and how to work on several at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.errors import FluxbaseCliError
from fluxbase_cli.store.connection import session
from fluxbase_cli.store.databases import Databases, FurtherDatabases, exists, find_databases
from fluxbase_cli.store.preflight import inspect

_T = TypeVar("_T")
_R = TypeVar("_R")

#: The kind of the main database. The others are `branch` and `tenant`.
MAIN = "main"


def list_databases(database: DatabaseSettings, wanted: Databases) -> FurtherDatabases:
    """Find the databases of branches and tenants that exist.

    Raises:
        ConfigurationError, DatabaseError, PreflightRefusedError: the main database can't be read.
    """
    with session(database) as connection:
        preflight = inspect(connection, write=False)
        if wanted is Databases.ALL:
            return preflight.further
        return find_databases(connection, preflight.access, wanted)


def still_exists(database: DatabaseSettings, name: str) -> bool:
    """Whether a database of that name exists on the server of the main database; True if that is unknown."""
    try:
        with session(database) as connection:
            return exists(connection, name)
    except FluxbaseCliError:
        return True


def in_parallel(databases: Sequence[_T], work: Callable[[_T, int], _R], workers: int) -> list[_R]:
    """Work on several databases at a time, within one limit for all workers.

    Args:
        databases: the databases.
        work: works on one database, with the given number of workers.
        workers: the limit for all databases together.

    Returns:
        The result of each database, in order.
    """
    if not databases:
        return []
    at_a_time = max(1, min(len(databases), workers))
    each = max(1, workers // at_a_time)
    with ThreadPoolExecutor(at_a_time, thread_name_prefix="database") as pool:
        return list(pool.map(lambda database: work(database, each), databases))
