"""What `/metrics` of the daemon shows while a rotation runs, and while another process runs one."""

from __future__ import annotations

from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.engine.events import BatchDone, Event
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.log_events import LogEvent
from fluxbase_cli.rotation.daemon import Daemon
from fluxbase_cli.rotation.lock import RotationLock
from tests.fixtures.rotating import Calendar, Rotating

_PREFIX = "fluxbase_rotation_"


def _shown(daemon: Daemon) -> dict[str, float]:
    return {each.name.removeprefix(_PREFIX): each.value for each in daemon.metrics.samples}


def test_the_job_is_shown_as_it_is_at_each_moment(rotating: Rotating) -> None:
    calendar, stop, seen = Calendar(rotating), Stop(), list[dict[str, float]]()

    class Looks:
        def notify(self, event: Event) -> None:
            if isinstance(event, BatchDone):
                seen.append(_shown(daemon))

    def tell(event: LogEvent, _text: str) -> None:
        if event is LogEvent.ROTATION_FINISHED:
            stop.request()

    daemon = Daemon(calendar.context(observer=Looks(), tell=tell, stop=stop), listen=None)
    assert daemon.serve() == 0

    during = [each for each in seen if "job_unfinished" in each]
    assert {each["job_unfinished"] for each in during} == {1}
    assert {each["job_progress_timestamp_seconds"] for each in during} == {calendar.now.timestamp()}
    handled = [each["job_handled_values"] for each in during]
    assert handled[0] == 0
    assert handled[-1] > 0
    after = _shown(daemon)
    assert (after["job_unfinished"], after["job_progress_ratio"], after["last_run_success"]) == (0, 1, 1)
    assert "job_progress_timestamp_seconds" not in after
    assert "due_timestamp_seconds" not in after


def test_a_rotation_of_another_process_is_no_failure(rotating: Rotating) -> None:
    calendar, stop = Calendar(rotating), Stop()
    lock = RotationLock(DatabaseSettings.from_url(rotating.rotation.url, "the test"))
    lock.store()

    def warn(event: LogEvent, _text: str) -> None:
        if event is LogEvent.DAEMON_FAILED:
            stop.request()

    daemon = Daemon(calendar.context(warn=warn, stop=stop), listen=None)
    try:
        assert daemon.serve() == 0
    finally:
        lock.release()

    assert "another process runs a rotation" in str(daemon.health.error)
    assert _shown(daemon) == {}
