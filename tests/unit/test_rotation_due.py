"""Since when the active key is in use: what rotations recorded, and what people did by hand."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

import pytest

from fluxbase_cli.config import DatabaseSettings, EncryptionSettings, Settings
from fluxbase_cli.keys.history import KeyHistory
from fluxbase_cli.rotation.due import active_since
from fluxbase_cli.store.key_records import KeyEvent, KeyRecord
from fluxbase_cli.store.wrapped_keys import WrappedKey

_START = datetime(2026, 1, 1, tzinfo=UTC)
_NOTHING: Mapping[int, datetime] = MappingProxyType({})


def day(number: int) -> datetime:
    return _START + timedelta(days=number)


class Recorded:
    """The records of rotations: when each version was made active. None: there are no such tables."""

    def __init__(self, activated: Mapping[int, datetime] | None) -> None:
        self._activated = activated

    def exists(self) -> bool:
        return self._activated is not None

    def activated_at(self, version: int) -> datetime | None:
        assert self._activated is not None
        return self._activated.get(version)


def created(version: int, number: int) -> KeyRecord:
    return KeyRecord(version, "aa", KeyEvent.CREATED, day(number), "db", "os", "host", None, {})


def since(history: KeyHistory, *, active: int | None = 2, activated: Mapping[int, datetime] | None = None) -> Any:
    encryption = EncryptionSettings(active_key_version=active)
    store: Any = Recorded(activated)
    return active_since(Settings(None, None, DatabaseSettings(), encryption), history, store)


def test_nothing_is_known_of_a_key_from_before_the_tool() -> None:
    assert since(KeyHistory()) is None
    assert since(KeyHistory(), activated={}) is None
    assert since(KeyHistory(rotations={1: day(3)}, records=(created(1, 1),)), activated={1: day(2)}) is None


@pytest.mark.parametrize(
    ("history", "number"),
    [
        (KeyHistory(records=(created(1, 5), created(2, 3))), 3),
        (KeyHistory(moved={2: day(4)}, rotations={2: day(9)}), 4),
        (KeyHistory(records=(created(2, 3),), moved={2: day(4)}, rotations={2: day(9)}), 4),
        # It was made again under the same number.
        (KeyHistory(records=(created(2, 3), created(2, 6)), moved={2: day(4)}), 6),
    ],
)
def test_the_latest_of_what_was_done_by_hand_counts(history: KeyHistory, number: int) -> None:
    assert since(history) == since(history, activated={}) == since(history, activated={1: day(1)}) == day(number)


def test_what_a_rotation_recorded_counts_and_not_when_its_job_ended() -> None:
    history = KeyHistory(records=(created(2, 1),), moved={2: day(9)}, rotations={1: day(1), 2: day(9)})
    assert since(history, activated={2: day(2)}) == day(2)


def test_after_a_rollback_the_version_counts_from_when_values_were_moved_to_it_again() -> None:
    rolled_back = KeyHistory(records=(created(2, 1),), rotations={1: day(5), 2: day(3)})
    assert since(rolled_back, activated={2: day(2)}) == day(2)
    again = KeyHistory(records=(created(2, 1),), moved={2: day(8)}, rotations={1: day(5), 2: day(8)})
    assert since(again, activated={2: day(2)}) == day(8)


def test_if_all_keys_are_in_the_database_the_newest_one_is_active() -> None:
    wrapped = tuple(WrappedKey(version, "aws_kms", "alias/k", b"c", "aa", day(version), None) for version in (3, 4))
    assert since(KeyHistory(wrapped=wrapped), active=None) == day(4)
    assert since(KeyHistory(), active=None) is None
