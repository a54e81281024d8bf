"""What a command waits for is written once, and then now and then with how often it came."""

from __future__ import annotations

import pytest

from fluxbase_cli.engine.events import Waiting
from fluxbase_cli.report.messages import Messages
from fluxbase_cli.report.progress import LineProgress, MessagesOnly
from fluxbase_cli.store.connection import failure_text
from fluxbase_cli.store.refused_connection import TooManyConnectionsError

_FULL = Waiting("no connection is free", 0.4)


class _Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_many_waits_for_the_same_reason_are_written_once_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """Eight workers that get no connection wrote 692 lines in two minutes."""
    clock = _Clock()
    progress = LineProgress(Messages(), clock=clock)
    for second in range(40):
        for _worker in range(8):
            progress.notify(_FULL)
        clock.now = 1001.0 + second
    assert capsys.readouterr().err.splitlines() == [
        "Warning: waiting 0.4s: no connection is free",
        "Warning: still waiting (241 times): no connection is free",
    ]


def test_another_reason_is_written_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    progress = MessagesOnly(Messages())
    for reason in ("a lock", "a lock", "a full disk", "a lock"):
        progress.notify(Waiting(reason, 1.0))
    assert capsys.readouterr().err.splitlines() == [
        "Warning: waiting 1.0s: a lock",
        "Warning: waiting 1.0s: a full disk",
    ]


def test_a_reason_that_had_ended_is_a_new_one(capsys: pytest.CaptureFixture[str]) -> None:
    clock = _Clock()
    progress = LineProgress(Messages(), clock=clock)
    progress.notify(_FULL)
    clock.now += 31.0
    progress.notify(_FULL)
    assert capsys.readouterr().err.splitlines() == ["Warning: waiting 0.4s: no connection is free"] * 2


def test_a_server_that_takes_no_more_connections_says_what_to_do() -> None:
    text = failure_text(
        TooManyConnectionsError('connection to server failed: FATAL:  too many connections for role "a"')
    )
    assert text.startswith("connection to server failed: FATAL:")
    assert text.endswith(
        "or raise the limit: CONNECTION LIMIT of the role or of the database, or max_connections of the server"
    )
