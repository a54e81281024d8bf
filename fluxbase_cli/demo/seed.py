"""Fills Fluxbase's tables with rows that hold an exact number of sealed values.

Every sealed value opens with the old or the new key, so an audit of these rows finds no undecryptable value. A database
of a stable release also gets a few plaintext values, as older releases wrote them. All names and values are invented,
and they say so if their form permits it.
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
    """Fill the tables with rows that hold exactly `count` sealed values, in one transaction and with little memory.

    Every location that the database has is filled, for any release.

    Args:
        conn: a connection to a database with empty tables (`create_tables`), as a superuser.
        count: sealed values in all locations together; `MIN_COUNT` is enough for every release.
        old_key: the 32-byte master key of most values.
        new_key: the 32-byte master key of the others.
        new_share: the part of the values that is sealed under the new key, from 0 to 1. Their number is exact. Every
            location with two or more values gets values under both keys, if there are enough.
        rng_seed: decides the ids, and which values are under the old key and which under the new one. The seals differ
            each time.

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
    """Copy rows into a table. None of our values needs escaping in the text format of COPY."""
    command = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(*table.split(".")), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with conn.cursor() as cursor, cursor.copy(command) as copy:
        while chunk := "".join(_line(row) for row in islice(rows, _COPY_CHUNK_ROWS)):
            copy.write(chunk)


def _line(row: Row) -> str:
    return "\t".join("\\N" if value is None else value for value in row) + "\n"
