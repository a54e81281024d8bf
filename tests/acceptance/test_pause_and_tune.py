"""A running job is paused, continued and tuned from another terminal, and says what it waits for."""

from __future__ import annotations

import signal
import time

import pytest

from tests.fixtures.command import Rotation, Running, until

_RE_ENCRYPT = ("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2", "-o", "json")


def _slowly(rotation: Rotation) -> tuple[str, ...]:
    """A job that takes some minutes, except when its limits are changed."""
    rotation.seed(1000)
    return (*_RE_ENCRYPT, "--max-rate", "20", "--concurrency", "2")


def _waits(running: Running) -> int:
    return running.stderr.count("waiting: the job was paused by")


def test_a_job_can_be_paused_continued_and_tuned_from_another_terminal(rotation: Rotation) -> None:
    with rotation.command.start(*_slowly(rotation)) as first:
        until(lambda: rotation.rows_done() > 0, "it is at work")
        with rotation.command.start(*_RE_ENCRYPT, "--join") as second:
            until(lambda: "its share of 20/s for 2 runners" in first.stderr, "the two share the rate")
            paused = rotation.command("secrets", "pause", "--reason", "a sale begins")
            assert paused.code == 0
            until(lambda: _waits(first) and _waits(second), "both have heard it")
            before = rotation.rows_done()
            status = rotation.command("secrets", "status", "1", "-o", "json").json
            shown = rotation.command("secrets", "status", "1").stdout
            assert rotation.command("secrets", "pause").code == 0
            assert not first.ended
            assert not second.ended
            assert rotation.rows_done() == before
            tuned = rotation.command("secrets", "tune", "--max-rate", "0", "--batch-size", "7", "-o", "json")
            resumed = rotation.command("secrets", "resume")
            assert resumed.code == 0
            outcomes = [first.finish(), second.finish()]

    assert "was paused by" in paused.stdout
    assert "(a sale begins); `fluxbase-cli secrets resume` lets it go on" in outcomes[0].stderr
    assert (status["state"], status["paused"], status["alive"]) == ("running", True, True)
    assert "running (paused)" in shown
    assert "Job 1 is not paused any more" in resumed.stdout
    assert (tuned.json["max_rate"], tuned.json["batch_size"], tuned.json["runners"]) == (None, 7, 2)
    for outcome in outcomes:
        assert outcome.code == 0, outcome.stderr
        assert outcome.json["updated"] == 850
        # One line for one wait, for any number of threads and seconds.
        assert outcome.stderr.count("waiting: ") == 1
        assert outcome.stderr.count("going on") == 1
        assert outcome.stderr.count("no rate limit from now on") == 1
    done = rotation.command("secrets", "status", "1", "-o", "json").json
    assert (done["state"], done["paused"]) == ("completed", False)
    events = [(e["what"], e["reason"], e["detail"]) for e in done["events"] if e["what"] not in ("joined", "completed")]
    assert events[1:] == [
        ("tuned", None, {"max_rate_per_s": 20.0}),
        ("paused", "a sale begins", {}),
        ("paused", None, {}),
        ("tuned", None, {"max_rate_per_s": 0.0, "batch_rows": 7}),
        ("released", None, {}),
    ]
    assert all(event["os_user"] and event["host"] for event in done["events"])


def test_a_running_job_gets_other_numbers_of_workers(rotation: Rotation) -> None:
    rotation.seed(1000)
    with rotation.command.start(*_RE_ENCRYPT, "--max-rate", "20", "--concurrency", "1") as running:
        until(lambda: rotation.rows_done() > 0, "it is at work")
        tuned = rotation.command("secrets", "tune", "--concurrency", "3")
        until(lambda: "3 workers, as `secrets tune` asks" in running.stderr, "it has more workers")
        status = rotation.command("secrets", "status", "1", "-o", "json").json
        too_many = rotation.command("secrets", "tune", "--concurrency", "65")
        fewer = rotation.command("secrets", "tune", "--concurrency", "1", "--max-rate", "0", "-o", "json")
        outcome = running.finish()

    assert (tuned.code, "3 workers in total" in tuned.stdout) == (0, True)
    assert [runner["workers"] for runner in status["runners"]] == [3]
    assert too_many.code == 2
    assert (fewer.json["concurrency"], fewer.json["max_rate"]) == (1, None)
    assert (outcome.code, outcome.json["updated"]) == (0, 850)
    shown = rotation.command("secrets", "status", "1").stdout
    assert "tuned, to 3 workers in total by" in shown


def test_a_paused_job_can_be_interrupted_and_waits_again_when_it_is_resumed(rotation: Rotation) -> None:
    with rotation.command.start(*_slowly(rotation)) as running:
        until(lambda: rotation.rows_done() > 0, "it is at work")
        rotation.command("secrets", "pause")
        until(lambda: _waits(running), "it has heard it")
        asked = time.monotonic()
        running.send(signal.SIGINT)
        outcome = running.finish()
        assert time.monotonic() - asked < 5
    assert (outcome.code, outcome.json["state"]) == (130, "interrupted")

    before = rotation.rows_done()
    with rotation.command.start(*_RE_ENCRYPT, "--max-rate", "0") as running:
        until(lambda: _waits(running), "it waits before its first batch")
        assert rotation.rows_done() == before
        # The lines of the status are at most 80 columns wide, so a sentence may stand in two.
        assert "`secrets resume` ends the pause" in " ".join(rotation.command("secrets", "status", "1").stdout.split())
        rotation.command("secrets", "resume")
        outcome = running.finish()
    assert outcome.code == 0
    assert outcome.json["updated"] == 850


def test_the_rate_is_kept(rotation: Rotation) -> None:
    rotation.seed(600)

    outcome = rotation.command(*_RE_ENCRYPT, "--max-rate", "300")

    assert outcome.code == 0
    assert "at most 300 secrets/s" in outcome.stderr
    # The job does not wait after the secrets of the last second.
    assert outcome.json["rate_per_second"] < 600
    assert outcome.json["elapsed_seconds"] > 1.0


@pytest.mark.parametrize("order", [("pause",), ("resume",), ("tune", "--max-rate", "5")])
def test_pause_and_tune_are_refused_without_a_job(rotation: Rotation, order: tuple[str, ...]) -> None:
    outcome = rotation.command("secrets", *order)

    assert outcome.code == 2
    assert "there is no unfinished job" in outcome.stderr
    assert rotation.value("SELECT to_regnamespace('fluxbase_rotation')") is None


def test_a_wrong_lag_is_refused_before_anything_is_touched(rotation: Rotation) -> None:
    outcome = rotation.command(*_RE_ENCRYPT, "--max-replica-lag", "soon")

    assert outcome.code == 2
    assert "neither a time nor a size" in outcome.stderr
