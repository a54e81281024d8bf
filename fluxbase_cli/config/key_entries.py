"""The entries of the keys: in `security.encryption.keys`, in variables, and the server's own key."""

from __future__ import annotations

import re
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING

from fluxbase_cli.config.key_entry import KeyEntry, UnsetKeyError
from fluxbase_cli.config.key_fields import EXAMPLES, key_path, key_text, key_words, read_option
from fluxbase_cli.config.names import refuse_misspelt
from fluxbase_cli.config.provider_traits import (
    DEFAULT_WRAPPING_PROVIDER,
    PROVIDERS_OF_FIELDS,
    TEXT_PROVIDER,
    TRANSIT_PREFIX,
    TRANSIT_PROVIDER,
    traits_of,
)
from fluxbase_cli.config.reader import MAX_INTEGER, SettingValue, Unquoted, parse_integer
from fluxbase_cli.config.secret import Secret
from fluxbase_cli.config.server import SERVER_KEY_BYTES, SERVER_KEY_VARIABLE, ServerKey
from fluxbase_cli.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from fluxbase_cli.config.document import Value
    from fluxbase_cli.config.reader import Reader

SECTION = "security.encryption"
#: The fields of an entry in `keys` with the trait `usual_fields`.
_ENTRY_NAMES = (
    *("version", "provider", "key", "key_file", "key_command"),
    *("ciphertext", "kms_key_id", "region", "encryption_context", "associated_data"),
)
#: The fields that say where the key is. An entry has one of them.
_SOURCES = ("key", *PROVIDERS_OF_FIELDS, "ciphertext")
_SINGLE_KEY = "encryption_key"
#: The lengths of a key of 32 bytes in hex and in base64. We read such a key, and a released server does not start.
_ENCODED_LENGTHS = (64, 44)

_KEY_VARIABLE = re.compile(r"FLUXBASE_SECRET_KEY(?:_(?P<version>.*?)(?P<file>_FILE)?)?")
_DIGITS = re.compile(r"[0-9]{1,18}")
#: A reference names its provider, as in ``{{ vault `secret/fluxbase/keys/v1` }}``.
_REFERENCE = re.compile(r"\s*\{\{\s*(?P<provider>[a-z][a-z0-9_.-]*)\b.*\}\}\s*", re.DOTALL)
#: Too short for a key, so that a key is never accepted as a name and shown in a message.
_PROVIDER_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,30}")


def entries_of_file(
    reader: Reader, provider: str | None, home: Path, destroyed: frozenset[int], warnings: list[str]
) -> list[KeyEntry]:
    """The entries of `security.encryption.keys`. Relative paths of key files start at `home`."""
    section = reader.section(f"{SECTION}.keys")
    entries = []
    for item in () if section is None else section.items():
        try:
            entries.append(_entry(reader, item, provider, home))
        except UnsetKeyError as error:
            if error.version not in destroyed:
                raise
            warnings.append(
                f"key version {error.version} was destroyed, and its entry is still at {item.place}: remove it"
            )
    return entries


def _entry(reader: Reader, item: Value, provider: str | None, home: Path) -> KeyEntry:
    written = item.members()
    members = {name: value for name, value in written.items() if not value.is_null}
    version = members.pop("version", None)
    if version is None:
        refuse_misspelt(written, ("version",))
        raise ConfigurationError(f"{item.place} has no version", hint="Each key needs a `version:`, a positive number.")
    number = parse_integer(reader.text_of(version, Unquoted.AS_WRITTEN), minimum=1)
    explicit = members.pop("provider", None)
    explicit_name = None if explicit is None else _provider_name(reader.text_of(explicit, Unquoted.AS_WRITTEN))
    configured = explicit_name or provider
    # A provider of another package may have a field of the same name.
    source = _source_field(item, members) if configured is None or traits_of(configured).usual_fields else None
    if source in PROVIDERS_OF_FIELDS:
        _refuse_other_provider(members[source], PROVIDERS_OF_FIELDS[source], explicit_name)
        return _entry_by_field(reader, number, members, source, home)
    key = members.pop("key", None)
    found = SettingValue("", item.place) if key is None else key_text(reader, key, number)
    name = explicit_name
    if name is None:
        ciphertext = members.get("ciphertext")
        name = _default_provider(found.text, provider, None if ciphertext is None else _wrapped(reader, ciphertext))
    if traits_of(name).usual_fields:
        refuse_misspelt(written, _ENTRY_NAMES)
    if name == TEXT_PROVIDER and not found.text:
        raise ConfigurationError(f"{found.place} has no key", hint='Write `key: "${VARIABLE}"`, or set `provider:`.')
    needed = next((each for each, its in PROVIDERS_OF_FIELDS.items() if its == name), None)
    if needed is not None:
        raise ConfigurationError(
            f"{found.place} has no {needed}, which the provider {name} needs", hint=f"Write `{EXAMPLES[needed]}`."
        )
    options = {option: read_option(reader, value) for option, value in members.items()}
    return KeyEntry(number, name, found.place, Secret(found.text), MappingProxyType(options))


