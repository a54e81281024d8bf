"""Commits with an unknown result: the answer is lost, the commit comes late, or a crash undoes it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.demo.server import EmbeddedServer
from fluxbase_cli.demo.tables import create_tables
from fluxbase_cli.engine.events import BatchStep, Observer, Step
from fluxbase_cli.engine.outcome import JobReport
from fluxbase_cli.engine.run import pool
from fluxbase_cli.engine.run.catch_up import CatchUp, CatchUpStep
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.store import session_settings, shards
from fluxbase_cli.store.connection import Connection, session
from fluxbase_cli.store.jobs import JobStore
from fluxbase_cli.store.key_records import KeyEvent, KeyRecords
from fluxbase_cli.store.limits import Limits
from fluxbase_cli.store.records import Shard
from fluxbase_cli.store.schema import LOCK_CLASS
from tests.fixtures.command import until
from tests.fixtures.fluxbase import Fluxbase, Watching
from tests.fixtures.proxy import Proxy

FIVE = Limits(rows=5, bytes=1 << 20)
#: More than twice the time between two checks of the heartbeat, in seconds.
_LEASE_S = 2.5
_SOON_S = 30.0


def run_soon(flux: Fluxbase, observer: Observer, database: DatabaseSettings | None = None) -> JobReport:
    """Run a job that is interrupted if it does not end soon."""
    stop = Stop()
    timer = threading.Timer(_SOON_S, stop.request)
    timer.start()
    try:
        return flux.run(limits=FIVE, observer=observer, stop=stop, database=database)
    finally:
        timer.cancel()
        timer.join()


def alive(flux: Fluxbase) -> bool:
    """Whether the runner has its heartbeat, which stops others from taking its shards."""
    return bool(
        flux.value(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND objsubid = 2"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            LOCK_CLASS,
        )
    )


def batches(watching: Watching, step: Step) -> int:
    """How many batches of secrets reached a step."""
    return sum(
        isinstance(event, BatchStep) and (event.table, event.step) == ("functions.secrets", step)
        for event in watching.events
    )


def assert_done(report: JobReport, flux: Fluxbase, values: int) -> None:
    """Check that each value was counted once and written once."""
    assert (report.state, report.remaining) == ("completed", 0)
    counts = report.total
    assert (counts.scanned, counts.re_encrypted, counts.updated, counts.moved) == (values, values, values, 0)
    assert [each.versions for each in flux.everything().values()] == [(2,)] * values


def test_a_commit_with_a_lost_answer_is_looked_up_and_not_done_again(
    flux: Fluxbase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch is committed. A job that looks finds it. A job that does not look does the work again for nothing."""
    flux.secrets(20)
    recorded, lost = JobStore.recorded, iter(range(1))

    @contextmanager
    def recorded_and_lost(store: JobStore, shard: Shard, *arguments: Any, **options: Any) -> Iterator[None]:
        with recorded(store, shard, *arguments, **options):
            yield
        if shard.table == "functions.secrets" and next(lost, None) is not None:
            store._connection.close()
            raise psycopg.OperationalError

    monkeypatch.setattr(JobStore, "recorded", recorded_and_lost)
    watching = Watching()

    report = run_soon(flux, watching)

    assert_done(report, flux, 20)
    # Four batches and the catch-up pass. The batch with the lost answer reported no commit.
    assert (batches(watching, Step.BEGUN), batches(watching, Step.COMMITTED)) == (5, 4)


