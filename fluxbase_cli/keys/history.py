"""What the database knows about keys: their events, wrapped keys, and when values were last moved to each version."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from fluxbase_cli.config import DatabaseSettings, KeyEntry, Secret
from fluxbase_cli.keyring import Key
from fluxbase_cli.store.connection import Connection, session
from fluxbase_cli.store.jobs import JobStore
from fluxbase_cli.store.key_records import KeyEvent, KeyRecord, KeyRecords
from fluxbase_cli.store.schema import Schema
from fluxbase_cli.store.wrapped_keys import TABLE, WrappedKey, WrappedKeyStore

_STATES = {
    KeyEvent.DISABLED: "disabled",
    KeyEvent.ENABLED: "enabled",
    KeyEvent.CREATED: "enabled",
    # The destruction was begun, and its end is not recorded. The key must not be used, and it may still exist.
    KeyEvent.DESTROYING: "disabled",
    KeyEvent.DESTROYED: "destroyed",
}


class KeyState(StrEnum):
    """The state of a key (docs/operators/destroying-keys.md)."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    DESTROYED = "destroyed"


def state_after(what: KeyEvent) -> KeyState:
    """The state of a key after an event that changes the state."""
    return KeyState(_STATES[what])


@dataclass(frozen=True, slots=True)
class KeyHistory:
    """Everything that the database knows about keys.

    Attributes:
        records: the events of all keys, the oldest first.
        wrapped: the wrapped keys in the database.
        rotations: when the last job to each version was completed.
        targets: the versions that were ever the target of a job.
        moved: when values were first re-encrypted to a version from which no job has moved them since.
        pinned: the fingerprint of the one key that is accepted for a version, by version.
    """

    records: tuple[KeyRecord, ...] = ()
    wrapped: tuple[WrappedKey, ...] = ()
    rotations: Mapping[int, datetime] = field(default_factory=dict)
    targets: frozenset[int] = frozenset()
    moved: Mapping[int, datetime] = field(default_factory=dict)
    pinned: Mapping[int, str] = field(default_factory=dict)

    def knowing(self, keys: Iterable[Key]) -> KeyHistory:
        """The same history, in which the fingerprints of these keys have the present form.

        Releases before 0.2 recorded another form for keys of printable text. Without the key, one can't be computed
        from the other. Until a job has replaced them (`fluxbase_cli.store.fingerprints`), the database may have both.
        """
        present = {key.former_fingerprint: key.fingerprint for key in keys if self._has_former(key)}
        if not present:
            return self
        return replace(
            self,
            records=tuple(
                replace(each, fingerprint=present.get(each.fingerprint, each.fingerprint)) for each in self.records
            ),
            wrapped=tuple(
                replace(each, fingerprint=present.get(each.fingerprint, each.fingerprint)) for each in self.wrapped
            ),
            pinned={version: present.get(text, text) for version, text in self.pinned.items()},
        )

    def _has_former(self, key: Key) -> bool:
        former = key.former_fingerprint
        known = (*(each.fingerprint for each in self.records), *(each.fingerprint for each in self.wrapped))
        return former is not None and (former in known or former in self.pinned.values())

    def last(self, version: int, fingerprint: str | None = None) -> KeyRecord | None:
        """The last event that decides the state of a key.

        Args:
            version: the key's version.
            fingerprint: the key; None means the last key of that version.
        """
        for record in reversed(self.records):
            if record.version == version and record.what in _STATES and fingerprint in (None, record.fingerprint):
                return record
        return None

    def state(self, version: int, fingerprint: str) -> KeyState:
        """The state of a key. A key without recorded events counts as enabled."""
        record = self.last(version, fingerprint)
        return KeyState.ENABLED if record is None else state_after(record.what)

    def may_be_gone(self, version: int) -> bool:
        """Whether the last key of a version was destroyed, or its destruction was begun."""
        record = self.last(version)
        return record is not None and record.what in (KeyEvent.DESTROYING, KeyEvent.DESTROYED)

    def is_to_come(self, version: int) -> bool:
        """Whether a version was never used, as far as is known: no key was made for it, and no job had it as target."""
        return version not in self.targets and version not in self.versions

    def created_at(self, version: int, fingerprint: str) -> datetime | None:
        """When a key was made. None if this tool did not make it."""
        moments = [
            record.at
            for record in self.records
            if (record.version, record.fingerprint, record.what) == (version, fingerprint, KeyEvent.CREATED)
        ]
        moments += [key.created_at for key in self.wrapped if (key.version, key.fingerprint) == (version, fingerprint)]
        return min(moments, default=None)

    @property
    def versions(self) -> frozenset[int]:
        """All versions that the database has ever recorded."""
        return frozenset(
            {record.version for record in self.records} | {key.version for key in self.wrapped} | {*self.pinned}
        )


def entry_of(key: WrappedKey) -> KeyEntry:
    """The entry that a provider needs to unwrap a wrapped key."""
    options = {
        "ciphertext": Secret(base64.b64encode(key.ciphertext).decode("ascii")),
        "kms_key_id": Secret(key.kms_key_id),
    }
    source = f"{TABLE}, version {key.version}"
    return KeyEntry(key.version, key.provider, source, Secret(""), MappingProxyType(options), recorded=key.fingerprint)


def read_history(database: DatabaseSettings) -> KeyHistory:
    """Read what the database knows about keys. If no job ever ran, the history is empty. Writes nothing.

    Raises:
        ConfigurationError, DatabaseError, PreflightRefusedError: as for `fluxbase_cli.store.connection.session`.
    """
    with session(database) as connection:
        return history_over(connection)


def history_over(connection: Connection) -> KeyHistory:
    """As `read_history`, with an open connection."""
    if Schema(connection).is_new():
        return KeyHistory()
    records = KeyRecords(connection)
    known = KeyHistory(records.all(), WrappedKeyStore(connection).all(), pinned=records.pinned())
    if not JobStore(connection).schema.exists():
        return known
    rotations = records.rotations()
    completed = {version: at for version, at in rotations.items() if at is not None}
    return replace(known, rotations=completed, targets=frozenset(rotations), moved=records.moved())
