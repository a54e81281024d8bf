"""The fields of a key's entry: the key as text, the path of its file, the command that prints it, and all others."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from fluxbase_cli.config.expand import UnsetVariableError
from fluxbase_cli.config.key_entry import UnsetKeyError
from fluxbase_cli.config.reader import SettingValue, Unquoted
from fluxbase_cli.config.secret import Secret
from fluxbase_cli.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from fluxbase_cli.config.document import Value
    from fluxbase_cli.config.reader import Reader

#: A field of an entry that only its provider reads: a text, a mapping or a list.
Option = Secret | Mapping[str, Secret] | tuple[Secret, ...]

#: The fields as they may be written, for error messages.
EXAMPLES = {
    "key_file": 'key_file: "/run/secrets/fluxbase-key-2"',
    "key_command": 'key_command: ["op", "read", "op://vault/fluxbase/key-2"]',
}


#: The lengths of a key as text: 32 bytes as they are, in base64 and in hex.
_KEY_LENGTHS = (32, 44, 64)


def key_path(found: SettingValue, home: Path) -> Secret:
    """The absolute path of a key file.

    Args:
        found: the path as it is written.
        home: the folder at which a relative path starts.

    Raises:
        ConfigurationError: it is empty, or it is a key and no path.
    """
    if not found.text.strip():
        raise ConfigurationError(f"{found.place} names no file", hint=f"Write `{EXAMPLES['key_file']}`.")
    _refuse_key(found)
    # Unlike `Path.expanduser`, `os.path.expanduser` never raises.
    return Secret(str(home / os.path.expanduser(found.text)))  # noqa: PTH111


def key_words(reader: Reader, value: Value, version: int) -> tuple[Secret, ...]:
    """The program and the arguments of a command that prints a key.

    Raises:
        UnsetKeyError: a word refers to a variable that is not set.
        ConfigurationError: it is not a list of texts, or its first one is no program.
    """
    if not value.is_sequence:
        raise ConfigurationError(
            f"{value.place} must be a list of words", hint=f"As in `{EXAMPLES['key_command']}`; no shell reads it."
        )
    words = [key_text(reader, item, version) for item in value.items()]
    if not words or not words[0].text:
        raise ConfigurationError(
            f"{value.place} {'begins with an empty word' if words else 'names no program'}",
            hint=f"Write `{EXAMPLES['key_command']}`.",
        )
    _refuse_key(words[0])
    return tuple(Secret(word.text) for word in words)


def _refuse_key(found: SettingValue) -> None:
    """Refuse a key where a file or a program is meant: their names are shown."""
    text = found.text.strip()
    if len(text.encode("utf-8", "surrogateescape")) in _KEY_LENGTHS and ("/" not in text or text.endswith("=")):
        raise ConfigurationError(
            f"{found.place} may be a key itself, and no path; it is not shown",
            hint="If it is the name of a file, write ./ before it. If it is a key, it belongs to `key:`; change a key "
            "that others could read.",
        )


def key_text(reader: Reader, key: Value, version: int) -> SettingValue:
    """A text that says what or where the key of a version is.

    Raises:
        UnsetKeyError: it refers to a variable that is not set.
        ConfigurationError: it is not text.
    """
    try:
        return reader.text_of(key, Unquoted.REFUSE)
    except UnsetVariableError as error:
        raise UnsetKeyError(version, error) from None


def read_option(reader: Reader, value: Value) -> Option:
    """Any other field.

    Raises:
        ConfigurationError: it has another form than `Option`.
    """
    if value.is_sequence:
        return tuple(Secret(reader.text_of(item).text) for item in value.items())
    if not value.is_mapping:
        return Secret(reader.text_of(value).text)
    # In an encryption context of AWS KMS, the case of the names matters.
    members = value.members(fold_case=False).items()
    return MappingProxyType({name: Secret(reader.text_of(member).text) for name, member in members})
