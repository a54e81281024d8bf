"""The section `security.encryption`: the keys, their key sources, and the scheduled rotation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fluxbase_cli.config import destruction, rotation, vault
from fluxbase_cli.config import server as server_section
from fluxbase_cli.config.command import read_words
from fluxbase_cli.config.destruction import KeyDestructionSettings, read_key_destruction
from fluxbase_cli.config.key_entries import (
    entries_of_file,
    entries_of_variables,
    provider_of_reference,
    read_provider,
    read_server_key,
    refuse_equal_versions,
    server_entry,
    warnings_of_names,
    warnings_of_server_key,
    warnings_of_unused,
)
from fluxbase_cli.config.key_entry import KeyEntry
from fluxbase_cli.config.names import SectionNames, check_names
from fluxbase_cli.config.provider_traits import TEXT_PROVIDER, traits_of
from fluxbase_cli.config.reader import Unquoted
from fluxbase_cli.config.rotation import KeyRotationSettings, read_key_rotation
from fluxbase_cli.config.secret import Secret
from fluxbase_cli.config.server import ServerKey, ServerKeyring, ServerSettings
from fluxbase_cli.config.vault import VaultSettings, read_vault
from fluxbase_cli.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from fluxbase_cli.config.reader import Reader

_SECTION = "security.encryption"
_NAMES = SectionNames(
    _SECTION,
    settings=frozenset({"active_key_version", "kms_key_id", "previous_kms_key_ids", "provider"}),
    parts=frozenset({"key_destruction", "key_rotation", "keys", "server", "vault"}),
)
#: All sections whose names are checked, the outermost first.
SECTIONS = (_NAMES, rotation.NAMES, destruction.NAMES, vault.NAMES, vault.AUTH_NAMES, server_section.NAMES)


@dataclass(frozen=True, slots=True)
class ActivePointer:
    """Where the number of the active version is kept, if it is not in the configuration itself.

    Attributes:
        source: the place of the setting, never a value.
        provider: the name of the provider that can read it.
        value: the reference, as in ``{{ vault `secret/fluxbase/keys#active` }}``.
    """

    source: str
    provider: str
    value: Secret


@dataclass(frozen=True, slots=True)
class EncryptionSettings:
    """The section `security.encryption`.

    Attributes:
        provider: `security.encryption.provider`, if it is set.
        active_key_version: the version under which the server seals, if it is configured (see
            `effective_key_version`).
        active_pointer: where the number of that version is kept instead. Code that needs the number reads it from
            there first (see `fluxbase_cli.keys.active_version`).
        keys: the entries, by ascending version.
        kms_key_id: the key with which a key service wraps keys.
        previous_kms_key_ids: keys of the key service that have wrapped earlier keys, and may be used to open them.
        vault: where HashiCorp Vault is, and how to log in.
        key_rotation: the scheduled rotation.
        key_destruction: how long an unneeded key is kept.
        server: how the server gets its key, and how it is stopped and started.
        server_key: the setting `encryption_key`. It is also the key of one of the versions.
        lists_keys: whether the file lists the keys, so that variables are not used.
    """

    provider: str | None = None
    active_key_version: int | None = None
    active_pointer: ActivePointer | None = None
    keys: tuple[KeyEntry, ...] = ()
    kms_key_id: str | None = None
    previous_kms_key_ids: tuple[str, ...] = ()
    vault: VaultSettings = field(default_factory=VaultSettings)
    key_rotation: KeyRotationSettings = field(default_factory=KeyRotationSettings)
    key_destruction: KeyDestructionSettings = field(default_factory=KeyDestructionSettings)
    server: ServerSettings = field(default_factory=ServerSettings)
    server_key: ServerKey | None = None
    lists_keys: bool = False

    @property
    def effective_key_version(self) -> int | None:
        """The version under which the server seals, as far as it is known before keys are fetched.

        It is the active version. If that is not configured, it is the version of the server's only key, or the highest
        version. None if there is no key.
        """
        if self.active_key_version is not None:
            return self.active_key_version
        known = self.server_version if self.is_single else None
        return known or max((entry.version for entry in self.keys), default=None)

    @property
    def is_single(self) -> bool:
        """Whether the server knows one key only (`server.keyring`, see docs/operators/server-and-key.md)."""
        if self.server.keyring is ServerKeyring.AUTO:
            return self.server_key is not None
        return self.server.keyring is ServerKeyring.SINGLE

    @property
    def server_version(self) -> int | None:
        """The version of the server's key, if an entry shows it. Otherwise only the keyring knows it."""
        key = self.server_key
        if key is None:
            return None
        return next((e.version for e in self.keys if e.value == key.value and e.provider == TEXT_PROVIDER), None)

    @property
    def keeps_wrapped_keys(self) -> bool:
        """Whether the database may hold keys that a key service wrapped."""
        return _may_be_in_database(self.provider, self.kms_key_id)

    @property
    def wrapping_keys(self) -> tuple[str, ...]:
        """The keys of the key service that the configuration names, without doubles."""
        entries = (entry.options.get("kms_key_id") for entry in self.keys if entry.recorded is None)
        of_entries = (option.reveal().strip() for option in entries if isinstance(option, Secret))
        return tuple(filter(None, dict.fromkeys((self.kms_key_id or "", *of_entries, *self.previous_kms_key_ids))))

    @property
    def versions(self) -> frozenset[int]:
        """The configured versions."""
        return frozenset(entry.version for entry in self.keys)


