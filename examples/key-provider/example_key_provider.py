"""A key provider for fluxbase-cli: each key stands in a file of its own, as a mounted secret does.

    security:
      encryption:
        keys:
          - version: 1
            provider: example-files
            key: "/run/secrets/fluxbase-key-1"

`fetch` is all that a provider must have. This one can make new keys too (`create`), since that is a method more.
"""

from __future__ import annotations

import os
from pathlib import Path

from fluxbase_cli.config import KeyEntry, Secret
from fluxbase_cli.encoding import Encoding
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.keyring import CreatedKey, KeyAbsentError, ProviderContext, generate_key, parse_key
from fluxbase_cli.seal import fingerprint

NAME = "example-files"


class FileKeyProvider:
    """Reads keys from files. The entry's `key` is the file's path."""

    def __init__(self, context: ProviderContext) -> None:
        """Take note of nothing: `context` has the configuration, the environment and a way to warn."""
        del context

    def fetch(self, entry: KeyEntry) -> bytes:
        """Return the key of one entry, 32 bytes; called once a version and run."""
        try:
            text = Path(entry.value.reveal()).read_text(encoding="utf-8").removesuffix("\n")
        except FileNotFoundError:
            # "There is no key" is told apart from "I may not look": only this may mean that it was destroyed.
            raise KeyAbsentError(f"{entry.source}: there is no such file") from None
        except OSError as error:
            raise ConfigurationError(f"{entry.source}: the file can't be read: {error.strerror}") from None
        return parse_key(text, entry.source)

    def create(self, version: int, known: tuple[KeyEntry, ...]) -> CreatedKey:
        """Make a key where the version's entry says, never over an existing file."""
        entry = next((entry for entry in known if entry.version == version), None)
        if entry is None:
            raise ConfigurationError(f"key version {version} has no entry that names a file")
        text = generate_key(Encoding.HEX)
        try:
            handle = os.open(entry.value.reveal(), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise ConfigurationError(f"{entry.source}: the file can't be made: {error.strerror}") from None
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(text)
        made = KeyEntry(version, NAME, entry.source, Secret(entry.value.reveal()))
        return CreatedKey(made, fingerprint(parse_key(text, entry.source)), setting={"key": entry.value.reveal()})
