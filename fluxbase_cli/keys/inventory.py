"""The keys as `keys list` shows them: the source, state and age of each, and warnings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from fluxbase_cli.config import Settings
from fluxbase_cli.errors import ConfigurationError, FluxbaseCliError
from fluxbase_cli.keyring import Key, KeyDater, Keyring
from fluxbase_cli.keys.history import KeyHistory, KeyState, history_over
from fluxbase_cli.keys.loader import open_keyring
from fluxbase_cli.keys.pins import other_keys
from fluxbase_cli.keys.sources import KeySources, find_key_sources
from fluxbase_cli.seal import compute_fingerprints
from fluxbase_cli.store.clock import Clock, ServerClock
from fluxbase_cli.store.connection import session
from fluxbase_cli.store.key_records import KeyEvent

#: The runbook says to rotate every quarter of a year.
OLDEST_ACTIVE = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class ListedKey:
    """One key version.

    Attributes:
        version, provider, source, fingerprint: the key and its source, never its value.
        active: whether new values are sealed under it.
        server: whether the server has this key, by the configuration.
        state: its state.
        warnings: what the operator should check.
        created_at: when it was made, if that is known.
        last_rotation: when values were last moved to it, if that is known.
    """

    version: int
    provider: str
    source: str
    fingerprint: str
    active: bool
    state: KeyState
    warnings: tuple[str, ...]
    created_at: datetime | None
    last_rotation: datetime | None
    server: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class KeyList:
    """The keys, the oldest first, and the keyring with those that still exist."""

    keys: tuple[ListedKey, ...]
    keyring: Keyring


def list_keys(
    settings: Settings,
    environ: Mapping[str, str],
    *,
    warn: Callable[[str], None],
    clock: Clock | None = None,
) -> KeyList:
    """List the configured keys, the wrapped keys in the database, and the destroyed keys.

    Args:
        settings: the configuration.
        environ: the environment, for providers.
        warn: called with warnings for the operator.
        clock: the clock; None means the database server's clock. If the database can't be reached, no key is reported
            as old.

    Raises:
        ConfigurationError: a key can't be read or can't be used.
    """
    keyring = open_keyring(settings, environ, warn=warn, check_pins=False)
    history, now = _ask_database(settings, warn, clock)
    history = history.knowing(keyring.keys)
    compute_fingerprints(key.secret for key in keyring.keys)
    sources = find_key_sources(settings.encryption, history, environ, warn)
    listed = [_listed(key, keyring, sources, history, now) for key in keyring.keys]
    listed += _destroyed(history, keyring)
    return KeyList(tuple(sorted(listed, key=lambda key: key.version)), keyring)


def _ask_database(
    settings: Settings, warn: Callable[[str], None], clock: Clock | None
) -> tuple[KeyHistory, datetime | None]:
    """What the database knows about keys, and the time of its server."""
    try:
        with session(settings.database) as connection:
            return history_over(connection), (clock or ServerClock(connection))()
    except FluxbaseCliError as error:
        warn(
            f"the database can't be asked which keys are disabled or destroyed ({error.message}); "
            "`fluxbase-cli config check` says what to do"
        )
        return KeyHistory(), None if clock is None else clock()


def _listed(key: Key, keyring: Keyring, sources: KeySources, history: KeyHistory, now: datetime | None) -> ListedKey:
    active = key.version == keyring.active
    state = history.state(key.version, key.fingerprint)
    created_at = history.created_at(key.version, key.fingerprint) or _dated(key, sources)
    last_rotation = history.rotations.get(key.version)
    source = sources.source(sources.entry(key.version))
    warnings = [f"it is not the key of this version: {other}" for other in other_keys(history.pinned, [key])]
    warnings += key.warnings
    if state is KeyState.DESTROYED:
        warnings.append(f"it is recorded as destroyed, and its key is still at {source}: remove it there")
    if active and state is not KeyState.ENABLED:
        warnings.append(f"it is active and {state}: nothing should be sealed under it; make another version active")
    in_use_since = created_at or last_rotation
    age = None if now is None or in_use_since is None else now - in_use_since
    if active and age is not None and age > OLDEST_ACTIVE:
        warnings.append(
            f"it is active and {age.days} days old: rotate it, keys are changed every {OLDEST_ACTIVE.days} days"
        )
    return ListedKey(
        version=key.version,
        provider=key.provider,
        source=source,
        fingerprint=key.fingerprint,
        active=active,
        state=state,
        warnings=tuple(warnings),
        created_at=created_at,
        last_rotation=last_rotation,
        server=key.version == keyring.server_version,
    )


def _dated(key: Key, sources: KeySources) -> datetime | None:
    """The date of the key in its source. None if it can't be read: the list is useful without it."""
    provider = sources.provider(key.provider)
    if not isinstance(provider, KeyDater):
        return None
    try:
        return provider.created_at(sources.entry(key.version))
    except ConfigurationError:
        return None


def _destroyed(history: KeyHistory, keyring: Keyring) -> list[ListedKey]:
    existing = {(key.version, key.fingerprint) for key in keyring.keys}
    destroyed = {
        (record.version, record.fingerprint): record
        for record in history.records
        if record.what is KeyEvent.DESTROYED and (record.version, record.fingerprint) not in existing
    }
    return [
        ListedKey(
            version=record.version,
            provider=str(record.detail.get("provider", "")),
            source=str(record.detail.get("source", "")),
            fingerprint=record.fingerprint,
            active=False,
            state=KeyState.DESTROYED,
            warnings=(),
            created_at=history.created_at(record.version, record.fingerprint),
            last_rotation=history.rotations.get(record.version),
        )
        for record in destroyed.values()
    ]
