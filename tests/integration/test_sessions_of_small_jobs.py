"""On a small database most of the time of a job is that of its connections, so it has few."""

from __future__ import annotations

import psycopg

from tests.fixtures.command import until
from tests.fixtures.fluxbase import Fluxbase

#: A session reports itself before it is no longer seen.
_OTHERS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
    "AND backend_type = 'client backend'"
)
_SESSIONS = "SELECT sessions FROM pg_stat_database WHERE datname = current_database()"


def test_a_small_job_opens_few_connections(full: Fluxbase) -> None:
    with psycopg.connect(full.url, autocommit=True) as watching:

        def sessions() -> int:
            until(lambda: watching.execute(_OTHERS).fetchone() == (0,), "the other sessions have ended")
            (number,) = watching.execute(_SESSIONS).fetchone() or (0,)
            return int(number)

        before = sessions()
        report = full.run(workers=1)

        assert report.state == "completed"
        # The checks, the beginning, the heartbeat, a worker and its snapshots of two passes, the account; and the
        # session that watches.
        assert sessions() - before <= 8
