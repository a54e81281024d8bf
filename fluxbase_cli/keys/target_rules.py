"""Refuses keys as targets: keys that the server could not be given, and keys that anybody can guess."""

from __future__ import annotations

from dataclasses import dataclass

from fluxbase_cli.config import EncryptionSettings
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.keyring import Key, server_text
from fluxbase_cli.keyring.weakness import refusal_of


@dataclass(frozen=True, slots=True)
class Allowed:
    """What the operator accepts.

    Attributes:
        weak: a key that anybody can guess (`--allow-weak-key`).
        unusable: a key that the server could not be given (`--allow-unusable-key`).
    """

    weak: bool = False
    unusable: bool = False


NOTHING = Allowed()


def refuse_unfit(key: Key, encryption: EncryptionSettings, allowed: Allowed = NOTHING) -> None:
    """Raise an error if nothing should be sealed under the key.

    Raises:
        ConfigurationError: the key is weak, or the server knows one key and could not be given this one.
    """
    weakness = refusal_of(key.secret)
    if weakness is not None and not allowed.weak:
        raise ConfigurationError(
            f"key version {key.version} at {key.source} is not used as a new key: {weakness}",
            hint="`fluxbase-cli keys generate` makes a good one. --allow-weak-key uses it anyway.",
        )
    if encryption.is_single and server_text(key.secret) is None and not allowed.unusable:
        raise ConfigurationError(
            f"key version {key.version} at {key.source} is not text of 32 bytes, and the server takes no other key: "
            "it would not start with it",
            hint="`fluxbase-cli keys generate --encoding raw` makes a key that it takes. If the server reads "
            "security.encryption.keys, set security.encryption.server.keyring to versioned. --allow-unusable-key uses "
            "it anyway.",
        )


def unusable_warning(key: Key) -> str | None:
    """A warning if a released server could not be given the key. None if it could."""
    if server_text(key.secret) is not None:
        return None
    return (
        f"key version {key.version} is not text of 32 bytes: a server that knows one key can't be given it, and does "
        "not start with it"
    )
