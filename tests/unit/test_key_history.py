"""The state of a key, as its history shows it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.keyring import Key
from fluxbase_cli.keys.history import KeyHistory, KeyState
from fluxbase_cli.keys.loader import refuse_as_target
from fluxbase_cli.store.key_records import KeyEvent, KeyRecord

START = datetime(2026, 1, 1, tzinfo=UTC)


def history_of(*events: tuple[int, str, KeyEvent]) -> KeyHistory:
    return KeyHistory(
        tuple(
            KeyRecord(version, name, what, START + timedelta(days=day), "db", "os", "host", None, {})
            for day, (version, name, what) in enumerate(events)
        )
    )


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ((), KeyState.ENABLED),
        ((KeyEvent.CREATED,), KeyState.ENABLED),
        ((KeyEvent.DISABLED,), KeyState.DISABLED),
        ((KeyEvent.DISABLED, KeyEvent.ENABLED), KeyState.ENABLED),
        ((KeyEvent.DISABLED, KeyEvent.ENABLED, KeyEvent.DISABLED), KeyState.DISABLED),
        ((KeyEvent.DISABLED, KeyEvent.DESTROYING), KeyState.DISABLED),
        ((KeyEvent.DISABLED, KeyEvent.DESTROYING, KeyEvent.DESTROYED), KeyState.DESTROYED),
        ((KeyEvent.DISABLED, KeyEvent.REWRAPPED), KeyState.DISABLED),
    ],
)
def test_the_last_event_gives_the_state_of_a_key(events: tuple[KeyEvent, ...], state: KeyState) -> None:
    assert history_of(*((1, "aa", event) for event in events)).state(1, "aa") is state


def test_another_key_under_the_same_version_has_a_separate_history() -> None:
    history = history_of((1, "aa", KeyEvent.DESTROYED), (1, "bb", KeyEvent.CREATED))
    assert history.state(1, "aa") is KeyState.DESTROYED
    assert history.state(1, "bb") is KeyState.ENABLED
    assert not history.may_be_gone(1)


def test_a_key_may_be_gone_as_soon_as_its_destruction_has_begun() -> None:
    assert not history_of((1, "aa", KeyEvent.DISABLED)).may_be_gone(1)
    assert history_of((1, "aa", KeyEvent.DISABLED), (1, "aa", KeyEvent.DESTROYING)).may_be_gone(1)
    assert not history_of().may_be_gone(1)


def test_nothing_is_sealed_under_a_disabled_or_destroyed_key() -> None:
    key = Key(1, b"k" * 32)
    refuse_as_target(history_of(), key)
    for event in (KeyEvent.DISABLED, KeyEvent.DESTROYED):
        with pytest.raises(ConfigurationError, match="nothing is sealed under it"):
            refuse_as_target(history_of((1, key.fingerprint, event)), key)


def test_a_version_counts_as_new_until_its_key_was_made_or_a_job_moved_to_it() -> None:
    history = KeyHistory(history_of((2, "bb", KeyEvent.CREATED)).records, targets=frozenset({3}))
    assert [version for version in range(1, 6) if history.is_to_come(version)] == [1, 4, 5]


def test_a_key_is_as_old_as_the_event_that_made_it() -> None:
    history = history_of((1, "aa", KeyEvent.DISABLED), (2, "bb", KeyEvent.CREATED))
    assert history.created_at(2, "bb") == START + timedelta(days=1)
    assert history.created_at(1, "aa") is None
