"""Reads the fields of a key's entry that only its provider knows."""

from __future__ import annotations

from fluxbase_cli.config import KeyEntry, Secret
from fluxbase_cli.errors import ConfigurationError


def text_option(entry: KeyEntry, name: str) -> str | None:
    """A field of the entry, without white space around it. None if it is missing or empty.

    Raises:
        ConfigurationError: it is a mapping or a list.
    """
    value = entry.options.get(name)
    if value is None:
        return None
    if not isinstance(value, Secret):
        raise ConfigurationError(f"`{name}` at {entry.source} is not text", hint="Put quotes around it.")
    return value.reveal().strip() or None
