"""The application: a writer of single rows that writes while something large runs, and measures its times."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from tests.bench.shapes import Shape

_PAUSE_S = 0.005
_KNOWN_ROWS = 2_000


@dataclass(slots=True)
class Waits:
    """How long each write took, in milliseconds; sorted once the writer has ended."""

    ms: list[float] = field(default_factory=list)

    def quantile(self, share: float) -> float:
        """The time within which this share of the writes ended."""
        return self.ms[min(int(share * len(self.ms)), len(self.ms) - 1)] if self.ms else 0.0


@contextmanager
def writing(url: str, shape: Shape) -> Iterator[Waits]:
    """Write single rows, chosen at random (ids are random, so their pages are too), until the block ends."""
    waits, ended = Waits(), threading.Event()

    def write() -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SET session_replication_role = replica")
            known = sql.SQL("SELECT id FROM {} ORDER BY id LIMIT %s").format(shape.name)
            touch = sql.SQL("UPDATE {} SET updated_at = now() WHERE id = %s").format(shape.name)
            ids = connection.execute(known, [_KNOWN_ROWS]).fetchall()
            while not ended.wait(_PAUSE_S):
                start = time.perf_counter()
                connection.execute(touch, random.choice(ids))  # noqa: S311  # no secret
                waits.ms.append(1000 * (time.perf_counter() - start))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield waits
    finally:
        ended.set()
        thread.join()
        waits.ms.sort()
