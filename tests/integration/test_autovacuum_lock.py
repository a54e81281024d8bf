"""A lock keeps autovacuum off large tables while a job writes. It blocks nobody else and keeps no snapshot."""

from __future__ import annotations

import threading

import psycopg
import pytest

from fluxbase_cli.engine.events import Step
from fluxbase_cli.engine.run import context as run_context
from fluxbase_cli.engine.throttle.autovacuum_lock import AutovacuumLock
from fluxbase_cli.store.connection import connect
from fluxbase_cli.store.preflight import inspect
from fluxbase_cli.store.transactions import Access
from tests.fixtures.command import until
from tests.fixtures.fluxbase import Fluxbase, Watching

_HOLDERS = (
    "SELECT count(*) FROM pg_locks WHERE relation = 'functions.secrets'::regclass AND granted"
    " AND mode = 'ShareUpdateExclusiveLock'"
)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def try_lock_relation(flux: Fluxbase, clock: Clock) -> AutovacuumLock:
    flux.secrets(3)
    with connect(flux.database) as connection:
        relations = inspect(connection, write=False).relations
    return AutovacuumLock(
        flux.database,
        Access(),
        [relation for relation in relations if relation.qualified == "functions.secrets"],
        clock,
    )


def test_a_session_that_waits_for_the_table_gets_it_at_the_next_check_and_keeps_it(
    flux: Fluxbase, try_lock_relation: AutovacuumLock
) -> None:
    try_lock_relation.look(wanted=True)
    assert flux.value(_HOLDERS) == 1
    vacuum = threading.Thread(target=flux.rows, args=("VACUUM functions.secrets",))
    vacuum.start()
    until(lambda: flux.value("SELECT count(*) FROM pg_locks WHERE NOT granted"), "VACUUM waits")
    try_lock_relation.look(wanted=True)
    vacuum.join(20)
    assert not vacuum.is_alive()
    try_lock_relation.look(wanted=True)
    assert flux.value(_HOLDERS) == 0
    try_lock_relation.close()


def test_writers_continue_and_no_snapshot_is_kept(flux: Fluxbase, try_lock_relation: AutovacuumLock) -> None:
    # After some executions the driver prepares a statement, and its portal would keep the snapshot. So do it more often
    # than that.
    for _ in range(12):
        try_lock_relation.look(wanted=True)
    with psycopg.connect(flux.url) as writer:
        writer.execute("SET lock_timeout = '2s'")
        writer.execute("UPDATE functions.secrets SET description = 'meanwhile'")
    holder = "SELECT backend_xmin::text FROM pg_stat_activity WHERE pid = (SELECT pid FROM pg_locks"
    holder += " WHERE relation = 'functions.secrets'::regclass AND mode = 'ShareUpdateExclusiveLock')"
    assert flux.rows(holder) == [(None,)]
    try_lock_relation.close()
    until(lambda: flux.value(_HOLDERS) == 0, "the lock is released")


def test_the_lock_is_released_while_the_job_waits_and_after_ten_minutes(
    flux: Fluxbase, try_lock_relation: AutovacuumLock, clock: Clock
) -> None:
    def held(*, wanted: bool) -> bool:
        try_lock_relation.look(wanted=wanted)
        return bool(flux.value(_HOLDERS))

    assert held(wanted=True)
    try_lock_relation.look(wanted=False)
    until(lambda: flux.value(_HOLDERS) == 0, "the lock is released")
    assert held(wanted=True)
    clock.now = 601
    try_lock_relation.look(wanted=True)
    until(lambda: flux.value(_HOLDERS) == 0, "the lock is released")
    assert not held(wanted=True)
    try_lock_relation.close()


def test_a_table_under_a_manual_vacuum_is_left_alone_until_the_vacuum_ends(
    flux: Fluxbase, try_lock_relation: AutovacuumLock
) -> None:
    with psycopg.connect(flux.url) as other:
        other.execute("LOCK TABLE functions.secrets IN SHARE UPDATE EXCLUSIVE MODE")
        try_lock_relation.look(wanted=True)
        assert flux.value(_HOLDERS) == 1
        assert flux.value("SELECT count(*) FROM pg_locks WHERE NOT granted") == 0
    try_lock_relation.look(wanted=True)
    assert flux.value(_HOLDERS) == 1
    try_lock_relation.close()


def test_a_job_holds_the_lock_on_its_large_tables_only_while_it_runs(
    flux: Fluxbase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_context, "LARGE_ROWS", 20)
    flux.secrets(20)
    held: list[int] = []
    observer = Watching(Step.COMMITTED, lambda: held.append(flux.value(_HOLDERS)), table="functions.secrets")
    assert flux.run(observer=observer).state == "completed"
    assert held == [1]
    until(lambda: flux.value(_HOLDERS) == 0, "the lock is released")
