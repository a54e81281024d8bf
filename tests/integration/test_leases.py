"""Runners of one job, and what batches hold: leases that end, that are renewed, that are lost; locks that are short."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fluxbase_cli.engine.events import BatchStep, Event, Step, Waiting
from fluxbase_cli.engine.outcome import JobReport
from fluxbase_cli.engine.run import pool
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.store import connection as store_connect
from fluxbase_cli.store import shards
from fluxbase_cli.store.connection import connect
from fluxbase_cli.store.jobs import JobStore
from fluxbase_cli.store.limits import Limits
from tests.fixtures.command import until
from tests.fixtures.fluxbase import Fluxbase, Watching
from tests.integration.test_jobs import versions

FIVE = Limits(rows=5, bytes=1 << 20)


class Stuck:
    """A run, in a thread, that comes to its first batch's reading and gets no further until it is let go."""

    def __init__(self, flux: Fluxbase) -> None:
        self.there, self._go_on = threading.Event(), threading.Event()
        self.reports: list[JobReport] = []
        self.watching = Watching(Step.READ, self._wait)
        self._thread = threading.Thread(
            target=lambda: self.reports.append(flux.run(limits=FIVE, observer=self.watching))
        )

    def _wait(self) -> None:
        self.there.set()
        assert self._go_on.wait(60)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        self._thread.start()
        assert self.there.wait(60)
        try:
            yield
        finally:
            self._go_on.set()
            self._thread.join()

    def let_go(self) -> JobReport:
        self._go_on.set()
        self._thread.join()
        return self.reports[0]


def test_a_runner_that_is_not_heard_of_is_robbed_when_its_lease_ends_and_its_batch_is_rolled_back(
    flux: Fluxbase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frozen machine: its session lives on at the server, so that only the lease tells. Then it thaws."""
    flux.secrets(20)
    monkeypatch.setattr(shards, "LEASE_S", 0.5)
    monkeypatch.setattr(pool, "_HEARTBEAT_S", 3600.0)
    stuck = Stuck(flux)
    with stuck.at_work():
        other = flux.run(limits=FIVE, join=True)
        assert (other.state, other.total.updated) == ("completed", 20)
        places = flux.places()
        thawed = stuck.let_go()
    assert (thawed.state, thawed.total) == ("completed", other.total)
    # What it had in hand was not written a second time.
    assert flux.places() == places
    assert versions(flux) == [2] * 20


def test_a_slow_runner_that_is_heard_of_is_not_robbed(flux: Fluxbase, monkeypatch: pytest.MonkeyPatch) -> None:
    flux.secrets(20)
    monkeypatch.setattr(shards, "LEASE_S", 0.5)
    monkeypatch.setattr(pool, "_HEARTBEAT_S", 0.05)
    stuck = Stuck(flux)
    with stuck.at_work():
        with connect(flux.database) as connection:
            store = JobStore(connection)
            (runner,) = store.runners.of_job(1)
            begun = runner.heartbeat_at
            # Longer than the lease, by the server's clock.
            until(
                lambda: (store.runners.of_job(1)[0].heartbeat_at - begun).total_seconds() > 1.5, "three leases are over"
            )
            store.runners.free_dead_leases(1)
            assert store.shards.lease(1, store.runners.register(1, 1)) is None
        report = stuck.let_go()
    assert (report.state, report.total.updated) == ("completed", 20)
    assert stuck.watching.steps(Step.COMMITTED) == stuck.watching.steps(Step.BEGUN)


def test_a_job_begun_with_another_list_of_locations_is_not_joined(flux: Fluxbase) -> None:
    flux.secrets(10)
    stuck = Stuck(flux)
    with stuck.at_work():
        flux.rows("UPDATE fluxbase_rotation.job SET catalogue = 'of another version'")
        with pytest.raises(ConfigurationError, match="another list of sealed locations"):
            flux.run(join=True)


def locked_rows(flux: Fluxbase) -> int:
    """How many rows of `functions.secrets` somebody else has to wait for."""
    with flux.connect() as connection, connection.transaction(force_rollback=True):
        free = connection.execute("SELECT FROM functions.secrets FOR UPDATE SKIP LOCKED").rowcount
        return int(connection.execute("SELECT count(*) FROM functions.secrets").fetchone()[0]) - free  # type: ignore[index]


class Locks:
    """A listener that counts the locked rows at each step of a batch."""

    def __init__(self, flux: Fluxbase) -> None:
        self._flux = flux
        self.seen: dict[Step, list[int]] = {step: [] for step in Step}

    def notify(self, event: Event) -> None:
        """Count at a step."""
        if isinstance(event, BatchStep) and event.table == "functions.secrets":
            self.seen[event.step].append(locked_rows(self._flux))


def test_a_writer_waits_for_one_batch_and_no_longer(flux: Fluxbase) -> None:
    """Rows are locked from our write to our commit, those of one batch and no others; between batches none is."""
    flux.secrets(23)
    locks = Locks(flux)
    flux.run(limits=FIVE, observer=locks)
    assert [number for number in locks.seen[Step.WRITTEN] if number] == [5, 5, 5, 5, 3]
    assert locks.seen[Step.RECORDED] == locks.seen[Step.WRITTEN]
    assert {*locks.seen[Step.BEGUN], *locks.seen[Step.READ], *locks.seen[Step.COMMITTED]} == {0}


def test_the_server_is_told_to_give_up_on_a_dead_client_soon(flux: Fluxbase) -> None:
    wanted = {
        "lock_timeout": "3s",
        "idle_in_transaction_session_timeout": "1min",
        "tcp_keepalives_idle": "10",
        "tcp_keepalives_interval": "5",
        "tcp_keepalives_count": "3",
    }
    with connect(flux.database) as connection:
        told = {name: connection.execute(f"SHOW {name}".encode()).fetchone() for name in wanted}
        ours = connection.info.get_parameters()
    assert told == {name: (value,) for name, value in wanted.items()}
    assert (ours["keepalives_idle"], ours["tcp_user_timeout"], ours["connect_timeout"]) == ("10", "30000", "10")


def test_a_transaction_that_its_client_forgot_is_ended_and_the_batch_is_done_again(
    flux: Fluxbase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that sleeps in the middle of a batch, rows locked: the server ends its session, and writers are free."""
    flux.secrets(10)
    assert "idle_in_transaction_session_timeout = '60s'" in store_connect._SESSION
    monkeypatch.setattr(store_connect, "_SESSION", store_connect._SESSION.replace("'60s'", "'200ms'"))
    locked: list[int] = []

    def sleep() -> None:
        locked.append(locked_rows(flux))
        until(lambda: locked_rows(flux) == 0, "the server ends the session")

    watching = Watching(Step.WRITTEN, sleep, table="functions.secrets")
    report = flux.run(limits=FIVE, observer=watching)
    assert locked == [5]
    waits = [event.reason for event in watching.events if isinstance(event, Waiting)]
    # The server's own words are lost where they arrive while the record and the COMMIT are on their way.
    assert any("IdleInTransactionSessionTimeout" in each or "closed the connection" in each for each in waits)
    assert (report.state, report.total.updated) == ("completed", 10)
    assert versions(flux) == [2] * 10
