"""Tables with large values are vacuumed while a job rewrites them, so that the disk does not fill up."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from fluxbase_cli.engine.events import Event, Message
from fluxbase_cli.engine.outcome import JobReport
from fluxbase_cli.engine.run import toast_vacuum
from fluxbase_cli.log_events import LogEvent
from fluxbase_cli.seal import Sealer
from fluxbase_cli.store.limits import Limits
from tests.fixtures.fluxbase import KEYS, Fluxbase, Role

_ROWS = 600
#: As many batches as a VACUUM after each tenth of the rows needs, and slow enough that each VACUUM keeps up.
_BATCHES = Limits(rows=15, bytes=1 << 20)
_RATE = 300.0
_VACUUMS = "SELECT vacuum_count FROM pg_stat_all_tables WHERE relid = 'functions.secrets'::regclass"
_SIZE = "SELECT pg_total_relation_size('functions.secrets')"


class _Seen:
    """Keeps messages by their event."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def notify(self, event: Event) -> None:
        """Keep it."""
        if isinstance(event, Message):
            self.messages.append(event)

    def texts(self, event: LogEvent) -> list[str]:
        """The messages of one kind."""
        return [message.message for message in self.messages if message.event is event]


@pytest.fixture
def large(flux: Fluxbase, monkeypatch: pytest.MonkeyPatch) -> Fluxbase:
    """A database with values of 4 KiB, and a small limit for what is large."""
    monkeypatch.setattr(toast_vacuum, "LEAST_BYTES", 1 << 20)
    sealer = Sealer(KEYS[1])
    with psycopg.connect(flux.url, autocommit=True) as connection, connection.cursor() as cursor:
        rows = [(f"L{number}", sealer.seal(os.urandom(4096)).decode()) for number in range(_ROWS)]
        cursor.executemany(b"INSERT INTO functions.secrets (name, encrypted_value) VALUES (%s, %s)", rows)
        connection.execute("VACUUM ANALYZE functions.secrets")
    return flux


def _run(flux: Fluxbase, **options: Any) -> JobReport:
    defaults: dict[str, Any] = {"limits": _BATCHES, "workers": 2, "max_rate_per_s": _RATE, "batch_s": None}
    return flux.run(**(defaults | options))


def _growth(flux: Fluxbase, action: Callable[[], object]) -> float:
    """What the action makes of the table's size."""
    before = flux.value(_SIZE)
    action()
    return float(flux.value(_SIZE) / before)


def test_large_values_let_a_table_grow_by_less_than_a_third(large: Fluxbase) -> None:
    seen = _Seen()
    reports: list[JobReport] = []

    growth = _growth(large, lambda: reports.append(_run(large, observer=seen)))

    assert growth <= 1.3
    assert (reports[0].state, reports[0].handled) == ("completed", _ROWS)
    assert seen.texts(LogEvent.VACUUM_BEGUN) == ["vacuuming functions.secrets from time to time, so that it grows less"]
    assert not seen.texts(LogEvent.VACUUM_USELESS)


def test_small_tables_are_left_alone(large: Fluxbase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toast_vacuum, "LEAST_BYTES", 1 << 30)
    before = large.value(_VACUUMS)

    assert _run(large, max_rate_per_s=None).state == "completed"

    assert large.value(_VACUUMS) == before


def test_an_old_snapshot_makes_the_table_grow_which_is_said_and_nothing_is_vacuumed(large: Fluxbase) -> None:
    seen = _Seen()
    before = large.value(_VACUUMS)
    reports: list[JobReport] = []
    with psycopg.connect(large.url) as other:
        other.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        other.execute("SELECT count(*) FROM functions.secrets")

        growth = _growth(large, lambda: reports.append(_run(large, observer=seen)))

    assert growth > 1.5
    assert reports[0].state == "completed"
    assert seen.texts(LogEvent.VACUUM_USELESS) == [
        "functions.secrets grows: an old transaction, a standby or a replication slot still needs what was in it before"
    ]
    assert [candidate.table for candidate in reports[0].vacuum_candidates] == ["functions.secrets"]
    assert large.value(_VACUUMS) == before


def test_a_role_that_may_not_vacuum_does_the_job_as_before(large: Fluxbase, role: Role) -> None:
    large.rows(f"ALTER ROLE {role.name} BYPASSRLS")
    large.rows(f"GRANT CREATE ON DATABASE {large.value('SELECT current_database()')} TO {role.name}")
    large.rows(f"GRANT SET ON PARAMETER session_replication_role TO {role.name}")
    schemas = "app, auth, branching, functions, platform"
    large.rows(f"GRANT USAGE ON SCHEMA {schemas} TO {role.name}")
    large.rows(f"GRANT ALL ON ALL TABLES IN SCHEMA {schemas} TO {role.name}")
    if int(large.value("SHOW server_version_num")) >= 170000:
        large.rows(f"REVOKE MAINTAIN ON ALL TABLES IN SCHEMA {schemas} FROM {role.name}")
    seen = _Seen()

    report = _run(large, database=role.database, observer=seen, max_rate_per_s=None)

    assert report.state == "completed"
    assert not [message for message in seen.messages if message.event.value.startswith("vacuum")]
    assert [candidate.table for candidate in report.vacuum_candidates] == ["functions.secrets"]


@pytest.mark.parametrize("how", ["cancelled", "killed"])
def test_a_vacuum_that_ends_early_costs_the_job_nothing(
    large: Fluxbase, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Others wait for the table, so that it is cancelled; or its session is ended from outside."""
    run: list[int] = []

    def slow(connection: psycopg.Connection[Any], _relation: object) -> None:
        run.append(connection.info.backend_pid)
        connection.execute("BEGIN; LOCK TABLE functions.secrets IN SHARE UPDATE EXCLUSIVE MODE")
        try:
            connection.execute("SELECT pg_sleep(60)")
        finally:
            if not connection.closed:
                connection.execute("ROLLBACK")

    monkeypatch.setattr(toast_vacuum, "vacuum_in_a_job", slow)
    reports: list[JobReport] = []
    job = threading.Thread(target=lambda: reports.append(_run(large)))
    job.start()
    _until(lambda: bool(run))
    began = time.monotonic()
    if how == "cancelled":
        large.rows("ALTER TABLE functions.secrets ALTER COLUMN name SET STATISTICS 50")
    else:
        large.rows(f"SELECT pg_terminate_backend({run[0]})")
    assert time.monotonic() - began < 10
    job.join(60)

    assert not job.is_alive()
    assert [report.state for report in reports] == ["completed"]
    assert (
        large.value("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND state = 'active'") <= 1
    )


def test_a_table_that_somebody_has_locked_is_skipped(large: Fluxbase) -> None:
    before = large.value(_VACUUMS)
    with psycopg.connect(large.url) as other:
        other.execute("LOCK TABLE functions.secrets IN SHARE UPDATE EXCLUSIVE MODE")
        report = _run(large, max_rate_per_s=None)

    assert report.state == "completed"
    assert large.value(_VACUUMS) == before


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.05)
