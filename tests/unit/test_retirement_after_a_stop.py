"""A retirement that an earlier run did and could not record: its notification says what was really done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from fluxbase_cli.config import Settings
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.keys.history import KeyHistory
from fluxbase_cli.notifications.outbox import Outbox
from fluxbase_cli.rotation.retention import KeyRetirement
from fluxbase_cli.store.key_records import KeyEvent, KeyRecord
from fluxbase_cli.store.rotations import Retirement, RotationStore

NOW = datetime(2026, 11, 26, tzinfo=UTC)


class Begun:
    """Takes the place of the tables, with one step that was begun; and of the notifications."""

    def __init__(self, action: Retirement) -> None:
        self.action = action
        self.sent: list[tuple[str, Mapping[str, Any]]] = []

    def open_retirements(self) -> list[tuple[int, str, Retirement]]:
        """The step that was begun."""
        return [(1, "f1", self.action)]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Nothing."""
        yield

    def end_retirement(self, *step: object) -> None:
        """Nothing."""

    def enqueue(self, _store: object, _kind: object, text: str, fields: Mapping[str, Any]) -> None:
        """Keep the notification."""
        self.sent.append((text, fields))

    def send(self) -> None:
        """Nothing."""


def history_of(*events: tuple[KeyEvent, Mapping[str, Any]]) -> KeyHistory:
    """The history of version 1."""
    return KeyHistory(tuple(KeyRecord(1, "f1", what, NOW, "", "", "", None, detail) for what, detail in events))


@pytest.mark.parametrize(
    ("action", "events", "text", "left"),
    [
        (
            Retirement.DESTROY,
            [(KeyEvent.DESTROYED, {"gone": False, "left_to_do": ["remove it"]})],
            "was recorded as destroyed, but only you can remove it from its source",
            ["remove it"],
        ),
        (Retirement.DESTROY, [(KeyEvent.DESTROYED, {"gone": True, "left_to_do": []})], "was destroyed", None),
        # An event of a release that did not record it.
        (Retirement.DESTROY, [(KeyEvent.DESTROYED, {})], "was destroyed", None),
        (Retirement.DISABLE, [(KeyEvent.DISABLED, {})], "was disabled", None),
        # It was disabled, and somebody has destroyed it since.
        (Retirement.DISABLE, [(KeyEvent.DISABLED, {}), (KeyEvent.DESTROYED, {"gone": False})], "was disabled", None),
    ],
)
def test_the_notification_says_what_was_done(
    action: Retirement, events: list[tuple[KeyEvent, Mapping[str, Any]]], text: str, left: list[str] | None
) -> None:
    begun = Begun(action)
    retirement = KeyRetirement(
        cast("Settings", None),
        {},
        stop=Stop(),
        outbox=cast("Outbox", begun),
        warn=pytest.fail,
        clock=lambda: NOW,
        reload=lambda: cast("Settings", None),
    )

    retirement.finish_begun(cast("RotationStore", begun), history_of(*events))

    ((said, fields),) = begun.sent
    assert said == f"Key version 1 (fingerprint f1) {text}"
    assert fields.get("left_to_do") == left
