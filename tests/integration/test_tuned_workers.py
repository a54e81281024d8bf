"""`secrets tune --concurrency`: a running job takes up the new number of workers, in total."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from fluxbase_cli.engine.events import Event, Message, NullObserver, Observer
from fluxbase_cli.engine.observe import control
from fluxbase_cli.engine.outcome import JobReport
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.store.free_connections import FreeConnections
from fluxbase_cli.store.records import Tuning
from tests.fixtures.fluxbase import Fluxbase

#: As many values a second as make a job wait for a new setting, and as few rows a batch.
_SLOWLY = 20.0


class _Messages:
    """Keeps messages."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def notify(self, event: Event) -> None:
        """Keep it."""
        if isinstance(event, Message):
            self.texts.append(event.message)


def _tune(flux: Fluxbase, **settings: float) -> None:
    control.tune(flux.database, Tuning(**settings))  # type: ignore[arg-type]


@contextmanager
def _running(flux: Fluxbase, workers: int, observer: Observer | None = None) -> Iterator[list[JobReport]]:
    """A slow job in another thread. It ends fast after the block; the list has its report then."""
    reports: list[JobReport] = []
    stop = Stop()

    def run() -> None:
        watching = observer or NullObserver()
        reports.append(flux.run(workers=workers, observer=watching, stop=stop, max_rate_per_s=_SLOWLY))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        _until(lambda: _begun(flux))
        yield reports
        _tune(flux, max_rate_per_s=0)
        thread.join(20)
    finally:
        stop.request()
        thread.join(20)
    assert not thread.is_alive()


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.05)


def _begun(flux: Fluxbase) -> bool:
    """Whether the job has written something."""
    return bool(
        flux.value("SELECT to_regclass('fluxbase_rotation.shard') IS NOT NULL")
        and flux.value("SELECT coalesce(sum(rows_done), 0) > 0 FROM fluxbase_rotation.shard")
    )


def _sessions(flux: Fluxbase) -> int:
    """The sessions of the job: one for each worker that works, and some of the runners."""
    return int(
        flux.value(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND application_name = 'fluxbase-cli'"
        )
    )


def _recorded(flux: Fluxbase) -> list[int]:
    rows = flux.rows("SELECT workers FROM fluxbase_rotation.runner WHERE ended_at IS NULL ORDER BY number")
    return [row[0] for row in rows]


def test_a_running_job_gets_more_workers_and_fewer(flux: Fluxbase) -> None:
    flux.secrets(400)
    seen = _Messages()

    with _running(flux, 1, seen) as reports:
        before, asked = _sessions(flux), time.monotonic()
        _tune(flux, workers=3)
        _until(lambda: _sessions(flux) == before + 2)
        assert time.monotonic() - asked < 5
        assert _recorded(flux) == [3]
        _tune(flux, workers=1)
        _until(lambda: _sessions(flux) == before)
        _until(lambda: _recorded(flux) == [1])
        # No shard is kept by a worker that does not work.
        _until(
            lambda: (
                flux.value("SELECT count(*) FROM fluxbase_rotation.shard WHERE runner IS NOT NULL AND NOT done") <= 1
            )
        )
        _tune(flux, workers=0)
        _until(lambda: seen.texts[-1:] == ["1 worker, as this process was started with"])

    assert [report.state for report in reports] == ["completed"]
    assert reports[0].handled >= 400
    assert "3 workers, as `secrets tune` asks" in seen.texts
    events = flux.rows("SELECT detail FROM fluxbase_rotation.event WHERE what = 'tuned' AND detail ? 'workers'")
    assert [detail["workers"] for (detail,) in events] == [3, 1, 0]


def test_a_tuned_number_holds_for_the_process_that_resumes_the_job(flux: Fluxbase) -> None:
    flux.secrets(200)
    with _running(flux, 1):
        _tune(flux, workers=2)
        _until(lambda: _recorded(flux) == [2])
    seen = _Messages()
    flux.rows("UPDATE fluxbase_rotation.job SET state = 'interrupted', finished_at = NULL")

    flux.run(workers=5, observer=seen)

    assert "2 workers, as `secrets tune` asks" in seen.texts
    assert flux.value("SELECT workers FROM fluxbase_rotation.runner ORDER BY number DESC LIMIT 1") == 2


def test_a_runner_without_workers_waits_and_ends_with_the_job(flux: Fluxbase) -> None:
    flux.secrets(200)
    second: list[JobReport] = []
    seen = _Messages()

    with _running(flux, 1) as first:
        joined = threading.Thread(target=lambda: second.append(flux.run(workers=2, observer=seen, join=True)))
        joined.start()
        _until(lambda: len(_recorded(flux)) == 2)
        _tune(flux, workers=1)
        _until(lambda: _recorded(flux) == [1, 0])
    joined.join(20)

    assert not joined.is_alive()
    assert [report.state for report in (*first, *second)] == ["completed", "completed"]
    assert "1 worker in 2 processes, 0 of them in this one, as `secrets tune` asks" in seen.texts


def test_more_workers_than_connections_leave_room_for_others(flux: Fluxbase, monkeypatch: pytest.MonkeyPatch) -> None:
    flux.secrets(200)
    seen = _Messages()

    with _running(flux, 1, seen) as reports:
        monkeypatch.setattr(
            "fluxbase_cli.engine.allowed_workers.free_connections", lambda _connection: FreeConnections(6, "full", 100)
        )
        _tune(flux, workers=9)
        _until(lambda: _recorded(flux) == [3])

    assert [report.state for report in reports] == ["completed"]
    assert (
        "6 connections are free (full): 2 more workers in this process instead of 8, so that others can still connect"
        in seen.texts
    )
