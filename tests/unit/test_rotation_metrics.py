"""The metrics for Prometheus."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fluxbase_cli import __version__
from fluxbase_cli.counts import Counts
from fluxbase_cli.engine.events import BatchDone, Message, PassStarted, Waiting
from fluxbase_cli.errors import JobRunningError, RotationRunningError
from fluxbase_cli.log_events import LogEvent
from fluxbase_cli.rotation.figures import Figures, JobFigures
from fluxbase_cli.rotation.job_watch import JobWatch
from fluxbase_cli.rotation.metrics import Metrics
from fluxbase_cli.rotation.metrics_file import MetricsFile, write_metrics

NOW = datetime(2026, 11, 1, 2, 5, tzinfo=UTC)


KNOWN = Figures(
    NOW,
    succeeded=True,
    last_success=NOW,
    active_version=3,
    active_since=NOW - timedelta(minutes=5),
    by_version={2: 0, 3: 1000},
    undecryptable=0,
    next_date=NOW + timedelta(days=30),
)


def samples(text: str) -> dict[tuple[str, str | None], float]:
    """The samples by name and key version, as Prometheus' own parser reads them."""
    return {
        (sample.name, sample.labels.get("key_version")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_known_metrics_are_written_completely_and_unknown_ones_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "fluxbase.prom"
    write_metrics(path, Figures(NOW, succeeded=False, by_version={1: 3, 2: 997}))
    write_metrics(path, KNOWN)

    written = path.read_text(encoding="utf-8")
    assert samples(written) == {
        ("fluxbase_rotation_last_run_timestamp_seconds", None): NOW.timestamp(),
        ("fluxbase_rotation_last_run_success", None): 1,
        ("fluxbase_rotation_last_success_timestamp_seconds", None): NOW.timestamp(),
        ("fluxbase_rotation_active_key_version", None): 3,
        ("fluxbase_rotation_active_key_activated_timestamp_seconds", None): (NOW - timedelta(minutes=5)).timestamp(),
        ("fluxbase_rotation_active_key_age_seconds", None): 300,
        ("fluxbase_rotation_values", "2"): 0,
        ("fluxbase_rotation_values", "3"): 1000,
        ("fluxbase_rotation_undecryptable_values", None): 0,
        ("fluxbase_rotation_next_timestamp_seconds", None): (NOW + timedelta(days=30)).timestamp(),
        ("fluxbase_rotation_undelivered_notifications", None): 0,
        ("fluxbase_cli_build_info", None): 1,
    }
    assert f'fluxbase_cli_build_info{{version="{__version__}"}} 1.0' in written
    assert [each.name for each in tmp_path.iterdir()] == ["fluxbase.prom"]


def test_a_file_that_cant_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_metrics(tmp_path / "nowhere" / "x.prom", KNOWN)


def test_a_run_that_could_not_read_the_database_changes_only_what_it_knows(tmp_path: Path) -> None:
    path = tmp_path / "fluxbase.prom"
    write_metrics(path, KNOWN)
    before = samples(path.read_text(encoding="utf-8"))
    served = Metrics()
    served.update(KNOWN)
    failed = Figures(NOW + timedelta(hours=1), succeeded=False, known=False, undelivered=2)

    write_metrics(path, failed)
    served.update(failed)

    changed = {
        ("fluxbase_rotation_last_run_timestamp_seconds", None): failed.ran_at.timestamp(),
        ("fluxbase_rotation_last_run_success", None): 0,
        ("fluxbase_rotation_undelivered_notifications", None): 2,
    }
    assert samples(path.read_text(encoding="utf-8")) == before | changed
    # The daemon knows since when the key is active, so its age goes on.
    aged = {("fluxbase_rotation_active_key_age_seconds", None): 3900}
    assert samples(served.as_text().decode()) == before | changed | aged


def test_a_file_that_somebody_else_has_written_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "fluxbase.prom"
    path.write_bytes(b"# TYPE fluxbase_rotation_x gauge\nother_metric 1\n{{{\xff\n")

    write_metrics(path, Figures(NOW, succeeded=False, known=False))

    assert {name for name, _ in samples(path.read_text(encoding="utf-8"))} == {
        "fluxbase_rotation_last_run_timestamp_seconds",
        "fluxbase_rotation_last_run_success",
        "fluxbase_rotation_undelivered_notifications",
        "fluxbase_cli_build_info",
    }


def test_the_file_says_that_a_run_failed_before_it_began_and_is_left_to_a_process_that_works(tmp_path: Path) -> None:
    path, warned = tmp_path / "fluxbase.prom", list[str]()
    write_metrics(path, KNOWN)
    before = path.read_bytes()

    with pytest.raises(RotationRunningError), MetricsFile(path, warned.append):
        raise RotationRunningError("another process runs a rotation on this database")
    assert path.read_bytes() == before
    # A job that somebody began by hand writes no metrics, and the rotation has failed.
    with pytest.raises(JobRunningError), MetricsFile(path, warned.append):
        raise JobRunningError("another job is running")
    assert path.read_bytes() != before

    with pytest.raises(LookupError), MetricsFile(path, warned.append):
        raise LookupError
    assert samples(path.read_text(encoding="utf-8"))["fluxbase_rotation_last_run_success", None] == 0
    assert warned == []


def test_a_file_that_cant_be_written_at_the_end_is_a_warning(tmp_path: Path) -> None:
    folder, warned = tmp_path / "metrics", list[str]()
    folder.mkdir()

    with MetricsFile(folder / "x.prom", warned.append) as file:
        file.take(lambda: KNOWN)
        folder.rmdir()

    assert warned == [f"{folder}/x.prom can't be written: No such file or directory"]


def test_a_running_job_is_shown_as_it_is_at_each_moment() -> None:
    now = NOW
    watch, metrics = JobWatch(lambda: now), Metrics()
    metrics.update(replace(KNOWN, job=JobFigures()))

    def job() -> dict[str, float]:
        found = samples(metrics.as_text().decode())
        return {
            name.removeprefix("fluxbase_rotation_job_"): each for (name, _), each in found.items() if "_job_" in name
        }

    none = {"unfinished": 0, "paused": 0, "progress_ratio": 1, "handled_values": 0}
    with metrics.live(watch.figures):
        assert job() == none
        watch.notify(PassStarted(0, {"a.t.x": 10, "a.t.y": 10, "a.u.z": 10}, {"a.t.x": 5, "a.t.y": 5, "a.u.z": 0}))
        now = NOW + timedelta(minutes=1)
        watch.notify(BatchDone("a.t", 5, {"x": Counts(scanned=4), "y": Counts(scanned=3)}, 0))
        done = {
            "unfinished": 1,
            "paused": 0,
            "progress_ratio": 0.5,
            "handled_values": 7,
            "progress_timestamp_seconds": now.timestamp(),
        }
        assert job() == done
        now = NOW + timedelta(minutes=2)
        watch.notify(PassStarted(1, {}, {}))
        watch.notify(BatchDone("a.u", 9, {"z": Counts(scanned=9)}, 1))
        done |= {"handled_values": 16, "progress_timestamp_seconds": now.timestamp()}
        watch.notify(Waiting("standby far is 30.0s behind", None))
        assert job() == done
        watch.notify(Waiting("the job was paused by ann", None, paused=True))
        watch.notify(BatchDone("a.u", 0, {}, 1))
        watch.notify(Waiting("LockNotAvailable", 0.5))
        assert job() == done | {"paused": 1}
        watch.notify(Message(LogEvent.JOB_CONTINUED, "going on"))
        assert job() == done
        watch.notify(Waiting("the job was paused by ann", None, paused=True))
    assert job() == none
    watch.reset()
    with metrics.live(watch.figures):
        assert job() == none
        watch.notify(PassStarted(0, {"a.t.x": 10}, {}))
        assert job()["paused"] == 0
