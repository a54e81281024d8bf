"""Measure the memory that damaged values and a large document take.

    python -m tests.bench.large [--damaged 60000] [--document-mb 60]

Prints the peak resident memory of `secrets audit` and `secrets re-encrypt`, and the bytes of their JSON. This is not a
test: it asserts nothing, because the figures differ between machines.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence

import psycopg

from fluxbase_cli import seal
from fluxbase_cli.demo.server import EmbeddedServer
from fluxbase_cli.demo.tables import create_tables

_OLD, _NEW = bytes(range(1, 33)), bytes(range(101, 133))
_STRING_BYTES = 100


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--damaged", type=int, default=60_000, help="damaged values in functions.secrets")
    parser.add_argument("--document-mb", type=int, default=60, help="size of one JSON document")
    asked = parser.parse_args()
    with EmbeddedServer.start(settings={"fsync": "off"}) as server:
        fills: tuple[tuple[str, Callable[[str], None]], ...] = (
            (f"{asked.damaged} damaged values", lambda url: _damage(url, asked.damaged)),
            (f"a document of {asked.document_mb} MB", lambda url: _enlarge(url, asked.document_mb)),
        )
        for name, fill in fills:
            with psycopg.connect(server.url(), autocommit=True) as connection:
                connection.execute("DROP DATABASE IF EXISTS large")
                connection.execute("CREATE DATABASE large")
            url = server.url("large")
            with psycopg.connect(url) as connection:
                create_tables(connection)
            fill(url)
            for command in (
                ("secrets", "audit"),
                ("secrets", "re-encrypt", "--from-version=1", "--to-version=2", "--yes", "--accept-undecryptable"),
            ):
                peak_mb, printed = _run(command, url)
                print(f"{name}, {' '.join(command[:2])}: {peak_mb:.0f} MB at most, {printed:,} bytes of JSON")


def _run(command: Sequence[str], url: str) -> tuple[float, int]:
    variables = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "FLUXBASE_DATABASE_URL": url,
        "FLUXBASE_SECRET_KEY_1": _OLD.hex(),
        "FLUXBASE_SECRET_KEY_2": _NEW.hex(),
    }
    # A process of its own for each, because the peak of children is that of the largest.
    measure = (
        "import resource, subprocess, sys; "
        "done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, check=False); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, len(done.stdout))"
    )
    line = [sys.executable, "-m", "fluxbase_cli", *command, "--quiet", "--output=json"]
    done = subprocess.run(
        [sys.executable, "-c", measure, *line], env=variables, stdout=subprocess.PIPE, text=True, check=True
    )
    peak_kb, printed = done.stdout.split()
    return int(peak_kb) / 1024, int(printed)


def _damage(url: str, number: int) -> None:
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        texts = [seal.Sealer(os.urandom(32)).seal(b"x" * 24) for _ in range(100)]
        with cursor.copy("COPY functions.secrets (name, scope, encrypted_value) FROM STDIN") as copy:
            for row in range(number):
                copy.write_row((f"name{row}", "global", texts[row % 100].decode("ascii")))


def _enlarge(url: str, megabytes: int) -> None:
    filler = ["x" * _STRING_BYTES] * (megabytes * 1_000_000 // (_STRING_BYTES + 4))
    document = {"email": {"smtp_password": seal.Sealer(_OLD).seal(b"secret").decode("ascii")}, "filler": filler}
    with psycopg.connect(url) as connection:
        connection.execute(
            "INSERT INTO platform.instance_settings (settings) VALUES (%s::jsonb)", [json.dumps(document)]
        )


if __name__ == "__main__":
    main()
