"""How far a job was over time, and what it waited for, is recorded while it runs, in few rows."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest

from fluxbase_cli.engine.events import NullObserver, Waiting
from fluxbase_cli.engine.run.history import JobHistory
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.engine.throttle.pacing import ReplicaLag
from fluxbase_cli.engine.throttle.throttler import BatchPolicy, Throttler
from fluxbase_cli.store.connection import connect
from fluxbase_cli.store.records import JobControl
from fluxbase_cli.store.samples import MOST_SAMPLES, SampleStore, Waits
from tests.fixtures.fluxbase import Fluxbase


def test_a_job_leaves_samples_of_its_beginning_and_its_end(flux: Fluxbase) -> None:
    flux.secrets(10)
    job = flux.run(workers=2).job

    assert job is not None
    with connect(flux.database) as connection:
        samples = SampleStore(connection).of_job(job)
    assert (samples[0].rows_done, samples[0].values_done, samples[0].pass_number) == (0, 0, 0)
    assert (samples[-1].rows_done, samples[-1].values_done) == (10, 10)
    assert samples[-1].pass_number > 0
    assert [each.at for each in samples] == sorted(each.at for each in samples)


@pytest.mark.slow
def test_a_week_of_samples_is_a_few_hundred_that_lie_evenly(flux: Fluxbase) -> None:
    flux.secrets(1)
    job = flux.run().job
    assert job is not None
    flux.rows("DELETE FROM fluxbase_rotation.sample")
    kept = []
    with connect(flux.database) as connection:
        store = SampleStore(connection)
        # A sample is added as often as the last one asks for. Time passes by moving all of them into the past.
        for _ in range(700):
            assert store.add(job)
            assert not store.add(job)
            connection.execute(
                "UPDATE fluxbase_rotation.sample SET at = at - (SELECT make_interval(secs => every_s) FROM "
                "fluxbase_rotation.sample ORDER BY at DESC LIMIT 1)"
            )
            kept.append(connection.execute("SELECT count(*)::int FROM fluxbase_rotation.sample").fetchone() or (0,))
        samples = store.of_job(job)

    assert max(kept)[0] <= MOST_SAMPLES
    assert len(samples) > MOST_SAMPLES // 3
    gaps = [(after.at - before.at).total_seconds() for before, after in pairwise(samples)]
    assert max(gaps) < 3 * min(gaps[1:-1])
    # 700 steps of 5 seconds and longer.
    assert (samples[-1].at - samples[0].at).total_seconds() > 4 * 3600


def test_a_pause_is_recorded_with_how_long_it_was(flux: Fluxbase) -> None:
    flux.secrets(1)
    job = flux.run().job
    assert job is not None
    now = [100.0]
    throttler = Throttler(job, 1, BatchPolicy(10), stop=Stop(), observer=NullObserver())
    history = JobHistory(job, 1, throttler, clock=lambda: now[0])

    def looks(seconds: float, control: JobControl, behind: list[ReplicaLag]) -> None:
        throttler.take(control, behind)
        history.look()
        now[0] += seconds

    paused, free = JobControl(paused_at=datetime.now(UTC)), JobControl()
    looks(1, free, [])
    looks(2, paused, [])
    looks(3, paused, [])
    looks(1, free, [])
    looks(4, paused, [])
    looks(5, JobControl(max_lag_s=1.0), [ReplicaLag("far", 7.0, 1)])
    looks(1, free, [])

    with connect(flux.database) as connection:
        history.record(connection, at_once=True)
        assert SampleStore(connection).waits(job) == (Waits("paused", 2, 9.0), Waits("standby", 1, 5.0))


def test_attempts_that_are_made_again_are_added_up(flux: Fluxbase) -> None:
    flux.secrets(1)
    job = flux.run().job
    assert job is not None
    throttler = Throttler(job, 1, BatchPolicy(10), stop=Stop(), observer=NullObserver())
    history = JobHistory(job, 1, throttler)
    with connect(flux.database) as connection:
        for seconds in (0.25, 0.5):
            history.notify(Waiting("LockNotAvailable: …", seconds))
        history.notify(Waiting("the end of a transaction", None))
        history.record(connection, at_once=True)
        history.notify(Waiting("LockNotAvailable: …", 1.0))
        history.record(connection)  # too early
        history.record(connection, at_once=True)

        assert SampleStore(connection).waits(job) == (Waits("retry", 3, 1.75),)


def test_tables_of_an_earlier_release_have_no_history(flux: Fluxbase) -> None:
    flux.secrets(1)
    flux.run()
    with connect(flux.database) as connection:
        assert SampleStore(connection).has_tables()
        connection.execute(
            "COMMENT ON SCHEMA fluxbase_rotation IS 'fluxbase-cli: progress of key rotations, version 8'"
        )
        assert not SampleStore(connection).has_tables()
