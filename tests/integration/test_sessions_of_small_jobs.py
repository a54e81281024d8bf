"""On a small database most of the time of a job is that of its connections, so it has few."""

from __future__ import annotations

import time

from tests.fixtures.fluxbase import Fluxbase

_SESSIONS = "SELECT sessions FROM pg_stat_database WHERE datname = current_database()"


def _sessions(fluxbase: Fluxbase) -> int:
    # A session reports when it ends.
    time.sleep(0.1)
    return int(fluxbase.value(_SESSIONS))


def test_a_small_job_opens_few_connections(full: Fluxbase) -> None:
    looking = _sessions(full)
    looking = _sessions(full) - looking
    before = _sessions(full)

    report = full.run(workers=1)

    assert report.state == "completed"
    # The checks, the beginning, the heartbeat, a worker and its snapshots, the account.
    assert _sessions(full) - before - looking <= 8
