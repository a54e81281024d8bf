"""One configured key: the entry of a version."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from fluxbase_cli.config.secret import Secret
from fluxbase_cli.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fluxbase_cli.config.key_fields import Option


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """One configured key. The provider has not fetched it yet.

    Attributes:
        version: a positive number.
        provider: the name of the provider that fetches the key.
        source: where the entry was found, never a value.
        value: the field `key` after the expansion of `${VAR}`. It may be a ``{{ vault `…` }}`` reference. It is empty
            if the entry has no field `key`.
        options: the other fields of the entry (`ciphertext`, `region`, …), for the provider. The names are in lower
            case. The names inside a field that is a mapping keep their case. A field that is a list has all its texts.
            The path in `key_file` is absolute.
        recorded: the fingerprint that the database has recorded with a wrapped key; None for an entry of the
            configuration. A key with another fingerprint must not be used.
    """

    version: int
    provider: str
    source: str
    value: Secret
    options: Mapping[str, Option] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    recorded: str | None = None


class UnsetKeyError(ConfigurationError):
    """The key of an entry is in a variable, and the variable is not set.

    Attributes:
        version: the entry's version.
    """

    def __init__(self, version: int, cause: ConfigurationError) -> None:
        super().__init__(cause.message, hint=cause.hint)
        self.version = version