def _wrapped(reader: Reader, ciphertext: Value) -> str:
    """A wrapped key. A provider of another package may have one that is no text; it shows nothing."""
    return "" if ciphertext.is_mapping or ciphertext.is_sequence else reader.text_of(ciphertext).text


def _source_field(item: Value, members: Mapping[str, Value]) -> str | None:
    """The field of an entry that says where its key is. None if it has none.

    Raises:
        ConfigurationError: it has two of them.
    """
    given = [name for name in _SOURCES if name in members]
    if len(given) > 1:
        raise ConfigurationError(
            f"{item.place} has two sources of one key: {given[0]} and {given[1]}", hint="Keep one of the two."
        )
    return given[0] if given else None


def _refuse_other_provider(field: Value, provider: str, explicit: str | None) -> None:
    if explicit not in (None, provider):
        raise ConfigurationError(
            f"{field.place} is for the provider {provider}, and the entry says `provider: {explicit}`",
            hint="Remove one of the two.",
        )


def _entry_by_field(reader: Reader, version: int, members: dict[str, Value], source: str, home: Path) -> KeyEntry:
    """An entry whose key is in a file, or is printed by a command."""
    refuse_misspelt(members, _ENTRY_NAMES)
    value = members.pop(source)
    options = {option: read_option(reader, each) for option, each in members.items()}
    if source == "key_command":
        place, options[source] = value.place, key_words(reader, value, version)
    else:
        found = key_text(reader, value, version)
        place, options[source] = found.place, key_path(found, home)
    return KeyEntry(version, PROVIDERS_OF_FIELDS[source], place, Secret(""), MappingProxyType(options))


def entries_of_variables(reader: Reader, provider: str | None, directory: Path) -> list[KeyEntry]:
    """The entries of the variables `FLUXBASE_SECRET_KEY_<version>` and `FLUXBASE_SECRET_KEY_<version>_FILE`.

    Relative paths of key files start at `directory`.
    """
    entries = []
    for name in reader.environment.names():
        version = _version_of_name(name)
        found = reader.variable(name) if version is not None else None
        if version is None or found is None:
            continue
        if _names_file(name):
            options = MappingProxyType({"key_file": key_path(found, directory)})
            entries.append(KeyEntry(version, PROVIDERS_OF_FIELDS["key_file"], found.place, Secret(""), options))
        else:
            chosen = _default_provider(found.text, provider)
            entries.append(KeyEntry(version, chosen, found.place, Secret(found.text)))
    return entries


def read_server_key(reader: Reader) -> ServerKey | None:
    """The setting `encryption_key`: the key that the server has. None if it is not set.

    The server's own file is read first: what stands there is what the server gets.
    """
    own = reader.environment.of_server(SERVER_KEY_VARIABLE)
    if own is not None:
        return ServerKey(own.place, Secret(own.value), variable=True)
    found = reader.text(_SINGLE_KEY, Unquoted.REFUSE)
    if found is None or not found.text:
        return None
    return ServerKey(found.place, Secret(found.text), variable=reader.variable(SERVER_KEY_VARIABLE) is not None)


def has_server_key(reader: Reader) -> bool:
    """Whether `encryption_key` is set, in any form."""
    if reader.environment.of_server(SERVER_KEY_VARIABLE) or reader.environment.get(SERVER_KEY_VARIABLE):
        return True
    written = reader.section(_SINGLE_KEY)
    return written is not None and not written.is_null


def has_keys(reader: Reader) -> bool:
    """Whether keys with versions are configured."""
    names = reader.environment.names()
    return reader.section(f"{SECTION}.keys") is not None or any(_version_of_name(name) for name in names)


def server_entry(key: ServerKey, entries: Sequence[KeyEntry]) -> KeyEntry | None:
    """The entry of the server's key as version 1. None if another entry has the same text, or that version.

    The key of an entry may be in a key source. So only the keyring knows whether the server's key is one of them.
    """
    if any(entry.value == key.value or entry.version == 1 for entry in entries):
        return None
    # `provider` is ignored here: this is a setting of the server, and the server uses the text as the key itself. So
    # the text must not be sent anywhere as the name of a key.
    return KeyEntry(1, _default_provider(key.value.reveal(), None), key.source, key.value)


