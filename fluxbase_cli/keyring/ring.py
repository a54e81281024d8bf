"""The key ring: the keys of one run, by version."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from fluxbase_cli import seal
from fluxbase_cli.config import EncryptionSettings, KeyEntry
from fluxbase_cli.config.provider_traits import TEXT_PROVIDER
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.keyring.material import parse_key
from fluxbase_cli.keyring.provider import KeyAbsentError, KeyProvider, ProviderContext, load_provider
from fluxbase_cli.keyring.weakness import SAMPLE_KEYS, weakness_of


@dataclass(frozen=True, slots=True, repr=False)
class Key:
    """The key of one version. Its `repr` shows only version and fingerprint.

    Attributes:
        version: a positive number.
        secret: 32 bytes.
        provider: the name of its provider.
        source: where it was found, never a value.
    """

    version: int
    secret: bytes
    provider: str = TEXT_PROVIDER
    source: str = ""

    def __repr__(self) -> str:
        return f"Key(version={self.version}, fingerprint={self.fingerprint})"

    @property
    def fingerprint(self) -> str:
        """The fingerprint (see `fluxbase_cli.seal.fingerprint`), computed when it is asked for: that may be slow."""
        return seal.fingerprint(self.secret)

    @property
    def former_fingerprint(self) -> str | None:
        """The fingerprint in the form of releases before 0.2, if the present one has another form."""
        return seal.former_fingerprint(self.secret) if seal.is_text(self.secret) else None

    def has_fingerprint(self, text: str) -> bool:
        """Whether a text is the fingerprint of this key, in the present form or in the former one."""
        return seal.is_fingerprint(text, self.secret)

    @property
    def is_sample(self) -> bool:
        """Whether it is one of the keys in public documentation."""
        return self.secret in SAMPLE_KEYS

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings about this key for the operator."""
        weakness = weakness_of(self.secret)
        return () if weakness is None else (f"{weakness}; others can guess it, and open what it seals",)


@dataclass(frozen=True, slots=True, repr=False)
class ServersKey:
    """The key that the server has. In the keyring it is one of the keys.

    Attributes:
        secret: 32 bytes.
        source: where it was found, never a value.
        only: whether the server knows no other key.
    """

    secret: bytes
    source: str
    only: bool = True

    def without_double(self, keys: tuple[Key, ...]) -> tuple[Key, ...]:
        """The keys without the entry of this key, if another entry has the same key or the same version."""
        others = tuple(key for key in keys if key.source != self.source)
        own = {key.version for key in keys if key.source == self.source}
        if any(key.version in own or hmac.compare_digest(key.secret, self.secret) for key in others):
            return others
        return keys

    def version_among(self, keys: tuple[Key, ...]) -> int:
        """The version of this key.

        Raises:
            ConfigurationError: it is none of the keys, because another key has version 1.
        """
        for key in keys:
            if hmac.compare_digest(key.secret, self.secret):
                return key.version
        first = next((f", and version 1 is another key ({key.source})" for key in keys if key.version == 1), "")
        raise ConfigurationError(
            f"the key at {self.source} is none of the configured versions{first}",
            hint="The server has this key, so values may need it: give it a version of its own, in "
            "security.encryption.keys or as FLUXBASE_SECRET_KEY_<version>.",
        )


class Keyring:
    """The keys by version, the newest first.

    Args:
        keys: at least one key.
        active: the configured version under which the server seals. None means the version of the server's only key,
            or the highest version.
        to_come: versions that have an entry but no key yet.
        server: the key that the server has, if it is configured; it is also one of the keys.
        keeps_wrapped_keys: whether new keys are made and kept wrapped. An error says then how one is made.

    Attributes:
        active: the version under which new values are sealed.
        server_version: the version of the key that the server has; None if that is not configured.
        newest: the highest version.

    Raises:
        ConfigurationError: there is no key, one version has two keys, two versions have the same key, the active
            version has no key, or the server has none of the keys.
    """

    def __init__(
        self,
        keys: tuple[Key, ...],
        *,
        active: int | None = None,
        to_come: frozenset[int] = frozenset(),
        server: ServersKey | None = None,
        keeps_wrapped_keys: bool = False,
    ) -> None:
        keys = keys if server is None else server.without_double(keys)
        if not keys:
            raise ConfigurationError(
                "no key is configured",
                hint="Set security.encryption.keys in fluxbase.yaml, or FLUXBASE_SECRET_KEY_1 and so on.",
            )
        self._by_version: Mapping[int, Key] = {
            key.version: key for key in sorted(keys, key=lambda key: key.version, reverse=True)
        }
        if len(self._by_version) != len(keys):
            raise ConfigurationError("one key version is configured twice")
        self._to_come = to_come
        self._keeps_wrapped_keys = keeps_wrapped_keys
        _refuse_equal_keys(tuple(self._by_version.values()))
        self.newest = max(self._by_version)
        self.server_version = None if server is None else server.version_among(tuple(self._by_version.values()))
        by_server = self.server_version if server is not None and server.only else None
        self.active = active or by_server or self.newest
        if self.active not in self._by_version:
            raise self._missing(self.active)

    def __repr__(self) -> str:
        return f"Keyring({', '.join(map(repr, self.keys))})"

    @property
    def keys(self) -> tuple[Key, ...]:
        """All keys, newest first."""
        return tuple(self._by_version.values())

    @property
    def versions(self) -> tuple[int, ...]:
        """All versions, newest first."""
        return tuple(self._by_version)

    @property
    def server_key(self) -> Key | None:
        """The key that the server has. None if that is not configured."""
        return None if self.server_version is None else self.key(self.server_version)

    def key(self, version: int) -> Key:
        """The key of this version.

        Raises:
            ConfigurationError: there is none.
        """
        try:
            return self._by_version[version]
        except KeyError:
            raise self._missing(version) from None

    def _missing(self, version: int) -> ConfigurationError:
        if version in self._to_come:
            return ConfigurationError(
                f"key version {version} is configured and has no key yet",
                hint=f"`fluxbase-cli keys generate --store --key-version {version}` makes it.",
            )
        have = ", ".join(str(v) for v in sorted(self._by_version))
        return ConfigurationError(
            f"key version {version} is not configured (configured: {have})",
            hint=f"`fluxbase-cli keys generate --store --key-version {version}` makes it."
            if self._keeps_wrapped_keys
            else f"Add it to security.encryption.keys, or set FLUXBASE_SECRET_KEY_{version}.",
        )


