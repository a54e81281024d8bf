"""Which provider keeps which key: from a version to the entry and the provider that stand for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from fluxbase_cli.config import EncryptionSettings, KeyEntry
from fluxbase_cli.config.provider_traits import DEFAULT_WRAPPING_PROVIDER, TEXT_PROVIDER
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.keyring import KeyNamer, KeyProvider, ProviderContext, load_provider
from fluxbase_cli.keys.history import KeyHistory
from fluxbase_cli.keys.loader import keeps_wrapped_keys, wrapped_entries


@dataclass(frozen=True, slots=True)
class KeySources:
    """All entries, those of the configuration and those of the database, and the providers behind them.

    Attributes:
        encryption: what is configured.
        entries: all entries by version.
        environ: the environment, for providers.
        warn: is called with what an operator should know.
    """

    encryption: EncryptionSettings
    entries: Mapping[int, KeyEntry]
    environ: Mapping[str, str]
    warn: Callable[[str], None]

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
        """A provider that knows all entries, made anew.

        Raises:
            ConfigurationError: no provider of that name is installed.
        """
        known = replace(self.encryption, keys=tuple(self.entries.values()))
        return load_provider(name, ProviderContext(known, self.environ, self.warn))

    def source(self, entry: KeyEntry) -> str:
        """Where a key is, fit to be shown: what its provider calls the place, and where its entry stands."""
        try:
            provider = self.provider(entry.provider)
            return f"{provider.place(entry)} ({entry.source})" if isinstance(provider, KeyNamer) else entry.source
        except ConfigurationError:
            # Whoever uses the key is told what is wrong with its entry.
            return entry.source

    def provider_for_new(self, version: int) -> str:
        """The name of the provider that shall keep a new key.

        That of the version's own entry; else the configured one; else that of the newest key.
        """
        if version in self.entries:
            return self.entries[version].provider
        if self.encryption.provider is not None:
            return self.encryption.provider
        if keeps_wrapped_keys(self.encryption):
            return DEFAULT_WRAPPING_PROVIDER
        newest = max(self.entries, default=None)
        return TEXT_PROVIDER if newest is None else self.entries[newest].provider


def find_key_sources(
    encryption: EncryptionSettings, history: KeyHistory, environ: Mapping[str, str], warn: Callable[[str], None]
) -> KeySources:
    """Put the entries of the configuration and of the database together."""
    entries = (*encryption.keys, *wrapped_entries(encryption, history))
    return KeySources(encryption, {entry.version: entry for entry in entries}, environ, warn)
