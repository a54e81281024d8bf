"""Measure the deep audit against the server's own filter over the same columns.

    python -m tests.bench.deep [--rows 1000000] [--rounds 5] [--workers 4] [--json FILE]

The table is in no list of locations. It has names, digests in hex, uuids, JSON documents and JSON web tokens, and ten
sealed values among them. These are measured in one run and in turns: the deep audit of the database; `SELECT count(*)`
with the filter that the audit runs on the server for each column; and for comparison one with the shortest obvious
filter. The server may use its parallel workers for the two statements. The server is an embedded one with PostgreSQL's
default settings, or that of `--database-url` (as a superuser; a database is created and dropped there).
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import secrets
import statistics
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.demo.server import EmbeddedServer
from fluxbase_cli.engine.events import NullObserver
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.keyring import Key, Keyring
from fluxbase_cli.proof.columns import search_columns
from fluxbase_cli.seal import Sealer
from fluxbase_cli.store.deep_reading import IS_TOKEN, NO_HEX, RUN
from fluxbase_cli.store.transactions import Access

_TABLE = "plugin_data"
_SEALED = 10
_COLUMNS = ("name", "digest", "document::text", "token")
_PLAIN_RUN = "[A-Za-z0-9+/]{40}"
_RING = Keyring((Key(1, os.urandom(32)), Key(2, os.urandom(32))))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=4, help="connections of the deep audit")
    parser.add_argument("--database-url", default=os.environ.get("FLUXBASE_BENCH_DATABASE_URL"))
    parser.add_argument("--json", type=Path, help="write the figures there")
    return parser.parse_args()


@contextmanager
def _database(server_url: str | None) -> Iterator[str]:
    if server_url is None:
        with EmbeddedServer.start() as server, _database(server.url()) as url:
            yield url
        return
    name = sql.Identifier(f"fluxbase_bench_{secrets.token_hex(4)}")
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
        try:
            yield urlunsplit(urlsplit(server_url)._replace(path="/" + name.as_string(connection).strip('"')))
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def _fill(url: str, rows: int) -> None:
    sealer = Sealer(_RING.key(1).secret)
    every = max(rows // _SEALED, 1)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            f"CREATE TABLE {_TABLE} (id uuid, name text, digest text, owner uuid, document jsonb, token text)".encode()
        )
        with connection.cursor() as cursor, cursor.copy(f"COPY {_TABLE} FROM STDIN".encode()) as copy:
            for number in range(rows):
                owner = str(uuid.uuid4())
                document = {"page": number, "path": "/products/list", "agent": "Mozilla/5.0 (X11; Linux)", "ok": True}
                if number % every == every // 2 and number // every < _SEALED:
                    document["note"] = f"client_secret={sealer.seal(b'a value').decode()};"
                digest = hashlib.sha256(owner.encode()).hexdigest()
                copy.write_row(
                    (str(uuid.uuid4()), f"Name {number}", digest, owner, json.dumps(document), _token(owner, number))
                )
        connection.execute(f"VACUUM ANALYZE {_TABLE}".encode())


def _token(owner: str, number: int) -> str:
    claims = {"sub": owner, "role": "authenticated"[: 5 + number % 9], "iat": 1_700_000_000 + number}
    parts = (json.dumps({"alg": "HS256", "typ": "JWT"}).encode(), json.dumps(claims).encode(), os.urandom(32))
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def _census(url: str, workers: int) -> float:
    start = time.perf_counter()
    findings = search_columns(
        DatabaseSettings.from_url(url, "the benchmark"),
        Access(),
        _RING,
        known=frozenset(),
        skip=frozenset(),
        workers=workers,
        stop=Stop(),
        observer=NullObserver(),
    )
    seconds = time.perf_counter() - start
    found = {location: tally.scanned for location, tally in findings.locations.items()}
    if found != {f"public.{_TABLE}.document": _SEALED} or findings.unexamined:
        message = f"not what was sealed: {found}, {findings.unexamined}"
        raise SystemExit(message)
    return seconds


def _count(url: str, conditions: Iterable[sql.Composable]) -> float:
    """Count for each column the values that match a condition, so that the condition runs on every row."""
    counts = sql.SQL(", ").join(sql.SQL("count(*) FILTER (WHERE {})").format(each) for each in conditions)
    statement = sql.SQL("SELECT {} FROM {} AS t").format(counts, sql.Identifier(_TABLE))
    with psycopg.connect(url, autocommit=True) as connection:
        start = time.perf_counter()
        connection.execute(statement)
        return time.perf_counter() - start


def _own_filter() -> Iterator[sql.Composed]:
    """The filter that the audit runs on the server; JSON is converted to text once, as in the audit."""
    for column in _COLUMNS:
        value = sql.SQL('({} COLLATE "C")').format(sql.SQL(column))
        run = sql.SQL("{} ~ {}").format(value, sql.Literal(RUN))
        if "document" in column:
            yield run
        else:
            yield sql.SQL("octet_length({}) >= 40 AND {} ~ {} AND NOT ({}) AND {}").format(
                value, value, sql.Literal(NO_HEX), IS_TOKEN.format(value=value), run
            )


def _plain_filter() -> Iterator[sql.Composed]:
    return (sql.SQL("{} ~ {}").format(sql.SQL(column), sql.Literal(_PLAIN_RUN)) for column in _COLUMNS)


def main() -> None:
    """Run the benchmark."""
    asked = _options()
    figures: dict[str, list[float]] = {"census": [], "filter": [], "plain filter": []}
    with _database(asked.database_url) as url:
        _fill(url, asked.rows)
        for number in range(asked.rounds):
            figures["filter"].append(_count(url, _own_filter()))
            figures["census"].append(_census(url, asked.workers))
            figures["plain filter"].append(_count(url, _plain_filter()))
            print(f"round {number + 1}: " + ", ".join(f"{name} {times[-1]:.2f} s" for name, times in figures.items()))
    ratios = [census / own for census, own in zip(figures["census"], figures["filter"], strict=True)]
    for name, values, unit in (
        ("deep audit / the server's own filter", ratios, ""),
        *((name, times, " s") for name, times in figures.items()),
    ):
        print(f"{name}: median {statistics.median(values):.2f}{unit}, {min(values):.2f} to {max(values):.2f}{unit}")
    if asked.json:
        asked.json.write_text(json.dumps({"rows": asked.rows, "ratios": ratios, "seconds": figures}, indent=2) + "\n")


if __name__ == "__main__":
    main()
