"""The key sources: for each key version, its entry and its provider."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from fluxbase_cli.config import EncryptionSettings, KeyEntry
from fluxbase_cli.config.provider_traits import TEXT_PROVIDER, wrapping_provider
from fluxbase_cli.encoding import Encoding
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.keyring import KeyNamer, KeyProvider, ProviderContext, load_provider
from fluxbase_cli.keys.history import KeyHistory
from fluxbase_cli.keys.loader import wrapped_entries


@dataclass(frozen=True, slots=True)
class KeySources:
    """All entries, from the configuration and from the database, and their providers.

    Attributes:
        encryption: the section `security.encryption` of the configuration.
        entries: all entries by version.
        environ: the environment, for providers.
        warn: called with each warning for the operator.
        encoding: the form of new keys; None means the form that the server takes.
    """

    encryption: EncryptionSettings
    entries: Mapping[int, KeyEntry]
    environ: Mapping[str, str]
    warn: Callable[[str], None]
    encoding: Encoding | None = None

    def entry(self, version: int) -> KeyEntry:
        """The entry of a version.

        Raises:
            ConfigurationError: there is none.
        """
        try:
            return self.entries[version]
        except KeyError:
            have = ", ".join(map(str, sorted(self.entries))) or "none"
            raise ConfigurationError(
                f"key version {version} is not configured (configured: {have})",
                hint="`fluxbase-cli keys list` shows the versions.",
            ) from None

    def provider(self, name: str) -> KeyProvider:
        """Make a new provider that knows all entries.

        Raises:
            ConfigurationError: no provider with this name is installed.
        """
        known = replace(self.encryption, keys=tuple(self.entries.values()))
        encoding = self.encoding or (Encoding.RAW if known.is_single else Encoding.HEX)
        return load_provider(name, ProviderContext(known, self.environ, self.warn, encoding))

    def source(self, entry: KeyEntry) -> str:
        """Where a key is, as it may be shown: the place as its provider names it, and the place of its entry."""
        try:
            provider = self.provider(entry.provider)
            return f"{provider.place(entry)} ({entry.source})" if isinstance(provider, KeyNamer) else entry.source
        except ConfigurationError:
            # The code that uses the key reports what is wrong with its entry.
            return entry.source

    def provider_for_new(self, version: int) -> str:
        """The name of the provider for a new key.

        It is the provider of the version's entry. If there is no entry, it is the configured provider. If none is
        configured, it is the provider of the wrapping key if there may be wrapped keys, else the provider of the
        newest key.
        """
        if version in self.entries:
            return self.entries[version].provider
        if self.encryption.provider is not None:
            return self.encryption.provider
        if self.encryption.keeps_wrapped_keys:
            return wrapping_provider(self.encryption.kms_key_id)
        newest = max(self.entries, default=None)
        return TEXT_PROVIDER if newest is None else self.entries[newest].provider


def find_key_sources(
    encryption: EncryptionSettings, history: KeyHistory, environ: Mapping[str, str], warn: Callable[[str], None]
) -> KeySources:
    """Combine the entries of the configuration and of the database."""
    entries = (*encryption.keys, *wrapped_entries(encryption, history))
    return KeySources(encryption, {entry.version: entry for entry in entries}, environ, warn)
