"""The one interface between the keyring and the places where keys live.

A provider is a module with one function of one key's configuration. It is found by its name in the entry point group
`fluxbase_cli.key_providers`, so that a company can add its own in a package of its own; neither the engine nor the
keyring knows any provider.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Protocol

from fluxbase_cli.config import EncryptionSettings, KeyEntry
from fluxbase_cli.errors import ConfigurationError

ENTRY_POINT_GROUP = "fluxbase_cli.key_providers"


@dataclass(frozen=True, slots=True)
class ProviderContext:
    """What a provider is given when it is made.

    Attributes:
        encryption: the section `security.encryption` of the configuration.
        environ: the environment, for credentials and endpoints.
    """

    encryption: EncryptionSettings
    environ: Mapping[str, str]


class KeyProvider(Protocol):
    """Hands over the keys that one kind of place keeps."""

    def fetch(self, entry: KeyEntry) -> bytes:
        """Return the key of one entry, exactly 32 bytes.

        It is called once per version and run, before the first value is read; it must not cache on disk.

        Raises:
            ConfigurationError: the entry, the credentials or the key itself can't be used. The message names
                `entry.source` and never holds a part of the key.
        """
        ...


ProviderFactory = Callable[[ProviderContext], KeyProvider]


def load_provider(name: str, context: ProviderContext) -> KeyProvider:
    """Make the provider of that name.

    Raises:
        ConfigurationError: no installed package offers a provider of that name.
    """
    known = entry_points(group=ENTRY_POINT_GROUP)
    for point in known:
        if point.name == name:
            factory: ProviderFactory = point.load()
            return factory(context)
    names = ", ".join(sorted({point.name for point in known})) or "none"
    message = f"no key provider named '{name}' is installed (installed: {names})"
    raise ConfigurationError(message, hint="Check `provider:` in security.encryption, or install the package with it.")
