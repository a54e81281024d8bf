"""Rows for Fluxbase's tables with an exact number of sealed values.

Every sealed value can be opened, with the old key or the new one, so that an audit of what was seeded comes out clean.
A database of a stable release gets a few plaintext values too, as older releases left them. All names and values are
made up, and say so where their form lets them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from operator import itemgetter
from typing import Any

from psycopg import Connection, sql

from fluxbase_cli.demo.rows import Row, Rows
from fluxbase_cli.demo.shares import MIN_COUNT, SeededLocation, SeedReport, share_out

__all__ = ["MIN_COUNT", "SeedReport", "SeededLocation", "seed"]

_COPY_CHUNK_ROWS = 1_000


def seed(  # noqa: PLR0913
    conn: Connection[Any], *, count: int, old_key: bytes, new_key: bytes, new_share: float = 0.15, rng_seed: int
) -> SeedReport:
    """Fill the tables with rows that hold exactly `count` sealed values, in one transaction and in flat memory.

    Every location that the database has is filled, whatever release made it.

    Args:
        conn: a connection to a database with empty tables (`create_tables`), as a superuser.
        count: sealed values in all locations together; `MIN_COUNT` is enough for every release.
        old_key: the 32-byte master key of most values.
        new_key: the 32-byte master key of the others.
        new_share: the part of the values that is sealed under the new key, from 0 to 1. Their number is exact, and
            every location with two values or more gets both kinds if there are enough of both.
        rng_seed: decides the ids, and which values are old and which new; the seals themselves are never the same.

    Raises:
        ValueError: `count` is too small.
    """
    with conn.transaction():
        present = {f"{table}.{column}" for table, column in conn.execute(_COLUMNS)}
        report = share_out(present, count=count, new_share=new_share)
        filled = []
        for table, columns, rows in Rows(report, old_key=old_key, new_key=new_key, rng_seed=rng_seed).tables():
            kept = [number for number, column in enumerate(columns) if f"{table}.{column}" in present]
            if kept:
                some = rows if len(kept) == len(columns) else map(itemgetter(*kept), rows)
                _copy(conn, table, [columns[number] for number in kept], some)
                filled.append(table)
        for table in filled:
            conn.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(*table.split("."))))
    return report


_COLUMNS = """
SELECT n.nspname || '.' || c.relname, a.attname
FROM pg_attribute AS a
JOIN pg_class AS c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p')
JOIN pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname !~ '^pg_|^information_schema$'
WHERE a.attnum > 0 AND NOT a.attisdropped
"""


def _copy(conn: Connection[Any], table: str, columns: Iterable[str], rows: Iterator[Row]) -> None:
    """Stream rows into a table. None of the values that we make needs escaping in COPY's text format."""
    command = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(*table.split(".")), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with conn.cursor() as cursor, cursor.copy(command) as copy:
        while chunk := "".join(_line(row) for row in islice(rows, _COPY_CHUNK_ROWS)):
            copy.write(chunk)


def _line(row: Row) -> str:
    return "\t".join("\\N" if value is None else value for value in row) + "\n"
