"""The section `security.encryption`: which keys there are, where each is kept, and the scheduled rotation."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING

from fluxbase_cli.config.duration import parse_duration
from fluxbase_cli.config.expand import UnsetVariableError
from fluxbase_cli.config.provider_traits import DEFAULT_WRAPPING_PROVIDER, TEXT_PROVIDER, traits_of
from fluxbase_cli.config.reader import MAX_INTEGER, SettingValue, Unquoted, parse_integer, variable_name
from fluxbase_cli.config.rotation import KeyRotationSettings, read_key_rotation
from fluxbase_cli.config.secret import Secret
from fluxbase_cli.config.vault import VaultSettings, read_vault
from fluxbase_cli.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fluxbase_cli.config.document import Value
    from fluxbase_cli.config.reader import Reader

_SECTION = "security.encryption"
_SINGLE_KEY = "encryption_key"
_KEY_VARIABLE = re.compile(r"FLUXBASE_SECRET_KEY(?:_(?P<version>.*))?")
_DIGITS = re.compile(r"[0-9]{1,18}")
#: A reference names the provider that understands it, as in ``{{ vault `secret/fluxbase/keys/v1` }}``.
_REFERENCE = re.compile(r"\s*\{\{\s*(?P<provider>[a-z][a-z0-9_.-]*)\b.*\}\}\s*", re.DOTALL)
#: Short enough that no key is taken for a name, and shown as one.
_PROVIDER_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,30}")


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """One configured key, not yet resolved by a provider.

    Attributes:
        version: a positive number.
        provider: the name of the provider that makes a key of it.
        source: the place it was found, never a value.
        value: the field `key` after the expansion of `${VAR}`; may be a ``{{ vault `…` }}`` reference, and is empty
            where the entry has none.
        options: the other fields of the entry (`ciphertext`, `region`, …), for the provider; names in lower case. A
            field that is a mapping itself keeps the case of its names.
    """

    version: int
    provider: str
    source: str
    value: Secret
    options: Mapping[str, Secret | Mapping[str, Secret]] = field(
        default_factory=lambda: MappingProxyType({}), hash=False
    )


@dataclass(frozen=True, slots=True)
class ActivePointer:
    """Where the number of the active version is kept, when it does not stand in the configuration itself.

    Attributes:
        source: the place of the setting, never a value.
        provider: the name of the provider that can look there.
        value: the reference, as in ``{{ vault `secret/fluxbase/keys#active` }}``.
    """

    source: str
    provider: str
    value: Secret


@dataclass(frozen=True, slots=True)
class KeyDestructionSettings:
    """How long a key is kept that nothing needs any more.

    Attributes:
        cooling_off: how long a key stays disabled before it may be destroyed.
        backup_horizon: how far back backups reach that shall stay readable: so long after the last rotation away from
            a key it may not be destroyed.
    """

    cooling_off: timedelta = timedelta(days=7)
    backup_horizon: timedelta = timedelta(0)


class UnsetKeyError(ConfigurationError):
    """The key of an entry is in a variable that is not set.

    Attributes:
        version: the entry's version.
    """

    def __init__(self, version: int, cause: ConfigurationError) -> None:
        super().__init__(cause.message, hint=cause.hint)
        self.version = version


@dataclass(frozen=True, slots=True)
class EncryptionSettings:
    """The keys and what belongs to them.

    Attributes:
        provider: `security.encryption.provider`, if it is set.
        active_key_version: the version the server seals with, if it is configured; see `effective_key_version`.
        active_pointer: where that version's number is kept instead; whoever needs it looks there first (see
            `fluxbase_cli.keys.active_version`).
        keys: the entries, by ascending version.
        kms_key_id: the key that a key service wraps keys with.
        vault: where HashiCorp Vault is, and how to log in.
        key_rotation: the scheduled rotation.
        key_destruction: how long a key is kept that nothing needs any more.
    """

    provider: str | None = None
    active_key_version: int | None = None
    active_pointer: ActivePointer | None = None
    keys: tuple[KeyEntry, ...] = ()
    kms_key_id: str | None = None
    vault: VaultSettings = field(default_factory=VaultSettings)
    key_rotation: KeyRotationSettings = field(default_factory=KeyRotationSettings)
    key_destruction: KeyDestructionSettings = KeyDestructionSettings()

    @property
    def effective_key_version(self) -> int | None:
        """The version to seal with: the active one, else the highest; None when there is no key at all."""
        if self.active_key_version is not None:
            return self.active_key_version
        return max((entry.version for entry in self.keys), default=None)

    @property
    def versions(self) -> frozenset[int]:
        """The configured versions."""
        return frozenset(entry.version for entry in self.keys)


def read_encryption(
    reader: Reader, destroyed: frozenset[int] = frozenset()
) -> tuple[EncryptionSettings, tuple[str, ...]]:
    """Read the section, and say what an operator should know of it.

    The keys are those of `security.encryption.keys`; without any there, those of the variables
    `FLUXBASE_SECRET_KEY_<version>`; without any of these, `encryption_key` is version 1.

    Args:
        reader: the file and the environment.
        destroyed: versions whose entries may stand in the file with a variable that is not set any more.

    Returns:
        The settings, and warnings.

    Raises:
        UnsetKeyError: a key is in a variable that is not set, and its version is not among the destroyed ones.
        ConfigurationError: a setting can't be used, or one version is there twice.
    """
    provider = _provider(reader)
    warnings: list[str] = []
    entries = _entries_of_file(reader, provider, destroyed, warnings)
    from_file = bool(entries)
    if not from_file:
        entries = _entries_of_variables(reader, provider)
        warnings += _warnings_of_names(reader)
    single = None
    if not entries:
        single = _single_entry(reader)
        entries = [single] if single else []
    keys = tuple(sorted(entries, key=lambda entry: entry.version))
    _refuse_equal_versions(keys)
    kms_key_id = _text_or_none(reader, f"{_SECTION}.kms_key_id")
    pointer = _active_pointer(reader)
    in_database = kms_key_id is not None or traits_of(provider).keeps_wrapped_keys
    may_be_elsewhere = pointer is not None or in_database
    settings = EncryptionSettings(
        provider=provider,
        # Wrapped keys may be in the database: only the keyring can tell whether the version is there.
        active_key_version=None if pointer is not None else _active_version(reader, () if may_be_elsewhere else keys),
        active_pointer=pointer,
        keys=keys,
        kms_key_id=kms_key_id,
        vault=read_vault(reader),
        key_rotation=read_key_rotation(reader),
        key_destruction=_key_destruction(reader),
    )
    if keys and single is None:
        warnings += _warnings_of_unused(reader, keys, from_file=from_file)
    return settings, tuple(warnings)


def _entries_of_file(
    reader: Reader, provider: str | None, destroyed: frozenset[int], warnings: list[str]
) -> list[KeyEntry]:
    section = reader.section(f"{_SECTION}.keys")
    entries = []
    for item in () if section is None else section.items():
        try:
            entries.append(_entry(reader, item, provider))
        except UnsetKeyError as error:
            if error.version not in destroyed:
                raise
            warnings.append(
                f"key version {error.version} was destroyed, and its entry is still at {item.place}: remove it"
            )
    return entries


def _entry(reader: Reader, item: Value, provider: str | None) -> KeyEntry:
    members = {name: value for name, value in item.members().items() if not value.is_null}
    version = members.pop("version", None)
    if version is None:
        raise ConfigurationError(f"{item.place} has no version", hint="Each key needs a `version:`, a positive number.")
    number = parse_integer(reader.text_of(version, Unquoted.AS_WRITTEN), minimum=1)
    explicit = members.pop("provider", None)
    explicit_name = None if explicit is None else _provider_name(reader.text_of(explicit, Unquoted.AS_WRITTEN))
    key = members.pop("key", None)
    found = SettingValue("", item.place) if key is None else _key_text(reader, key, number)
    name = explicit_name or _default_provider(found.text, provider, has_ciphertext="ciphertext" in members)
    if name == TEXT_PROVIDER and not found.text:
        raise ConfigurationError(
            f"{found.place} has no key", hint='Write `key: "${VARIABLE}"`, or say which `provider:`.'
        )
    options = {option: _option(reader, value) for option, value in members.items()}
    return KeyEntry(number, name, found.place, Secret(found.text), MappingProxyType(options))


def _key_text(reader: Reader, key: Value, version: int) -> SettingValue:
    try:
        return reader.text_of(key, Unquoted.REFUSE)
    except UnsetVariableError as error:
        raise UnsetKeyError(version, error) from None


def _option(reader: Reader, value: Value) -> Secret | Mapping[str, Secret]:
    if not value.is_mapping:
        return Secret(reader.text_of(value).text)
    # AWS KMS is particular about the case of the names in an encryption context.
    members = value.members(fold_case=False).items()
    return MappingProxyType({name: Secret(reader.text_of(member).text) for name, member in members})


def _entries_of_variables(reader: Reader, provider: str | None) -> list[KeyEntry]:
    entries = []
    for name in reader.environment.names():
        version = _version_of_name(name)
        found = reader.variable(name) if version is not None else None
        if version is not None and found is not None:
            chosen = _default_provider(found.text, provider)
            entries.append(KeyEntry(version, chosen, found.place, Secret(found.text)))
    return entries


def _single_entry(reader: Reader) -> KeyEntry | None:
    found = reader.text(_SINGLE_KEY, Unquoted.REFUSE)
    if found is None or not found.text:
        return None
    # Whatever `provider` says: this is the server's own setting, and the server takes it for the key itself. It must
    # not be sent anywhere as the name of a key.
    return KeyEntry(1, _default_provider(found.text, None), found.place, Secret(found.text))


def _version_of_name(name: str) -> int | None:
    match = _KEY_VARIABLE.fullmatch(name)
    digits = match["version"] if match else None
    if digits is None or not _DIGITS.fullmatch(digits):
        return None
    version = int(digits)
    return version if 1 <= version <= MAX_INTEGER else None


def _provider(reader: Reader) -> str | None:
    found = reader.text(f"{_SECTION}.provider")
    return _provider_name(found) if found is not None and found.text else None


def _provider_name(found: SettingValue) -> str:
    name = found.text.strip().lower()
    if not _PROVIDER_NAME.fullmatch(name):
        raise ConfigurationError(
            f"{found.place} is not the name of a provider", hint="env, vault or aws_kms, for example."
        )
    return name


def _default_provider(value: str, configured: str | None, *, has_ciphertext: bool = False) -> str:
    referred = _referred_provider(value)
    if referred is not None:
        return referred
    if has_ciphertext:
        return configured if configured and traits_of(configured).keeps_wrapped_keys else DEFAULT_WRAPPING_PROVIDER
    if value and traits_of(configured).text_is_key:
        return TEXT_PROVIDER
    return configured or TEXT_PROVIDER


def _referred_provider(text: str) -> str | None:
    """The provider that a reference names; None for a text that is no reference to an installed provider."""
    match = _REFERENCE.fullmatch(text)
    return match["provider"] if match and traits_of(match["provider"]).installed else None


def _refuse_equal_versions(keys: tuple[KeyEntry, ...]) -> None:
    for first, second in pairwise(keys):
        if first.version == second.version:
            raise ConfigurationError(
                f"key version {first.version} is configured twice: {first.source}, and {second.source}",
                hint="Each version has one key: remove one of the two, or give it another number.",
            )


def _active_pointer(reader: Reader) -> ActivePointer | None:
    found = reader.text(f"{_SECTION}.active_key_version", Unquoted.AS_WRITTEN)
    provider = None if found is None else _referred_provider(found.text)
    return None if found is None or provider is None else ActivePointer(found.place, provider, Secret(found.text))


def _active_version(reader: Reader, keys: tuple[KeyEntry, ...]) -> int | None:
    path = f"{_SECTION}.active_key_version"
    version = reader.integer(path, minimum=1)
    versions = [entry.version for entry in keys]
    # Without any key there is something more important to say, and the keyring says it.
    if version is not None and versions and version not in versions:
        found = reader.text(path)
        raise ConfigurationError(
            f"{found.place if found else path} is {version}, and there is no key of that version "
            f"(configured: {', '.join(map(str, versions))})",
            hint=f"Correct the number, or add the key (security.encryption.keys or FLUXBASE_SECRET_KEY_{version}).",
        )
    return version


def _key_destruction(reader: Reader) -> KeyDestructionSettings:
    path = f"{_SECTION}.key_destruction"
    default = KeyDestructionSettings()
    return KeyDestructionSettings(
        cooling_off=_duration(reader, f"{path}.cooling_off", default.cooling_off),
        backup_horizon=_duration(reader, f"{path}.backup_horizon", default.backup_horizon),
    )


def _duration(reader: Reader, path: str, default: timedelta) -> timedelta:
    found = reader.text(path, Unquoted.AS_WRITTEN)
    return default if found is None or not found.text else parse_duration(found.text, found.place)


def _text_or_none(reader: Reader, path: str) -> str | None:
    found = reader.text(path)
    return found.text if found is not None and found.text else None


def _warnings_of_names(reader: Reader) -> list[str]:
    return [
        f"{variable.place} is ignored: its name does not end in a version, as FLUXBASE_SECRET_KEY_2 does"
        for name in reader.environment.names()
        if _KEY_VARIABLE.fullmatch(name)
        and _version_of_name(name) is None
        and (variable := reader.environment.get(name))
    ]


def _warnings_of_unused(reader: Reader, keys: tuple[KeyEntry, ...], *, from_file: bool) -> list[str]:
    """Name the keys that are configured in a place that does not count, unless they are in the ring all the same."""
    known = {entry.value for entry in keys}
    instead = f"{_SECTION}.keys is" if from_file else "the variables FLUXBASE_SECRET_KEY_<version> are"
    unused = []
    if from_file:
        for name in reader.environment.names():
            variable = reader.environment.get(name)
            if not _KEY_VARIABLE.fullmatch(name) or variable is None or name in reader.used_variables:
                continue
            if Secret(variable.value) not in known:
                unused.append(variable.place)
    if variable_name(_SINGLE_KEY) not in reader.used_variables:
        single = _unused_single(reader)
        if single is not None and Secret(single.text) not in known:
            unused.append(single.place)
    return [f"{place} is not used: {instead} the keyring" for place in unused]


def _unused_single(reader: Reader) -> SettingValue | None:
    try:
        found = reader.text(_SINGLE_KEY)
    except ConfigurationError:
        # Nobody needs it, so it may be as wrong as it likes; but it is there.
        value = reader.section(_SINGLE_KEY)
        return None if value is None else SettingValue("", value.place)
    return found if found is not None and found.text else None
