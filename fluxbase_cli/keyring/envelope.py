"""What providers have in common whose keys another service wraps: AWS KMS, and the engine transit of Vault."""

from __future__ import annotations

from fluxbase_cli import seal
from fluxbase_cli.config import KeyEntry
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.keyring.options import text_option
from fluxbase_cli.keyring.provider import KeyAbsentError


def ciphertext_of(entry: KeyEntry, service: str) -> str:
    """The wrapped key in an entry.

    Args:
        entry: the entry.
        service: the name of what wraps its key.

    Raises:
        KeyAbsentError: it has no ciphertext.
        ConfigurationError: it is a key itself.
    """
    if entry.value:
        raise ConfigurationError(
            f"the key at {entry.source} is a key itself, and not a key that {service} has wrapped",
            hint="Set `provider: env` at that entry, or write a `ciphertext:` instead of the key.",
        )
    text = text_option(entry, "ciphertext")
    if text is None:
        raise KeyAbsentError(
            f"the key at {entry.source} has no ciphertext for {service} to open",
            hint=f"`fluxbase-cli keys generate --store` makes a key that {service} has wrapped.",
        )
    return text


def refuse_taken(entry: KeyEntry, bound_by: str, *, otherwise_bound: bool) -> None:
    """Refuse to make a key for an entry that has one, or in which the new one would not open.

    Args:
        entry: the entry of the version.
        bound_by: the field with what a key is bound to.
        otherwise_bound: whether a new key would be bound to something else than the entry says.

    Raises:
        ConfigurationError: the entry is not free.
    """
    if entry.value or text_option(entry, "ciphertext"):
        raise ConfigurationError(
            f"there is a key of version {entry.version} already: {entry.source}",
            hint="Choose another version with `--key-version`, or leave the option out to use the next free version.",
        )
    if otherwise_bound:
        raise ConfigurationError(
            f"{entry.source} has an `{bound_by}`, and a new key would not have it",
            hint="Remove it: a key made here is bound to its version.",
        )


def of_key_length(secret: bytes, service: str, failed: str) -> bytes:
    """An unwrapped key.

    Raises:
        ConfigurationError: it does not have the length of a key. The message begins with `failed`.
    """
    if len(secret) != seal.KEY_BYTES:
        raise ConfigurationError(
            f"{failed}: {service} opens it to {len(secret)} bytes, and a key is {seal.KEY_BYTES}",
            hint="`fluxbase-cli keys generate --store` makes one of the right length.",
        )
    return secret
