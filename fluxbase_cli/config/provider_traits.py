"""What a key provider says of itself before it is made, so that the configuration can be read.

A provider is found by its name in the entry point group `fluxbase_cli.key_providers`. What else must be known of it is
said by the same name in further groups. So nothing of a provider is imported before its keys are needed. A few
providers of this package are known here by their names, because the form of an entry names them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

ENTRY_POINT_GROUP = "fluxbase_cli.key_providers"
#: The groups of the providers whose keys are wrapped, of those that never find a key by plain text, and of those whose
#: entries have no fields of their own.
WRAPPING_GROUP = f"{ENTRY_POINT_GROUP}.keeps_wrapped_keys"
TEXT_GROUP = f"{ENTRY_POINT_GROUP}.text_is_key"
FIELDS_GROUP = f"{ENTRY_POINT_GROUP}.usual_fields"
#: The provider of keys that are in the configuration as text.
TEXT_PROVIDER = "env"
#: The provider of a wrapped key whose provider is not named.
DEFAULT_WRAPPING_PROVIDER = "aws_kms"
#: The providers of entries with these fields.
PROVIDERS_OF_FIELDS = {"key_file": "file", "key_command": "command"}
#: The provider of a key that the engine `transit` of Vault wraps, and how such a wrapped key begins (Vault's HTTP API).
TRANSIT_PROVIDER = "vault_transit"
TRANSIT_PREFIX = "vault:v"
#: The providers that read keys on this machine, and ask no other.
LOCAL_PROVIDERS = frozenset({TEXT_PROVIDER, "file"})


@dataclass(frozen=True, slots=True)
class ProviderTraits:
    """What a provider says of itself.

    Attributes:
        installed: whether there is a provider of that name.
        keeps_wrapped_keys: its keys are kept wrapped, in the option `ciphertext` of an entry or in the database.
        text_is_key: it never finds a key by plain text: a text at `key:` is the key itself.
        usual_fields: its entries have only the fields of this package's providers, so a similar name is a mistake.
    """

    installed: bool = False
    keeps_wrapped_keys: bool = False
    text_is_key: bool = False
    usual_fields: bool = False


def wrapping_provider(kms_key_id: str | None) -> str:
    """The provider of a wrapping key. AWS KMS has ids, ARNs and `alias/NAME`; a key of `transit` is `MOUNT/NAME`."""
    name = kms_key_id or ""
    is_transit = "/" in name and not name.startswith(("alias/", "arn:"))
    return TRANSIT_PROVIDER if is_transit else DEFAULT_WRAPPING_PROVIDER


@cache
def traits_of(name: str | None) -> ProviderTraits:
    """The traits of the provider of that name; none of them without a name. Imports nothing of the provider."""
    if name is None or name == TEXT_PROVIDER:
        return ProviderTraits(installed=name is not None, usual_fields=name is not None)
    from importlib.metadata import entry_points  # noqa: PLC0415  # start-up time

    points = entry_points(name=name)
    installed, wrapping, text, usual = (
        bool(points.select(group=group)) for group in (ENTRY_POINT_GROUP, WRAPPING_GROUP, TEXT_GROUP, FIELDS_GROUP)
    )
    return ProviderTraits(installed, keeps_wrapped_keys=wrapping, text_is_key=text, usual_fields=usual)
