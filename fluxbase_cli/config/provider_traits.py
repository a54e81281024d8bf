"""What a key provider says of itself before it is made, so that the configuration can be read.

A provider is found by its name in the entry point group `fluxbase_cli.key_providers`. It says what follows by class
attributes; each is False where a provider lacks it. No provider is known here by its name but the default ones.
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
    """What a provider says of itself.

    Attributes:
        installed: whether there is a provider of that name.
        keeps_wrapped_keys: its keys are kept wrapped, in the option `ciphertext` of an entry or in the database.
        text_is_key: it never finds a key by plain text: a text at `key:` is the key itself.
    """

    installed: bool = False
    keeps_wrapped_keys: bool = False
    text_is_key: bool = False


@cache
def traits_of(name: str | None) -> ProviderTraits:
    """The traits of the provider of that name; of one that is not installed, or can't be imported, none.

    Whoever makes such a provider says what is wrong (`fluxbase_cli.keyring.provider.load_provider`).
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
