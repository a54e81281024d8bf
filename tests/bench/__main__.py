"""Measure the tool against PostgreSQL's own rewriting and reading of the same data.

    python -m tests.bench [--rows 1000000] [--value-bytes 40] [--rounds 5] [--chart FILE] [-- options of re-encrypt]

All are measured in one run and in turns, each on a fresh copy of the same database. `secrets re-encrypt` is compared
with one UPDATE of the same column, and with that UPDATE split over as many connections as there are workers. `secrets
audit` is compared with psql's COPY of the table to nowhere. At the end, it measures how long a writer of single rows
waits meanwhile. The server is an embedded one with PostgreSQL's default settings, or that of `--database-url` (as a
superuser; two databases are created and dropped there).

This is not a test: it asserts nothing, because the figures differ between machines.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fluxbase_cli.demo.server import EmbeddedServer
from tests.bench.chart import draw
from tests.bench.contest import Contest, hold
from tests.bench.databases import Databases
from tests.bench.table import as_dict, as_text


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of functions.secrets")
    parser.add_argument("--value-bytes", type=int, default=40, help="bytes of each plaintext")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--concurrency", type=int, default=4, help="workers, and connections of the split UPDATE")
    parser.add_argument("--batch-size", type=int, help="rows a batch; the tool's default when left out")
    parser.add_argument("--database-url", default=os.environ.get("FLUXBASE_BENCH_DATABASE_URL"))
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--chart", type=Path, help="draw the ratios there, as SVG")
    parser.add_argument("options", nargs="*", help="further options of re-encrypt, after --")
    return parser.parse_args()


@contextmanager
def _server(url: str | None) -> Iterator[str]:
    if url:
        yield url
        return
    with EmbeddedServer.start() as server:
        yield server.url()


def main() -> None:
    """Run the benchmark."""
    asked = _options()
    options = list(asked.options)
    if asked.batch_size:
        options += ["--batch-size", str(asked.batch_size)]
    contest = Contest(asked.rows, asked.value_bytes, asked.rounds, asked.concurrency, tuple(options))
    with _server(asked.database_url) as url, Databases.filled(url, asked.rows, asked.value_bytes) as databases:
        results = hold(contest, databases)
    print(as_text(results))
    if asked.json:
        asked.json.write_text(json.dumps(as_dict(results), indent=2) + "\n")
    if asked.chart:
        asked.chart.write_text(draw(results))


if __name__ == "__main__":
    main()
