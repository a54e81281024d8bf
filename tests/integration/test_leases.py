"""Runners of one job and what batches hold: leases that end, are renewed or are lost, and locks that are short."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fluxbase_cli.engine.events import BatchStep, Event, Step, Waiting
from fluxbase_cli.engine.outcome import JobReport
from fluxbase_cli.engine.run import pool
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.store import session_settings, shards
from fluxbase_cli.store.connection import connect
from fluxbase_cli.store.jobs import JobStore
from fluxbase_cli.store.limits import Limits
from tests.fixtures.command import until
from tests.fixtures.fluxbase import Fluxbase, Watching
from tests.integration.test_jobs import versions

FIVE = Limits(rows=5, bytes=1 << 20)


class Stuck:
    """A run, in a thread, that reads its first batch and then waits until the test lets it continue."""

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


def test_a_runner_without_a_heartbeat_loses_its_lease_and_its_batch_is_rolled_back(
    flux: Fluxbase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frozen machine: its session is still alive on the server, so only the lease shows it. Then it continues."""
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
    # Its batch in progress was not written a second time.
    assert flux.places() == places
    assert versions(flux) == [2] * 20


def test_a_slow_runner_with_a_heartbeat_keeps_its_lease(flux: Fluxbase, monkeypatch: pytest.MonkeyPatch) -> None:
    flux.secrets(20)
    monkeypatch.setattr(shards, "LEASE_S", 0.5)
    monkeypatch.setattr(pool, "_HEARTBEAT_S", 0.05)
    stuck = Stuck(flux)
    with stuck.at_work():
        with connect(flux.database) as connection:
            store = JobStore(connection)
            (runner,) = store.runners.of_job(1)
            begun = runner.heartbeat_at
            # Longer than the lease, by the clock of the server.
            until(
                lambda: (store.runners.of_job(1)[0].heartbeat_at - begun).total_seconds() > 1.5, "three leases are over"
            )
            store.runners.free_dead_leases(1)
            assert store.shards.lease(1, store.runners.register(1, 1)) is None
        report = stuck.let_go()
    assert (report.state, report.total.updated) == ("completed", 20)
    assert stuck.watching.steps(Step.COMMITTED) == stuck.watching.steps(Step.BEGUN)


def test_a_job_that_began_with_another_list_of_locations_is_not_joined(flux: Fluxbase) -> None:
    flux.secrets(10)
    stuck = Stuck(flux)
    with stuck.at_work():
        flux.rows("UPDATE fluxbase_rotation.job SET catalogue = 'of another version'")
        with pytest.raises(ConfigurationError, match="another list of sealed locations"):
            flux.run(join=True)


def locked_rows(flux: Fluxbase) -> int:
    """How many rows of `functions.secrets` are locked for other sessions."""
    with flux.connect() as connection, connection.transaction(force_rollback=True):
        free = connection.execute("SELECT FROM functions.secrets FOR UPDATE SKIP LOCKED").rowcount
        return int(connection.execute("SELECT count(*) FROM functions.secrets").fetchone()[0]) - free  # type: ignore[index]


class Locks:
    """An observer that counts the locked rows at each step of a batch."""

    def __init__(self, flux: Fluxbase) -> None:
        self._flux = flux
        self.seen: dict[Step, list[int]] = {step: [] for step in Step}

    def notify(self, event: Event) -> None:
        """Count the locked rows at a step."""
        if isinstance(event, BatchStep) and event.table == "functions.secrets":
            self.seen[event.step].append(locked_rows(self._flux))


def test_a_writer_waits_for_one_batch_and_not_longer(flux: Fluxbase) -> None:
    """Only the rows of one batch are locked, from our write to our commit. Between batches, no row is locked."""
    flux.secrets(23)
    locks = Locks(flux)
    flux.run(limits=FIVE, observer=locks)
    assert [number for number in locks.seen[Step.WRITTEN] if number] == [5, 5, 5, 5, 3]
    assert locks.seen[Step.RECORDED] == locks.seen[Step.WRITTEN]
    assert {*locks.seen[Step.BEGUN], *locks.seen[Step.READ], *locks.seen[Step.COMMITTED]} == {0}


def test_the_server_gives_up_soon_on_a_dead_client(flux: Fluxbase) -> None:
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


def test_an_idle_transaction_is_ended_by_the_server_and_its_batch_is_done_again(
    flux: Fluxbase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client sleeps in the middle of a batch, with locked rows. The server ends its session; writers can continue."""
    flux.secrets(10)
    assert session_settings.SETTINGS["idle_in_transaction_session_timeout"] == "60s"
    monkeypatch.setitem(session_settings.SETTINGS, "idle_in_transaction_session_timeout", "200ms")
    locked: list[int] = []

    def sleep() -> None:
        locked.append(locked_rows(flux))
        until(lambda: locked_rows(flux) == 0, "the server ends the session")

    watching = Watching(Step.WRITTEN, sleep, table="functions.secrets")
    report = flux.run(limits=FIVE, observer=watching)
    assert locked == [5]
    waits = [event.reason for event in watching.events if isinstance(event, Waiting)]
    # The message of the server is lost if it arrives while the record and the COMMIT are being sent.
    assert any("IdleInTransactionSessionTimeout" in each or "closed the connection" in each for each in waits)
    assert (report.state, report.total.updated) == ("completed", 10)
    assert versions(flux) == [2] * 10
