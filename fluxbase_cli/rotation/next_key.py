"""The new key of a rotation: which version it is, and making it where keys are kept, or finding it there."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fluxbase_cli import seal
from fluxbase_cli.config import Settings
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.keyring import KeyAbsentError, KeyCreator, KeyFinder, Keyring
from fluxbase_cli.keys.create import StoredKey, create_key
from fluxbase_cli.keys.history import KeyHistory
from fluxbase_cli.keys.loader import open_keyring
from fluxbase_cli.keys.sources import KeySources, find_key_sources

Warn = Callable[[str], None]


def open_ring(settings: Settings, environ: Mapping[str, str], *, warn: Warn) -> Keyring:
    """Fetch all keys; one that is configured beyond the active version may still have to be made.

    Raises:
        ConfigurationError, DatabaseError: as for `fluxbase_cli.keys.loader.open_keyring`.
    """
    active = settings.encryption.effective_key_version or 0
    to_come = frozenset(version for version in settings.encryption.versions if version > active)
    return open_keyring(settings, environ, warn=warn, gone=to_come)


class NextKey:
    """The key that a rotation moves to.

    Args:
        settings: what is configured.
        environ: the environment, for providers that need credentials.
        register: what the database knows of keys.
        used: the versions that values were ever to be moved to.
        warn: is called with what an operator should know.
    """

    def __init__(
        self, settings: Settings, environ: Mapping[str, str], history: KeyHistory, used: frozenset[int], *, warn: Warn
    ) -> None:
        self._settings = settings
        self._environ = environ
        self._history = history
        self._used = used
        self._warn = warn

    @property
    def _sources(self) -> KeySources:
        return find_key_sources(self._settings.encryption, self._history, self._environ, self._warn)

    def choose(self) -> int:
        """The version that the next key has, or will have.

        A version that is configured beyond all that were ever in use is the next one: somebody has prepared it. What
        was in use and is higher than the active one was rolled back from, and is never taken again.

        Raises:
            ConfigurationError: there is none, and the provider can't make keys; or there is a key already where the
                next one would go.
        """
        sources = self._sources
        active = self._settings.encryption.effective_key_version or 0
        used = max({active, *self._used, *(v for v in self._history.versions if self._is_spent(v))})
        prepared = min((version for version in sources.entries if version > used), default=None)
        if prepared is not None:
            return prepared
        version = max({used, *sources.entries, *self._history.versions}) + 1
        name = sources.provider_for_new(version)
        if not isinstance(sources.provider(name), KeyCreator):
            raise ConfigurationError(
                f"the provider '{name}' can't make a key, and no version after {used} is configured",
                hint=f"Make a key with `fluxbase-cli keys generate`, configure it as version {version} beside the "
                f"others, and leave active_key_version at {active}: the rotation goes on then. Or keep keys where "
                "they can be made: `provider: vault` or `provider: aws_kms`.",
            )
        there = self.find(version)
        if there is not None:
            raise ConfigurationError(
                f"there is a key of version {version} already at {there.source}, and no entry for it",
                hint="If it was made for this rotation, add its entry to security.encryption.keys. If not, remove it.",
            )
        return version

    def _is_spent(self, version: int) -> bool:
        record = self._history.last(version)
        return record is not None and self._history.state(version, record.fingerprint).value != "enabled"

    def find(self, version: int) -> StoredKey | None:
        """The key of that version, where it is configured to be or would be made; None where there is none.

        Raises:
            ConfigurationError: its place can't be told or reached.
        """
        sources = self._sources
        entry = sources.entries.get(version)
        if entry is not None:
            try:
                secret = sources.provider(entry.provider).fetch(entry)
            except KeyAbsentError:
                return None
            return StoredKey(version, entry.provider, entry.source, seal.fingerprint(secret), {}, configured=True)
        name = sources.provider_for_new(version)
        provider = sources.provider(name)
        if not isinstance(provider, KeyFinder):
            return None
        found = provider.find(version, tuple(sources.entries.values()))
        if found is None:
            return None
        return StoredKey(version, name, found.entry.source, found.fingerprint, found.setting, configured=False)

    def make(self, version: int) -> StoredKey:
        """Make the key, store it and read it back; or find the one that an earlier run has made.

        Only to be called with a version that was chosen, and written down, when there was no key of it: what is found
        then was made by this rotation.

        Raises:
            ConfigurationError, DatabaseError: as for `fluxbase_cli.keys.create.create_key`.
        """
        found = self.find(version)
        return create_key(self._settings, self._environ, version, warn=self._warn) if found is None else found
