"""The scheduled rotation as a process."""

from __future__ import annotations

from tests.fixtures.rotating import Rotating


def test_a_webhook_that_is_down_all_the_time_stops_nothing_and_is_told_at_the_end(rotating: Rotating) -> None:
    rotating.configure(webhook="http://127.0.0.1:1/token-marker")

    done = rotating.command("rotation", "run", "--force", "-o", "json")

    assert done.code == 0, done.all
    assert done.json["state"] == "finished"
    assert done.json["undelivered"] == ["127.0.0.1: Connection refused"] * 2
    assert "a notification was not delivered: 127.0.0.1: Connection refused" in done.stderr
    assert "token-marker" not in done.all
