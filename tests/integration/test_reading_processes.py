"""An audit that reads with several processes: the same counts, and no result when one of them is lost."""

from __future__ import annotations

import multiprocessing
import os
import select
import signal
from collections.abc import Callable, Iterator

import psycopg
import pytest

from fluxbase_cli.engine.events import BatchDone, Event, NullObserver, Observer
from fluxbase_cli.engine.outcome import AuditReport
from fluxbase_cli.engine.read import full_read
from fluxbase_cli.engine.read.audit import run_audit
from fluxbase_cli.engine.read.processes import SharedParts
from fluxbase_cli.engine.read.range_reader import Part
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.errors import DatabaseError
from tests.fixtures.fluxbase import FEW, KEYS, Fluxbase, ring_of
from tests.fixtures.programs import needs_worker_process

pytestmark = needs_worker_process

Arrange = Callable[..., None]


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every table counts as large, and each page is a part."""
    monkeypatch.setattr(full_read, "_FEW_ROWS", -1)
    monkeypatch.setattr(full_read, "_LEAST_PAGES", 1)
    monkeypatch.setattr(full_read, "processors", lambda: 2)


def audit(
    flux: Fluxbase, *, workers: int = 4, stop: Stop | None = None, observer: Observer | None = None
) -> AuditReport:
    return run_audit(
        flux.database,
        ring_of(KEYS),
        key_version=None,
        limits=FEW,
        workers=workers,
        stop=stop or Stop(),
        observer=observer or NullObserver(),
    )


@pytest.fixture
def others_begin(monkeypatch: pytest.MonkeyPatch) -> Iterator[Arrange]:
    """Let this process take no part until another one has taken one, and let each other one do something then."""
    # No lock is shared: a process that ends at once would never give it back, if another thread of it had it then.
    waiting, begun = os.pipe()
    first, take = os.getpid(), SharedParts.take

    def arrange(then: Callable[[], object] = lambda: None) -> None:
        def taken(parts: SharedParts) -> Part | None:
            if os.getpid() == first:
                ready, _, _ = select.select([waiting], [], [], 20)
                assert ready
                return take(parts)
            part = take(parts)
            os.write(begun, b".")
            if part is not None:
                then()
            return part

        monkeypatch.setattr(SharedParts, "take", taken)

    yield arrange
    os.close(waiting)
    os.close(begun)


@pytest.mark.parametrize(("number", "workers"), [(1, 1), (1, 4), (2, 2), (2, 5), (4, 4)])
def test_any_number_of_processes_counts_the_same(
    full: Fluxbase, number: int, workers: int, monkeypatch: pytest.MonkeyPatch, others_begin: Arrange
) -> None:
    forks: list[int] = []
    fork = os.fork

    def counted() -> int:
        forks.append(1)
        return fork()

    monkeypatch.setattr(os, "fork", counted)
    with monkeypatch.context() as alone:
        alone.setattr(full_read, "_FEW_ROWS", 1_000_000)
        expected = audit(full)
    monkeypatch.setattr(full_read, "processors", lambda: number)
    if number > 1:
        others_begin()
    report = audit(full, workers=workers)
    assert report.locations == expected.locations
    assert report.quarantine == expected.quarantine
    assert report.quarantine.undecryptable == expected.quarantine.undecryptable
    assert report.unexamined == expected.unexamined
    assert len(forks) == number - 1
    assert multiprocessing.active_children() == []


def test_the_parts_of_all_processes_are_all_parts_and_none_twice(full: Fluxbase, others_begin: Arrange) -> None:
    others_begin()
    batches: list[BatchDone] = []

    class Seen:
        def notify(self, event: Event) -> None:
            if isinstance(event, BatchDone):
                batches.append(event)

    report = audit(full, observer=Seen())
    scanned = sum(counts.scanned for batch in batches for counts in batch.counts.values())
    assert scanned == report.scanned > 0


def test_a_process_that_is_killed_leaves_no_result(
    full: Fluxbase, monkeypatch: pytest.MonkeyPatch, others_begin: Arrange
) -> None:
    others_begin(lambda: os.kill(os.getpid(), signal.SIGKILL))
    monkeypatch.setattr(full_read, "processors", lambda: 3)
    with pytest.raises(DatabaseError, match=r"signal SIGKILL\), so this proves nothing") as caught:
        audit(full)
    assert "Run it again" in str(caught.value.hint)
    assert multiprocessing.active_children() == []


def test_a_process_that_leaves_in_silence_leaves_no_result(full: Fluxbase, others_begin: Arrange) -> None:
    others_begin(lambda: os._exit(0))
    with pytest.raises(DatabaseError, match=r"exit code 0\), so this proves nothing"):
        audit(full)


def test_a_part_that_nobody_has_read_leaves_no_result(full: Fluxbase, monkeypatch: pytest.MonkeyPatch) -> None:
    lost: list[Part | None] = []
    take = SharedParts.take

    def forgetful(parts: SharedParts) -> Part | None:
        if not lost:
            lost.append(take(parts))
        return take(parts)

    monkeypatch.setattr(SharedParts, "take", forgetful)
    with pytest.raises(DatabaseError, match=r"of \d+ parts were read, so this proves nothing"):
        audit(full)


@pytest.mark.parametrize("error", [psycopg.errors.DataException(), ValueError("text")], ids=["database", "fault"])
def test_an_error_in_a_further_process_is_the_error_of_the_audit(
    full: Fluxbase, error: Exception, others_begin: Arrange
) -> None:
    def fail() -> None:
        raise error

    others_begin(fail)
    with pytest.raises(DatabaseError, match=f"reading ended early: {type(error).__name__}") as caught:
        audit(full)
    assert "text" not in caught.value.message
    assert multiprocessing.active_children() == []


def test_an_error_in_this_process_ends_the_others(full: Fluxbase, monkeypatch: pytest.MonkeyPatch) -> None:
    first, take = os.getpid(), SharedParts.take

    def fails(parts: SharedParts) -> Part | None:
        if os.getpid() == first:
            raise psycopg.errors.DataException
        return take(parts)

    monkeypatch.setattr(SharedParts, "take", fails)
    with pytest.raises(DatabaseError, match="reading ended early: DataException"):
        audit(full)
    assert multiprocessing.active_children() == []


def test_a_stop_ends_all_processes(full: Fluxbase, others_begin: Arrange) -> None:
    stop = Stop()

    class Stops:
        def notify(self, event: Event) -> None:
            if isinstance(event, BatchDone):
                stop.request(signal.SIGTERM)

    others_begin()
    whole = audit(full)
    partly = audit(full, stop=stop, observer=Stops())
    assert partly.scanned < whole.scanned
    assert multiprocessing.active_children() == []


def test_a_further_process_has_no_connection_of_this_one(full: Fluxbase, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server must see the end of this process's sessions, also while another process is still there."""
    opened: list[int] = []
    fork = os.fork

    def forked() -> int:
        with psycopg.connect(full.url) as connection:
            row = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'fluxbase-cli%' "
                "AND datname = current_database()"
            ).fetchone()
        opened.append(row[0] if row else -1)
        return fork()

    monkeypatch.setattr(os, "fork", forked)
    audit(full)
    assert opened == [0]
