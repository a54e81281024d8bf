"""The new key of a rotation: chooses its version, and makes it in the key source or finds it there."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fluxbase_cli.config import Settings
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.keyring import Key, KeyAbsentError, KeyCreator, KeyFinder, Keyring, fetch_key
from fluxbase_cli.keys.create import StoredKey, create_key
from fluxbase_cli.keys.history import KeyHistory
from fluxbase_cli.keys.loader import open_keyring
from fluxbase_cli.keys.sources import KeySources, find_key_sources
from fluxbase_cli.keys.target_rules import refuse_unfit

Warn = Callable[[str], None]


def open_ring(settings: Settings, environ: Mapping[str, str], *, warn: Warn) -> Keyring:
    """Fetch all keys. A key that is configured with a higher version than the active one may not exist yet.

    Raises:
        ConfigurationError, DatabaseError: as for `fluxbase_cli.keys.loader.open_keyring`.
    """
    active = settings.encryption.effective_key_version or 0
    to_come = frozenset(version for version in settings.encryption.versions if version > active)
    return open_keyring(settings, environ, warn=warn, gone=to_come)


def current_version(settings: Settings, keyring: Keyring) -> int:
    """The version under which the server seals now."""
    encryption = settings.encryption
    if encryption.is_single:
        return keyring.server_version or keyring.active
    return encryption.effective_key_version or keyring.active


class NextKey:
    """The key that a rotation moves to.

    Args:
        settings: the configuration.
        environ: the environment, for providers that need credentials.
        history: what the database knows about keys.
        used: the versions that were ever the target of a job.
        active: the version under which the server seals now.
        returned: the version of a rotation that went back automatically after a failure. Its key is used again.
        warn: called with warnings for the operator.
    """

    def __init__(  # noqa: PLR0913  # what the choice depends on
        self,
        settings: Settings,
        environ: Mapping[str, str],
        history: KeyHistory,
        used: frozenset[int],
        *,
        active: int,
        returned: int | None = None,
        warn: Warn,
    ) -> None:
        self._settings = settings
        self._active = active
        self._returned = returned
        self._environ = environ
        self._history = history
        self._used = used
        self._warn = warn

    @property
    def _sources(self) -> KeySources:
        return find_key_sources(self._settings.encryption, self._history, self._environ, self._warn)

    def choose(self) -> int:
        """Choose the version of the next key.

        If a version is configured that is higher than all versions ever used, somebody has prepared it, and it is
        chosen. A used version that is higher than the active one was rolled back from by a person, and its key may be
        compromised. It is never chosen again. The key of a rotation that went back automatically is chosen again.

        Raises:
            ConfigurationError: no version is prepared, and the provider can't make keys; or the place of the next key
                already has a key.
        """
        sources, active = self._sources, self._active
        again = self._returned
        if again is not None and again in sources.entries and not self._is_retired(again) and self.find(again):
            return again
        used = max({active, *self._used, *(v for v in self._history.versions if self._is_retired(v))})
        prepared = min((version for version in sources.entries if version > used), default=None)
        if prepared is not None:
            self.find(prepared)
            return prepared
        version = max({used, *sources.entries, *self._history.versions}) + 1
        name = sources.provider_for_new(version)
        if not isinstance(sources.provider(name), KeyCreator):
            raise ConfigurationError(
                f"the provider '{name}' can't make a key, and no version after {used} is configured",
                hint=f"Make a key with `fluxbase-cli keys generate`, configure it as version {version}, leave "
                f"active_key_version at {active}, and run the rotation again. Or use a provider that can make keys: "
                "`provider: vault`, vault_transit, aws_kms or aws_secrets_manager, an entry `key_file: PATH`, or "
                "security.encryption.server.env_file.",
            )
        existing = self.find(version)
        if existing is not None:
            raise ConfigurationError(
                f"there is a key of version {version} already at {existing.source}, and no entry for it",
                hint="If it was made for this rotation, add its entry to security.encryption.keys. If not, remove it.",
            )
        return version

    def _is_retired(self, version: int) -> bool:
        record = self._history.last(version)
        return record is not None and self._history.state(version, record.fingerprint).value != "enabled"

    def find(self, version: int) -> StoredKey | None:
        """Find the key of a version at its configured source, or where it would be made. None if there is no key.

        Raises:
            ConfigurationError: its source is not known or can't be reached, or nothing should be sealed under the key.
        """
        sources = self._sources
        entry = sources.entries.get(version)
        if entry is not None:
            try:
                secret = fetch_key(sources.provider(entry.provider), entry)
            except KeyAbsentError:
                return None
            key = Key(version, secret, entry.provider, entry.source)
            refuse_unfit(key, self._settings.encryption)
            return StoredKey(version, key.provider, key.source, key.fingerprint, {}, configured=True)
        name = sources.provider_for_new(version)
        provider = sources.provider(name)
        if not isinstance(provider, KeyFinder):
            return None
        found = provider.find(version, tuple(sources.entries.values()))
        if found is None:
            return None
        return StoredKey(version, name, found.entry.source, found.fingerprint, found.setting, configured=False)

    def make(self, version: int) -> StoredKey:
        """Make the key, store it and read it back, or find the key that an earlier run has made.

        Call it only with a version that was chosen and recorded when no key of that version existed. Then a key that
        is found was made by this rotation.

        Raises:
            ConfigurationError, DatabaseError: as for `fluxbase_cli.keys.create.create_key`.
        """
        found = self.find(version)
        return create_key(self._settings, self._environ, version, warn=self._warn) if found is None else found
