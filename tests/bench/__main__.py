"""Measure the tool against PostgreSQL's own rewriting and reading of the same data.

    python -m tests.bench [--shape NAME]... [--rows N] [--value-bytes N] [--rounds 5] [--chart FILE] [-- options]

A shape is a table with sealed values as people have it (`tests/bench/shapes.py`). `--shape all` measures every one.
Options after `--` are options of re-encrypt.

All are measured in one run and in turns, each on a fresh copy of the same database. `secrets re-encrypt` is compared
with one UPDATE of the same columns with silent triggers, and with that UPDATE split over as many connections as there
are workers. `secrets audit` is compared with psql's COPY of the table to nowhere. At the end, it measures how long a
writer of single rows waits meanwhile. The server is an embedded one with PostgreSQL's default settings, or that of
`--database-url` (as a superuser; two databases are created and dropped there).

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
from tests.bench.shapes import SHAPES
from tests.bench.table import as_dict, as_summary, as_text


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", action="append", choices=["all", *SHAPES], help="which table; default: secrets")
    parser.add_argument("--rows", type=int, help="rows of the table; by the shape when left out")
    parser.add_argument("--value-bytes", type=int, help="bytes of each plaintext; by the shape when left out")
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
    names = asked.shape or ["secrets"]
    contests = []
    with _server(asked.database_url) as url:
        for name in SHAPES if "all" in names else names:
            shape = SHAPES[name]
            rows = asked.rows or shape.rows
            # Only some shapes have values of one size.
            value_bytes = (asked.value_bytes or shape.value_bytes) if shape.value_bytes else 0
            contest = Contest(name, rows, value_bytes, asked.rounds, asked.concurrency, tuple(options))
            with Databases.filled(url, shape, rows, value_bytes) as databases:
                contests.append(hold(contest, databases))
            print(as_text(contests[-1]) + "\n", flush=True)
    if len(contests) > 1:
        print(as_summary(contests))
    if asked.json:
        asked.json.write_text(json.dumps([as_dict(results) for results in contests], indent=2) + "\n")
    if asked.chart:
        asked.chart.write_text(draw(contests))


if __name__ == "__main__":
    main()
