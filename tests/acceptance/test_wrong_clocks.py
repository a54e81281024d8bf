"""A machine whose clock is wrong by days: what protects a key uses the clock of the database server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from fluxbase_cli.seal import fingerprint
from tests.fixtures.clocks import WrongClock
from tests.fixtures.command import OLD_KEY, Outcome, Rotation
from tests.fixtures.rotating import Rotating

_DESTROY = ("keys", "destroy", "--key-version", "1", "-o", "json")
_CONFIRM = (*_DESTROY, "--confirm", fingerprint(OLD_KEY))
_SECTION = "FLUXBASE_SECURITY_ENCRYPTION_KEY_DESTRUCTION"


@pytest.fixture
def rotated(rotation: Rotation) -> Rotation:
    """Every value is under version 2."""
    rotation.seed(60, new_share=1.0)
    return rotation


def refused(outcome: Outcome, word: str) -> None:
    """Check that the request was refused, for one reason."""
    assert outcome.code == 3, outcome.all
    (reason,) = outcome.json["refused"]
    assert word in reason


def done(outcome: Outcome) -> Outcome:
    """Check that the request was done."""
    assert outcome.code == 0, outcome.all
    return outcome


def test_a_clock_that_is_ahead_does_not_end_the_cooling_off_time(rotated: Rotation, wrong_clock: WrongClock) -> None:
    first = done(wrong_clock(8, rotated.command, *_DESTROY))
    refused(wrong_clock(8, rotated.command, *_CONFIRM), "cools off for 7d")

    earliest = datetime.fromisoformat(first.json["not_before"])
    assert abs(earliest - datetime.now(UTC) - timedelta(days=7)) < timedelta(minutes=5)
    assert rotated.value("SELECT count(*) FROM fluxbase_keys.event WHERE what = 'key-destroyed'") == 0


def test_a_clock_that_is_behind_does_not_keep_a_key_for_ever(rotated: Rotation, wrong_clock: WrongClock) -> None:
    soon = rotated.command.having(**{f"{_SECTION}_COOLING_OFF": "0"})
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    done(wrong_clock(-8, soon, *_DESTROY, "--keep-until", yesterday))

    assert done(wrong_clock(-8, soon, *_CONFIRM)).json["state"] == "destroyed"


def test_a_date_and_the_age_of_backups_follow_the_clock_of_the_server(
    rotated: Rotation, wrong_clock: WrongClock
) -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    refused(
        wrong_clock(8, rotated.command, *_DESTROY, "--now", "--yes", "--reason", "test", "--keep-until", tomorrow),
        "must be kept until",
    )
    backed_up = rotated.command.having(**{f"{_SECTION}_BACKUP_HORIZON": "7d"})
    refused(
        wrong_clock(8, backed_up, *_DESTROY, "--now", "--yes", "--reason", "test"), "backups of the last 7d may need it"
    )


def test_a_scheduled_rotation_follows_the_clock_of_the_server(rotating: Rotating, wrong_clock: WrongClock) -> None:
    rotating.configure(retain=0)
    command = rotating.command

    assert done(command("rotation", "run", "-o", "json")).json["state"] == "finished"

    second = done(wrong_clock(40, command, "rotation", "run", "-o", "json")).json
    plan = done(wrong_clock(40, command, "rotation", "plan", "-o", "json")).json
    keys = done(wrong_clock(100, command, "keys", "list", "-o", "json")).json
    check = done(wrong_clock(40, command, "config", "check", "-o", "json")).json

    assert second["state"] == "not-due"
    assert set(rotating.keys()) == {1, 2}
    assert plan["due"] is False
    assert datetime.fromisoformat(plan["next"]) - datetime.now(UTC) < timedelta(days=32)
    assert [key["warnings"] for key in keys["keys"]] == [[], []]
    (clock,) = (each for each in check["checks"] if each["check"] == "clock")
    assert "this machine's clock is 40d ahead of the database server's" in clock["message"]


def test_a_rotation_is_recorded_with_the_time_of_the_server(
    rotating: Rotating, wrong_clock_in_python: WrongClock
) -> None:
    done(wrong_clock_in_python(-400, rotating.command, "rotation", "run"))

    apart = "max(abs(extract(epoch FROM clock_timestamp() - started_at)))"
    assert rotating.rows(f"SELECT {apart} < 300 FROM fluxbase_rotation.rotation") == [(True,)]
    assert rotating.rows(f"SELECT {apart} < 300 FROM fluxbase_rotation.rotation_step") == [(True,)]


def test_a_correct_clock_is_not_mentioned(rotated: Rotation) -> None:
    checks = rotated.command("config", "check", "-o", "json").json["checks"]
    assert [each for each in checks if each["check"] == "clock"] == []