def test_a_commit_that_comes_after_its_rows_were_read_again_is_not_done_twice_and_not_waited_for(
    flux: Fluxbase, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network fails while the server still works on our COMMIT, and we reconnect before the COMMIT ends.

    When we ask, the shard is as before, so its rows are read and written again. Then the first commit ends after all.
    """
    monkeypatch.setitem(session_settings.SETTINGS, "lock_timeout", "60s")
    flux.secrets(20)

    def waiting() -> int:
        return int(
            flux.value(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND application_name = 'fluxbase-cli' AND wait_event_type = 'Lock'"
            )
        )

    with psycopg.connect(flux.url) as blocker:

        def hold_the_record() -> None:
            blocker.execute("SELECT FROM fluxbase_rotation.shard FOR UPDATE")
            meddling.start()

        def cut_and_come_back() -> None:
            until(lambda: waiting() == 1, "the record waits for us, and the COMMIT behind it")
            proxy.cut()
            proxy.mend()
            until(lambda: waiting() == 2, "the rows are written again, behind those of the first batch")
            until(lambda: alive(flux), "the heartbeat is back")
            blocker.rollback()

        meddling = threading.Thread(target=cut_and_come_back)
        watching = Watching(Step.WRITTEN, hold_the_record, table="functions.secrets")
        report = run_soon(flux, watching, DatabaseSettings.from_url(proxy.url, "the test"))
        meddling.join()

    assert watching.acted
    assert_done(report, flux, 20)


# --- a crash that takes commits back ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def forgetful_server() -> Iterator[EmbeddedServer]:
    """A server that loses asynchronous commits in a crash. It writes its WAL only on request."""
    settings = {
        "fsync": "off",
        "wal_writer_delay": "10s",
        "wal_writer_flush_after": "1GB",
        "autovacuum": "off",
        "wal_level": "minimal",
        "max_wal_senders": "0",
    }
    with EmbeddedServer.start(settings=settings) as server:
        yield server


@pytest.fixture
def forgetful(forgetful_server: EmbeddedServer, request: pytest.FixtureRequest) -> Iterator[Fluxbase]:
    """A Fluxbase database on that server. An administrator may have made all commits asynchronous."""
    with psycopg.connect(forgetful_server.url(), autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS forgetful WITH (FORCE)")
        connection.execute("CREATE DATABASE forgetful")
        default = getattr(request, "param", "on")
        connection.execute(f"ALTER DATABASE forgetful SET synchronous_commit = {default}".encode())
    flux = Fluxbase(forgetful_server.url("forgetful"))
    with psycopg.connect(flux.url) as connection:
        create_tables(connection)
    yield flux
    flux.close()


@pytest.mark.parametrize(("batch", "pass_number"), [(2, 0), (4, 0), (5, 1)])
def test_what_a_crash_undoes_is_done_again(
    forgetful: Fluxbase,
    forgetful_server: EmbeddedServer,
    monkeypatch: pytest.MonkeyPatch,
    batch: int,
    pass_number: int,
) -> None:
    """The crash hits a batch inside a shard, the last batch of a shard that counts as done, or a catch-up pass.

    A shard on which nobody works must not stay leased, even if its runner lives and renews its leases.
    """
    monkeypatch.setattr(shards, "LEASE_S", _LEASE_S)
    # As often as the heartbeat checks anyway.
    monkeypatch.setattr(pool, "_HEARTBEAT_S", 0.0)
    forgetful.secrets(20)
    open_shards: list[int] = []

    def crash() -> None:
        if batches(watching, Step.COMMITTED) == batch:
            forgetful_server.restart("immediate")
            open_shards.append(
                forgetful.value(
                    "SELECT count(*) FROM fluxbase_rotation.shard"
                    " WHERE table_name = 'functions.secrets' AND pass = %s AND NOT done",
                    pass_number,
                )
            )
            until(lambda: alive(forgetful), "the heartbeat is back")

    watching = Watching(Step.COMMITTED, crash, table="functions.secrets", times=batch)
    report = run_soon(forgetful, watching)

    # It was committed, and now it is gone.
    assert open_shards == [1]
    assert_done(report, forgetful, 20)


whatever_the_default = pytest.mark.parametrize("forgetful", ["on", "off"], indirect=True)


@whatever_the_default
def test_a_crash_does_not_undo_the_commit_that_ends_a_job(
    forgetful: Fluxbase, forgetful_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No later commit has happened yet. So only this commit can make the server write it."""
    advance, states = CatchUp.advance, list[str]()

    def advance_and_crash(catch_up: CatchUp, connection: Connection, store: JobStore) -> CatchUpStep:
        step = advance(catch_up, connection, store)
        if step is CatchUpStep.ENDED and not states:
            forgetful_server.restart("immediate")
            states.append(forgetful.value("SELECT state FROM fluxbase_rotation.job"))
        return step

    monkeypatch.setattr(CatchUp, "advance", advance_and_crash)
    forgetful.secrets(20)

    report = run_soon(forgetful, Watching())

    assert states == ["completed"]
    assert_done(report, forgetful, 20)


@whatever_the_default
def test_a_crash_does_not_undo_the_record_of_what_happened_to_a_key(
    forgetful: Fluxbase, forgetful_server: EmbeddedServer
) -> None:
    """The record is made before the key source destroys the key. So it must be there after any failure."""
    with session(forgetful.database) as connection:
        JobStore(connection).schema.ensure()
        KeyRecords(connection).add(KeyEvent.DESTROYING, 1, "0123456789abcdef")
        forgetful_server.restart("immediate")

    with session(forgetful.database) as connection:
        assert [(each.what, each.version) for each in KeyRecords(connection).all()] == [(KeyEvent.DESTROYING, 1)]


@whatever_the_default
def test_a_crash_does_not_undo_the_begin_of_a_job(forgetful: Fluxbase, forgetful_server: EmbeddedServer) -> None:
    """A key under which a job seals must not look like a key that was never in use."""
    forgetful.secrets(20)
    seen: list[object] = []

    def crash() -> None:
        forgetful_server.restart("immediate")
        seen.extend(forgetful.rows("SELECT state, to_version FROM fluxbase_rotation.job"))

    report = run_soon(forgetful, Watching(Step.READ, crash, table="functions.secrets"))

    assert seen == [("running", 2)]
    assert_done(report, forgetful, 20)
