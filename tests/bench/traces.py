"""What a contestant leaves behind on the server: WAL, HOT updates and a larger table."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.bench.shapes import Shape

_STATE = """
SELECT (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint, pg_table_size(relid), pg_indexes_size(relid),
       n_tup_upd, n_tup_hot_upd
FROM pg_stat_user_tables WHERE schemaname = %s AND relname = %s
"""

_OTHERS = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
#: How long a process may take to end, in seconds.
_END_S = 0.2


@dataclass(slots=True)
class Traces:
    """The changes that it caused.

    Attributes:
        wal_mb: WAL written, in MB of 10^6 bytes.
        server_cpu_s: processor time of the sessions that have ended meanwhile; 0 for a server on another machine.
        hot_percent: the share of updates that found room on their page.
        table_growth_percent, index_growth_percent: how much larger the table (with TOAST) and its indexes are.
    """

    wal_mb: float = 0.0
    server_cpu_s: float = 0.0
    hot_percent: float = 0.0
    table_growth_percent: float = 0.0
    index_growth_percent: float = 0.0


@contextmanager
def traced(url: str, shape: Shape) -> Iterator[Traces]:
    """Measure before and after the block; the figures are there after the block."""
    traces = Traces()
    before = _state(url, shape)
    cpu_s = _ended_sessions_cpu_s(url)
    yield traces
    traces.server_cpu_s = _ended_sessions_cpu_s(url) - cpu_s
    after = _state(url, shape)
    wal, table, indexes, updates, hot = (new - old for new, old in zip(after, before, strict=True))
    traces.wal_mb = wal / 1e6
    traces.hot_percent = 100 * hot / max(updates, 1)
    traces.table_growth_percent = 100 * table / before[1]
    traces.index_growth_percent = 100 * indexes / before[2]


def _state(url: str, shape: Shape) -> tuple[int, ...]:
    with psycopg.connect(url, autocommit=True) as connection:
        # Statistics of ended sessions arrive a moment later.
        connection.execute("SELECT pg_stat_force_next_flush()")
        return connection.execute(_STATE, [shape.schema, shape.table]).fetchone() or (0, 1, 1, 0, 0)


def _ended_sessions_cpu_s(url: str) -> float:
    """The processor time of the processes of this server that have ended: those of its sessions (Linux' proc(5))."""
    with psycopg.connect(url, autocommit=True) as connection:
        while connection.execute(_OTHERS).fetchone() != (0,):
            time.sleep(_END_S)
        row = connection.execute("SHOW data_directory").fetchone()
    # A session is not listed any more a moment before its process has ended.
    time.sleep(_END_S)
    try:
        server = Path(str(row and row[0]), "postmaster.pid").read_text().split()[0]
        # The fields after the name, of which the first is the state.
        fields = Path(f"/proc/{server}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[13:15])) / os.sysconf("SC_CLK_TCK")