def warnings_of_server_key(reader: Reader, key: ServerKey) -> list[str]:
    """Warn about a server's key that a released server reads in another way than it is meant."""
    warnings = []
    written = reader.section(_SINGLE_KEY)
    if not key.variable and written is not None and "${" in written.scalar().written:
        warnings.append(
            f"{key.source}: no released server replaces ${{…}} in fluxbase.yaml, it takes it as the key; "
            f"set {SERVER_KEY_VARIABLE} instead"
        )
    if (length := key.length) in _ENCODED_LENGTHS:
        warnings.append(
            f"{key.source} is {length} bytes long: "
            f"a released server starts only with a key of {SERVER_KEY_BYTES} bytes; "
            "`fluxbase-cli keys generate --encoding raw` makes one"
        )
    other = reader.environment.get(SERVER_KEY_VARIABLE)
    if key.variable and other is not None and Secret(other.value) != key.value:
        warnings.append(
            f"{other.place} is not used: the server has the key at {key.source}, which is another one; "
            "remove the one that is wrong"
        )
    return warnings


def _version_of_name(name: str) -> int | None:
    match = _KEY_VARIABLE.fullmatch(name)
    digits = match["version"] if match else None
    if digits is None or not _DIGITS.fullmatch(digits):
        return None
    version = int(digits)
    return version if 1 <= version <= MAX_INTEGER else None


def _names_file(name: str) -> bool:
    """Whether the variable of a key holds the path of a file."""
    match = _KEY_VARIABLE.fullmatch(name)
    return match is not None and match["file"] is not None


def read_provider(reader: Reader) -> str | None:
    """The setting `security.encryption.provider`."""
    found = reader.text(f"{SECTION}.provider")
    return _provider_name(found) if found is not None and found.text else None


def _provider_name(found: SettingValue) -> str:
    name = found.text.strip().lower()
    if not _PROVIDER_NAME.fullmatch(name):
        raise ConfigurationError(
            f"{found.place} is not the name of a provider",
            hint="Write the name of one: env, file or vault, for example.",
        )
    return name


def _default_provider(value: str, configured: str | None, ciphertext: str | None = None) -> str:
    referred = provider_of_reference(value)
    if referred is not None:
        return referred
    if ciphertext is not None and ciphertext.lstrip().startswith(TRANSIT_PREFIX):
        return TRANSIT_PROVIDER
    if ciphertext is not None:
        return configured if configured and traits_of(configured).keeps_wrapped_keys else DEFAULT_WRAPPING_PROVIDER
    if value and traits_of(configured).text_is_key:
        return TEXT_PROVIDER
    return configured or TEXT_PROVIDER


def provider_of_reference(text: str) -> str | None:
    """The provider that a reference names. None if the text is not a reference to an installed provider."""
    match = _REFERENCE.fullmatch(text)
    return match["provider"] if match and traits_of(match["provider"]).installed else None


def refuse_equal_versions(keys: tuple[KeyEntry, ...]) -> None:
    """Raise an error if a version has two entries. The entries are sorted."""
    for first, second in pairwise(keys):
        if first.version == second.version:
            raise ConfigurationError(
                f"key version {first.version} is configured twice: {first.source}, and {second.source}",
                hint="Each version has one key: remove one of the two, or give it another number.",
            )


def warnings_of_names(reader: Reader) -> list[str]:
    """Warn about variables whose names look like those of keys."""
    return [
        f"{variable.place} is ignored: its name does not end in a version, as FLUXBASE_SECRET_KEY_2 does; "
        "correct the name, or remove it"
        for name in reader.environment.names()
        if _KEY_VARIABLE.fullmatch(name)
        and _version_of_name(name) is None
        and (variable := reader.environment.get(name))
    ]


def warnings_of_unused(reader: Reader, keys: tuple[KeyEntry, ...]) -> list[str]:
    """Warn about keys in variables, where `security.encryption.keys` is used instead.

    A key that the keyring has from another place is not named.
    """
    files = (entry.options.get("key_file") for entry in keys)
    known = {entry.value for entry in keys} | {file for file in files if isinstance(file, Secret)}
    unused = []
    for name in reader.environment.names():
        variable = reader.environment.get(name)
        if not _KEY_VARIABLE.fullmatch(name) or variable is None or name in reader.used_variables:
            continue
        if Secret(variable.value) not in known:
            unused.append(variable.place)
    return [
        f"{place} is not used: {SECTION}.keys is the keyring; add the key there, or remove the variable"
        for place in unused
    ]
