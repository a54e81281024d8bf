"""`secrets stop` and scheduled rotations: the next run must not undo the stop, and the daemon continues to run."""

from __future__ import annotations

from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.engine.events import Event, PassStarted
from fluxbase_cli.engine.observe import control
from fluxbase_cli.engine.stop import Stop
from tests.fixtures.fluxbase import Fluxbase
from tests.fixtures.rotating import Calendar, Rotating


def versions(rotating: Rotating) -> set[tuple[int, ...]]:
    opened = Fluxbase(rotating.rotation.url).everything(rotating.keys())
    return {each.versions for each in opened.values() if each.versions}


def test_a_rotation_whose_job_was_stopped_waits_until_a_person_resumes_it(rotating: Rotating) -> None:
    calendar = Calendar(rotating)
    database = DatabaseSettings.from_url(rotating.rotation.url, "the test")
    whole = Stop()

    class StopsTheJob:
        def notify(self, event: Event) -> None:
            if isinstance(event, PassStarted) and event.number == 0:
                control.stop(database, "a sale")

    rotator = calendar.rotator(observer=StopsTheJob(), stop=whole)
    stopped = rotator.run()
    job = rotator.figures.job
    again = calendar.run()

    for report in (stopped, again):
        assert (report.state, report.exit_code) == ("waiting", 1)
    # The metrics tell of the job, and of its last sign of life.
    assert job is not None
    assert (job.unfinished, job.paused) == (True, False)
    assert job.ratio < 1
    assert (
        job.progress_at == rotating.rows("SELECT max(heartbeat_at) FROM fluxbase_rotation.runner WHERE job = 1")[0][0]
    )
    # The daemon uses the same `Stop` for all rotations.
    assert not whole.requested
    assert versions(rotating) == {(1,)}
    waits = [warning for warning in calendar.warnings if "job 1 was stopped by" in warning]
    assert [": a sale\n`fluxbase-cli secrets resume` lets it continue." in warning for warning in waits] == [True, True]
    # The same state is notified once.
    assert rotating.endpoint.kinds == ["rotation.started", "rotation.waiting"]

    control.resume(database)
    done = calendar.run()

    assert (done.state, done.rotation, done.job) == ("finished", stopped.rotation, 1)
    assert versions(rotating) == {(2,)}


def test_a_signal_still_reaches_the_job_of_a_rotation(rotating: Rotating) -> None:
    calendar = Calendar(rotating)
    whole = Stop()

    class Signals:
        def notify(self, event: Event) -> None:
            if isinstance(event, PassStarted):
                whole.request(15)

    stopped = calendar.rotator(observer=Signals(), stop=whole).run()

    assert (stopped.state, stopped.exit_code) == ("interrupted", 143)
    assert versions(rotating) == {(1,)}
    assert calendar.run().state == "finished"
