"""The report of a rotation: its jobs, its steps, the end of the old key, and how long the server was away."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.evidence.collect import Subject, collect
from fluxbase_cli.report.evidence.html import to_html
from fluxbase_cli.report.evidence.markdown import to_markdown
from tests.fixtures.reporting import checked
from tests.fixtures.rotating import Calendar, Rotating
from tests.fixtures.served import Served


def _report(url: str, subject: Subject) -> Any:
    report = checked(collect(DatabaseSettings.from_url(url, "the test"), subject))
    # All that a report has can be written.
    assert to_html(report)
    return report


def test_a_rotation_joins_its_job_its_steps_and_the_end_of_the_old_key(rotating: Rotating) -> None:
    rotating.configure_retention(0)
    calendar = Calendar(rotating)
    done = calendar.run()
    assert done.state == "finished", calendar.warnings
    # Later, when the cooling-off time is over, the next rotation destroys the key.
    calendar.now += timedelta(days=32)
    retired = calendar.run().retired
    assert (1, "destroy") in {(each.version, each.action.value) for each in retired}

    report = _report(rotating.rotation.url, Subject(rotation=1))
    text = to_markdown(report)

    rotation = report["rotation"]
    assert report["subject"] == {"kind": "rotation", "number": 1}
    assert (rotation["from_version"], rotation["to_version"], rotation["state"]) == (1, 2, "finished")
    assert (rotation["jobs"], [each["job"] for each in report["jobs"]]) == ([1], [1])
    assert rotation["why"]
    assert rotation["server"] is None
    assert [each["step"] for each in rotation["steps"]] == [
        "key",
        "activate",
        "reload",
        "re-encrypt",
        "census",
        "retention",
    ]
    assert next(each for each in rotation["steps"] if each["step"] == "census")["result"] == {
        "by_version": {"1": 0, "2": 40},
        "undecryptable": 0,
        "values": 0,
    }
    assert [(each["version"], each["action"]) for each in rotation["retired"]] == [(1, "disable")]
    old = report["keys"][0]
    assert (old["version"], old["role"], old["state"]) == (1, "old", "destroyed")
    assert [each["what"] for each in old["events"]] == ["key-disabled", "key-destroying", "key-destroyed"]
    assert old["events"][0]["audits"][0]["needs_the_key"] == 0
    new = report["keys"][1]
    assert (new["role"], new["created_at"] is None) == ("new", False)
    assert "The old key, version 1: It was destroyed." in text
    assert "The server was not stopped: it reads several keys." in text
    assert "| census |" in text
    # The report of the job has its rotation too.
    assert _report(rotating.rotation.url, Subject(job=1))["rotation"] == rotation
    assert _report(rotating.rotation.url, Subject(rotation=0))["subject"]["number"] == 2
    with pytest.raises(ConfigurationError, match="there is no rotation 7"):
        _report(rotating.rotation.url, Subject(rotation=7))


def test_a_job_by_hand_after_a_rotation_is_none_of_its_jobs(rotating: Rotating) -> None:
    assert Calendar(rotating).run().state == "finished"
    back = rotating.command("secrets", "rollback", "--to-version", "1", "--reason", "CHG-9")
    assert back.code == 0, back.all

    rotation = _report(rotating.rotation.url, Subject(rotation=1))
    by_hand = _report(rotating.rotation.url, Subject())

    assert [each["job"] for each in rotation["jobs"]] == [1]
    assert (by_hand["jobs"][0]["job"], by_hand["jobs"][0]["reason"], by_hand["rotation"]) == (2, "CHG-9", None)


def test_a_cutover_says_how_long_the_server_was_away(served: Served) -> None:
    done = served.command("rotation", "run", "--force", "-o", "json")
    assert done.code == 0, done.all

    report = _report(served.rotation.url, Subject(rotation=0))
    text = to_markdown(report)

    server = report["rotation"]["server"]
    assert server["away_seconds"] == pytest.approx(done.json["server"]["away_seconds"], abs=0.001)
    assert server["stopped_at"] < server["healthy_at"]
    assert server["away_seconds"] >= server["stop_seconds"] + server["start_seconds"] > 0
    assert server["went_back_because"] is None
    assert report["rotation"]["why"] == "--force was given"
    assert f"- **Server away for**: {server['away_seconds']:.1f} s" in text


def test_a_cutover_that_went_back_has_both_jobs_and_the_reason(served: Served) -> None:
    served.behave("unhealthy")
    done = served.command("rotation", "run", "--force", "-o", "json")
    assert done.json["state"] == "returned", done.all

    report = _report(served.rotation.url, Subject(rotation=0))

    assert [(each["job"], each["kind"]) for each in report["jobs"]] == [(1, "re-encrypt"), (2, "rollback")]
    rotation = report["rotation"]
    assert rotation["state"] == "abandoned"
    assert rotation["server"]["went_back_because"] == done.json["returned"]
    assert rotation["server"]["away_seconds"] == pytest.approx(done.json["server"]["away_seconds"], abs=0.001)
    # Nothing was moved away from the old key in the end.
    assert [each["values_moved_away_at"] for each in report["keys"] if each["version"] == 1] == [None]
    assert "What was done of job 2" in to_markdown(report)
