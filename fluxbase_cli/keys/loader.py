"""Loads the keyring: the configured keys and the wrapped keys of the database, without destroyed keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fluxbase_cli.config import DatabaseSettings, EncryptionSettings, KeyEntry, Settings
from fluxbase_cli.errors import ConfigurationError, FluxbaseCliError
from fluxbase_cli.keyring import Key, Keyring, fetch_keys, servers_key
from fluxbase_cli.keys.history import KeyHistory, KeyState, entry_of, read_history
from fluxbase_cli.keys.pins import read_pins, refuse_other_keys
from fluxbase_cli.seal import compute_fingerprints


class _LazyHistory:
    """Reads the key history from the database once, and only if it is needed.

    So an unusable key is reported before any connection is made.
    """

    def __init__(self, database: DatabaseSettings) -> None:
        self._database = database
        self._history: KeyHistory | None = None

    def read(self) -> KeyHistory:
        if self._history is None:
            self._history = read_history(self._database)
        return self._history

    def may_be_gone(self, entry: KeyEntry) -> bool:
        try:
            return self.read().may_be_gone(entry.version)
        except FluxbaseCliError:
            # The missing key is the more important error, and the caller reports it.
            return False

    def is_to_come(self, entry: KeyEntry) -> bool:
        try:
            return self.read().is_to_come(entry.version)
        except FluxbaseCliError:
            return False


def wrapped_entries(encryption: EncryptionSettings, history: KeyHistory) -> tuple[KeyEntry, ...]:
    """The entries of the wrapped keys of the database, without versions that have a configured entry.

    The server's key counts as version 1 only if nothing else does.
    """
    server = encryption.server_key
    configured = {entry.version for entry in encryption.keys if server is None or entry.source != server.source}
    return tuple(entry_of(key) for key in history.wrapped if key.version not in configured)


def open_keyring(
    settings: Settings,
    environ: Mapping[str, str],
    *,
    warn: Callable[[str], None],
    gone: frozenset[int] = frozenset(),
    check_pins: bool = True,
) -> Keyring:
    """Fetch all keys: the configured keys, and the wrapped keys of the database.

    Args:
        settings: the configuration.
        environ: the environment, for providers that need credentials.
        warn: called with each warning for the operator.
        gone: versions whose keys may be missing, besides those that are recorded as destroyed.
        check_pins: refuse a key that is not the one that is pinned to its version (see `fluxbase_cli.keys.pins`).

    Raises:
        ConfigurationError: a key can't be fetched or can't be used, or is not the one that is pinned to its version.
        DatabaseError: there may be wrapped keys, and the database can't be reached.
    """
    history = _LazyHistory(settings.database)
    active = settings.encryption.effective_key_version
    to_come: set[int] = set()

    def may_be_gone(entry: KeyEntry) -> bool:
        if entry.version in gone:
            return True
        # An entry may be written before its key is made. But if the version is lower than the active one, or was used
        # before, the key is missing.
        may_be_new = encryption.is_single or (active is not None and entry.version > active)
        if may_be_new and history.is_to_come(entry):
            to_come.add(entry.version)
            return True
        if not history.may_be_gone(entry):
            return False
        warn(f"key version {entry.version} was destroyed, and its entry is still at {entry.source}: remove it")
        return True

    encryption = settings.encryption
    keys = fetch_keys(encryption, environ, warn=warn, may_be_gone=may_be_gone)
    if encryption.keeps_wrapped_keys:
        wrapped = wrapped_entries(encryption, history.read())
        keys += fetch_keys(encryption, environ, entries=wrapped, warn=warn, may_be_gone=may_be_gone)
    server = servers_key(encryption)
    if not keys and server is None:
        raise _no_key(settings)
    ring = Keyring(
        keys,
        active=encryption.active_key_version,
        to_come=frozenset(to_come),
        server=server,
        keeps_wrapped_keys=encryption.keeps_wrapped_keys,
    )
    if check_pins:
        pinned = read_pins(settings.database, warn=warn)
        compute_fingerprints(key.secret for key in ring.keys if key.version in pinned)
        refuse_other_keys(pinned, ring.keys)
    return ring


def _no_key(settings: Settings) -> ConfigurationError:
    files = {"fluxbase.yaml": settings.config_file, ".env": settings.env_file}
    read = ", ".join(str(file) for file in files.values() if file)
    missing = ", ".join(name for name, file in files.items() if not file)
    said = [f"read: {read}"] * bool(read) + [f"not found: {missing}"] * bool(missing)
    return ConfigurationError(
        f"no key is configured ({'; '.join(said)})",
        hint="`fluxbase-cli keys generate --store` makes the first one."
        if settings.encryption.keeps_wrapped_keys
        else "Set security.encryption.keys in fluxbase.yaml, or FLUXBASE_SECRET_KEY_1 and so on.",
    )


def destroyed_versions(database: DatabaseSettings) -> frozenset[int]:
    """The versions whose keys are recorded as destroyed. Empty if the database can't be reached."""
    try:
        history = read_history(database)
    except FluxbaseCliError:
        return frozenset()
    return frozenset(version for version in history.versions if history.may_be_gone(version))


def refuse_as_target(history: KeyHistory, key: Key) -> None:
    """Raise an error if nothing may be sealed under the key any more.

    Raises:
        ConfigurationError: the key is disabled or destroyed.
    """
    state = history.knowing([key]).state(key.version, key.fingerprint)
    if state is KeyState.ENABLED:
        return
    hint = "Choose another version."
    if state is KeyState.DISABLED:
        hint = f"`fluxbase-cli keys enable --key-version {key.version}` enables it again."
    raise ConfigurationError(
        f"key version {key.version} (fingerprint {key.fingerprint}) is {state}: nothing is sealed under it any more",
        hint=hint,
    )
