"""The watch of commits rests, and continues with one thread, also while an earlier one still connects."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.engine.events import NullObserver
from fluxbase_cli.engine.run.commit_watch import CommitWatch
from tests.fixtures.command import until


def test_an_earlier_thread_that_still_connects_does_not_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    connecting, may_connect, looks = threading.Event(), threading.Event(), list[int]()

    @contextmanager
    def connect(_database: object) -> Iterator[Any]:
        connecting.set()
        may_connect.wait(20.0)
        yield None

    def look(*_arguments: object) -> None:
        looks.append(threading.get_ident())

    for name, value in {"_LOOK_S": 0.01, "connect": connect}.items():
        monkeypatch.setattr(f"fluxbase_cli.engine.run.commit_watch.{name}", value)
    monkeypatch.setattr(CommitWatch, "look", look)

    with CommitWatch(DatabaseSettings(), NullObserver()) as watch:
        assert connecting.wait(20.0)
        with watch.resting():
            pass
        may_connect.set()
        until(lambda: len(looks) > 20, "it looks")

    assert len(set(looks)) == 1
