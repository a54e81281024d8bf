"""Measure `secrets re-encrypt` against PostgreSQL's own single-statement UPDATE of the same column.

    python tests/bench/bench_reencrypt.py [--rows 1000000] [--rounds 5] [-- options of re-encrypt …]

On an embedded server with PostgreSQL's default settings, in turns and each on a fresh copy of the same database. Prints
the wall times, their ratio, the client's peak memory, the share of HOT updates and the table's size. Not a test:
nothing is asserted, since another machine has other figures.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
import uuid

import psycopg
from psycopg import sql

from fluxbase_cli.demo.seed import create_tables
from fluxbase_cli.demo.server import EmbeddedServer
from fluxbase_cli.seal import Sealer

_OLD, _NEW = os.urandom(32).hex(), os.urandom(32).hex()


def _make_source(server: EmbeddedServer, rows: int) -> None:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE source")
    sealer = Sealer(bytes.fromhex(_OLD))
    with psycopg.connect(server.url("source"), autocommit=True) as connection:
        create_tables(connection)
        copy_in = "COPY functions.secrets (id, name, encrypted_value) FROM STDIN"
        with connection.cursor() as cursor, cursor.copy(copy_in) as copy:
            for number in range(rows):
                copy.write_row((uuid.uuid4(), f"SECRET_{number}", sealer.seal(os.urandom(40)).decode()))
        connection.execute("VACUUM ANALYZE functions.secrets")


def _fresh_copy(server: EmbeddedServer) -> str:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS copy WITH (FORCE)")
        connection.execute("CREATE DATABASE copy TEMPLATE source STRATEGY file_copy")
        connection.execute("CHECKPOINT")
    return server.url("copy")


def _update(url: str) -> float:
    with psycopg.connect(url, autocommit=True) as connection:
        start = time.perf_counter()
        connection.execute("UPDATE functions.secrets SET encrypted_value = reverse(encrypted_value)")
        return time.perf_counter() - start


def _re_encrypt(url: str, options: list[str]) -> tuple[float, float]:
    """Run the command; return its seconds and its peak memory in MB."""
    environment = os.environ | {
        "FLUXBASE_DATABASE_URL": url,
        "FLUXBASE_SECRET_KEY_1": _OLD,
        "FLUXBASE_SECRET_KEY_2": _NEW,
    }
    start = time.perf_counter()
    command = [sys.executable, "-m", "fluxbase_cli", "secrets", "re-encrypt", "--from-version", "1"]
    process = subprocess.Popen(
        [*command, "--to-version", "2", "-q", "-o", "json", *options], env=environment, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(process.returncode)
    # Kilobytes, except on macOS, where it is bytes.
    return time.perf_counter() - start, usage.ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)


def _shape(url: str) -> str:
    # Statistics of ended sessions arrive a moment later.
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_stat_force_next_flush()")
        row = connection.execute(
            sql.SQL(
                "SELECT round(100.0 * n_tup_hot_upd / greatest(n_tup_upd, 1)), "
                "pg_size_pretty(pg_table_size(relid)) FROM pg_stat_user_tables "
                "WHERE schemaname = 'functions' AND relname = 'secrets'"
            )
        ).fetchone()
    return f"{row[0]}% HOT, table {row[1]}" if row else ""


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("options", nargs="*", help="options of re-encrypt, after --")
    arguments = parser.parse_args()
    ratios, peaks = [], []
    with EmbeddedServer.start() as server:
        _make_source(server, arguments.rows)
        for _ in range(arguments.rounds):
            update = _update(_fresh_copy(server))
            url = _fresh_copy(server)
            ours, peak = _re_encrypt(url, arguments.options)
            peaks.append(peak)
            ratios.append(ours / update)
            print(f"UPDATE {update:6.2f} s   re-encrypt {ours:6.2f} s   ratio {ours / update:.2f}   {_shape(url)}")
    print(f"median ratio {statistics.median(ratios):.2f}, spread {min(ratios):.2f} to {max(ratios):.2f}")
    print(f"peak memory of re-encrypt {max(peaks):.0f} MB")


if __name__ == "__main__":
    main()