def read_encryption(
    reader: Reader, server: ServerSettings, *, home: Path, directory: Path, destroyed: frozenset[int] = frozenset()
) -> tuple[EncryptionSettings, tuple[str, ...]]:
    """Read the section.

    The keys come from `security.encryption.keys`. If there are none, they come from the variables
    `FLUXBASE_SECRET_KEY_<version>`, and from the files that `FLUXBASE_SECRET_KEY_<version>_FILE` name. `encryption_key`
    is always a key too: the one of the version with the same key, else that of version 1.

    Args:
        reader: the file and the environment.
        server: the section `security.encryption.server`.
        home: the folder at which relative paths of key files in the configuration file start.
        directory: the working directory, at which those in variables start.
        destroyed: versions whose entries may be in the file although their variables are no longer set.

    Returns:
        The settings, and warnings for the operator.

    Raises:
        UnsetKeyError: a key is in a variable that is not set, and its version is not in `destroyed`.
        ConfigurationError: a setting can't be used or is misspelt, or one version has two entries.
    """
    warnings = check_names(reader, SECTIONS)
    provider = read_provider(reader)
    entries = entries_of_file(reader, provider, home, destroyed, warnings)
    from_file = bool(entries)
    if not from_file:
        entries = entries_of_variables(reader, provider, directory)
        warnings += warnings_of_names(reader)
    server_key = read_server_key(reader)
    own = None if server_key is None else server_entry(server_key, entries)
    if own is not None:
        entries.append(own)
    keys = tuple(sorted(entries, key=lambda entry: entry.version))
    refuse_equal_versions(keys)
    kms_key_id = _text_or_none(reader, f"{_SECTION}.kms_key_id")
    pointer = _active_pointer(reader)
    may_be_elsewhere = pointer is not None or _may_be_in_database(provider, kms_key_id)
    settings = EncryptionSettings(
        provider=provider,
        # Wrapped keys may be in the database. Only the keyring knows whether it has this version.
        active_key_version=None if pointer is not None else _active_version(reader, () if may_be_elsewhere else keys),
        active_pointer=pointer,
        keys=keys,
        kms_key_id=kms_key_id,
        previous_kms_key_ids=tuple(
            word.text
            for word in read_words(
                reader, f"{_SECTION}.previous_kms_key_ids", "previous_kms_key_ids: [alias/fluxbase-secrets-2025]"
            )
        ),
        vault=read_vault(reader),
        key_rotation=read_key_rotation(reader),
        key_destruction=read_key_destruction(reader),
        server=server,
        server_key=server_key,
        lists_keys=from_file,
    )
    if from_file:
        warnings += warnings_of_unused(reader, keys)
    if server_key is not None:
        warnings += warnings_of_server_key(reader, server_key)
    return settings, tuple(warnings)


def _may_be_in_database(provider: str | None, kms_key_id: str | None) -> bool:
    return kms_key_id is not None or traits_of(provider).keeps_wrapped_keys


def _active_pointer(reader: Reader) -> ActivePointer | None:
    found = reader.text(f"{_SECTION}.active_key_version", Unquoted.AS_WRITTEN)
    provider = None if found is None else provider_of_reference(found.text)
    return None if found is None or provider is None else ActivePointer(found.place, provider, Secret(found.text))


def _active_version(reader: Reader, keys: tuple[KeyEntry, ...]) -> int | None:
    path = f"{_SECTION}.active_key_version"
    version = reader.integer(path, minimum=1)
    versions = [entry.version for entry in keys]
    # If there is no key at all, that is the more important error, and the keyring raises it.
    if version is not None and versions and version not in versions:
        found = reader.text(path)
        raise ConfigurationError(
            f"{found.place if found else path} is {version}, and there is no key of that version "
            f"(configured: {', '.join(map(str, versions))})",
            hint=f"Correct the number, or add the key (security.encryption.keys or FLUXBASE_SECRET_KEY_{version}).",
        )
    return version


def _text_or_none(reader: Reader, path: str) -> str | None:
    found = reader.text(path)
    return found.text if found is not None and found.text else None
