"""The traits of a key provider that must be known to read the configuration, before the provider is made.

A provider is found by its name in the entry point group `fluxbase_cli.key_providers`. Its traits are class attributes.
A trait that the class does not have is False. This module knows only the default providers by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points

ENTRY_POINT_GROUP = "fluxbase_cli.key_providers"
#: The provider of keys that are in the configuration as text.
TEXT_PROVIDER = "env"
#: The provider of a wrapped key whose provider is not named.
DEFAULT_WRAPPING_PROVIDER = "aws_kms"


@dataclass(frozen=True, slots=True)
class ProviderTraits:
    """The traits of a provider.

    Attributes:
        installed: whether there is a provider with this name.
        keeps_wrapped_keys: its keys are kept wrapped, in the option `ciphertext` of an entry or in the database.
        text_is_key: plain text at `key:` is always the key itself, and never the name of a key.
    """

    installed: bool = False
    keeps_wrapped_keys: bool = False
    text_is_key: bool = False


@cache
def traits_of(name: str | None) -> ProviderTraits:
    """The traits of the provider with this name. If it is not installed, or can't be imported, it has no traits.

    `fluxbase_cli.keyring.provider.load_provider` raises the error for such a provider.
    """
    if name is None or name == TEXT_PROVIDER:
        return ProviderTraits(installed=name is not None)
    for point in entry_points(group=ENTRY_POINT_GROUP):
        if point.name == name:
            try:
                provider = point.load()
            except ImportError:
                return ProviderTraits()
            return ProviderTraits(
                installed=True,
                keeps_wrapped_keys=bool(getattr(provider, "keeps_wrapped_keys", False)),
                text_is_key=bool(getattr(provider, "text_is_key", False)),
            )
    return ProviderTraits()