def _refuse_equal_keys(keys: tuple[Key, ...]) -> None:
    ordered = sorted(keys, key=lambda key: key.version)
    for index, first in enumerate(ordered):
        for second in ordered[index + 1 :]:
            if hmac.compare_digest(first.secret, second.secret):
                raise ConfigurationError(
                    f"key versions {first.version} and {second.version} are the same key "
                    f"({first.source or 'no place'}; {second.source or 'no place'})",
                    hint="Each version needs a different key: `fluxbase-cli keys generate` makes one.",
                )


def fetch_key(provider: KeyProvider, entry: KeyEntry) -> bytes:
    """Fetch the key of an entry, and check that it is the one that the database has recorded with its wrapped form.

    A wrapped key in the database can be exchanged, or come from another installation's backup. Only the fingerprint
    shows that.

    Returns:
        32 bytes.

    Raises:
        ConfigurationError: as for `KeyProvider.fetch`; or the key is another one than the recorded one.
    """
    secret = provider.fetch(entry)
    refuse_other(entry, secret)
    return secret


def refuse_other(entry: KeyEntry, secret: bytes) -> None:
    """Refuse a key that is another one than the database has recorded with its wrapped form.

    Raises:
        ConfigurationError: it is another key.
    """
    if entry.recorded is not None and not seal.is_fingerprint(entry.recorded, secret):
        raise ConfigurationError(
            f"the key at {entry.source} has the fingerprint {seal.fingerprint(secret)}, and {entry.recorded} is "
            "recorded with it: it is another key",
            hint="It is not used. Somebody has exchanged the wrapped key, or it comes from another installation. "
            "Restore this row from a backup of this database.",
        )


def fetch_keys(
    encryption: EncryptionSettings,
    environ: Mapping[str, str],
    *,
    entries: Iterable[KeyEntry] | None = None,
    warn: Callable[[str], None] | None = None,
    may_be_gone: Callable[[KeyEntry], bool] | None = None,
) -> tuple[Key, ...]:
    """Fetch every key from its provider, once.

    Args:
        encryption: the section `security.encryption` of the configuration.
        environ: the environment, for providers that need credentials.
        entries: the entries to fetch; None means those of the configuration.
        warn: called with each warning for the operator.
        may_be_gone: called with an entry that has no key at its place. If it returns True (the key was destroyed), the
            version is left out.

    Raises:
        ConfigurationError: a key can't be fetched or can't be used.
    """
    context = ProviderContext(encryption, environ) if warn is None else ProviderContext(encryption, environ, warn)
    providers: dict[str, KeyProvider] = {}
    keys = []
    for entry in encryption.keys if entries is None else entries:
        provider = providers.get(entry.provider)
        if provider is None:
            provider = providers[entry.provider] = load_provider(entry.provider, context)
        try:
            secret = fetch_key(provider, entry)
        except KeyAbsentError:
            if may_be_gone is None or not may_be_gone(entry):
                raise
            continue
        keys.append(Key(entry.version, secret, entry.provider, entry.source))
    return tuple(keys)


def load_keyring(encryption: EncryptionSettings, environ: Mapping[str, str]) -> Keyring:
    """The key ring of the configured keys (see `fetch_keys`).

    Raises:
        ConfigurationError: a key can't be fetched or can't be used.
    """
    keys = fetch_keys(encryption, environ)
    return Keyring(keys, active=encryption.active_key_version, server=servers_key(encryption))


def servers_key(encryption: EncryptionSettings) -> ServersKey | None:
    """The key of the setting `encryption_key`. None if it is not set.

    Raises:
        ConfigurationError: it does not have the form of a key.
    """
    key = encryption.server_key
    if key is None:
        return None
    return ServersKey(parse_key(key.value.reveal(), key.source), key.source, only=encryption.is_single)
