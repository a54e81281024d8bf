"""On a small database most of the time of a job is that of its connections, so it has few."""

from __future__ import annotations

import threading

import psycopg
import pytest

from fluxbase_cli.engine.outcome import JobReport
from tests.fixtures.command import until
from tests.fixtures.fluxbase import Fluxbase

#: A session reports itself before it is no longer seen.
_OTHERS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
    "AND backend_type = 'client backend'"
)
_SESSIONS = "SELECT sessions FROM pg_stat_database WHERE datname = current_database()"


@pytest.fixture(autouse=True)
def _as_usual(flux: Fluxbase, monkeypatch: pytest.MonkeyPatch) -> None:
    # Asked for first: that fixture changes it.
    monkeypatch.setattr("fluxbase_cli.engine.run.job_run._VALUES_A_WORKER", 2_000)


@pytest.mark.parametrize("workers", [1, 4])
def test_a_small_job_opens_few_connections(full: Fluxbase, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # On a busy machine even a small job is not done in the usual time.
    monkeypatch.setattr("fluxbase_cli.engine.run.pool._LATER_S", 60.0)
    with psycopg.connect(full.url, autocommit=True) as watching:

        def sessions() -> int:
            until(lambda: watching.execute(_OTHERS).fetchone() == (0,), "the other sessions have ended")
            (number,) = watching.execute(_SESSIONS).fetchone() or (0,)
            return int(number)

        before = sessions()
        report = full.run(workers=workers)

        assert report.state == "completed"
        # The checks, the beginning, the heartbeat, a worker and its snapshots of two passes, the account; and the
        # session that watches.
        assert sessions() - before <= 8


def test_in_a_small_job_too_a_locked_table_does_not_hold_up_the_others(full: Fluxbase) -> None:
    reports: list[JobReport] = []
    job = threading.Thread(target=lambda: reports.append(full.run(workers=2)))
    with psycopg.connect(full.url) as blocker:
        blocker.execute("SELECT FROM functions.secrets FOR UPDATE")
        job.start()
        until(lambda: full.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"), "one waits")
        until(
            lambda: full.value(
                "SELECT coalesce(bool_and(s.done), false) FROM fluxbase_rotation.shard AS s"
                " WHERE s.pass = 0 AND s.relation = 'app.settings'"
            ),
            "the settings are done",
            patience_s=20.0,
        )
        blocker.rollback()
    job.join(60.0)
    assert [report.state for report in reports] == ["completed"]
