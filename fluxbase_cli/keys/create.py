"""Makes a new key in a key source or in a file, and reads it back before it reports success."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from fluxbase_cli import seal
from fluxbase_cli.config import KeyEntry, Settings
from fluxbase_cli.encoding import Encoding
from fluxbase_cli.errors import ConfigurationError, FluxbaseCliError
from fluxbase_cli.keyring import CreatedKey, KeyAbsentError, KeyCreator, fetch_key, generate_key, parse_key
from fluxbase_cli.keyring.file import write_new
from fluxbase_cli.keyring.options import text_option
from fluxbase_cli.keys.history import KeyHistory, entry_of, read_history
from fluxbase_cli.keys.sources import KeySources, find_key_sources
from fluxbase_cli.store.connection import session
from fluxbase_cli.store.jobs import JobStore
from fluxbase_cli.store.key_records import KeyEvent, KeyRecords
from fluxbase_cli.store.wrapped_keys import WrappedKeyStore


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key that was made, stored and read back.

    Attributes:
        version: its version; None for a key in a file.
        provider: the key provider.
        source: where the key is, never its value.
        fingerprint: the fingerprint of the key.
        setting: the settings of its entry in `security.encryption.keys`, besides the version; empty if it needs none.
        configured: whether the configuration already has its entry, or needs none.
    """

    version: int | None
    provider: str
    source: str
    fingerprint: str
    setting: Mapping[str, str]
    configured: bool


def create_key(
    settings: Settings,
    environ: Mapping[str, str],
    version: int | None,
    *,
    warn: Callable[[str], None],
    encoding: Encoding | None = None,
) -> StoredKey:
    """Make a new key and store it with the provider of the configuration. It never overwrites a key.

    Args:
        settings: the configuration.
        environ: the environment, for providers that need credentials.
        version: the new key's version; None means the next one.
        warn: called with warnings for the operator.
        encoding: the form of the key; None means the form that the server takes.

    Raises:
        ConfigurationError: the provider can't store keys, a key of that version exists, the version was used before,
            or the key that was read back is not the one that was stored.
        DatabaseError: the key must be stored in the database, and the database can't be reached.
    """
    history = _history(settings, warn)
    sources = replace(find_key_sources(settings.encryption, history, environ, warn), encoding=encoding)
    chosen = _next_version(sources, history) if version is None else version
    if history.may_be_gone(chosen):
        raise ConfigurationError(
            f"key version {chosen} was used before, and its key was destroyed",
            hint="Use a higher number. Otherwise old values and backups could be mistaken for values of the new key.",
        )
    name = sources.provider_for_new(chosen)
    provider = sources.provider(name)
    if not isinstance(provider, KeyCreator):
        raise ConfigurationError(
            f"the provider '{name}' can't store a key of version {chosen}",
            hint=f"Use a provider that makes keys: an entry `key_file: PATH` of version {chosen}, `provider: vault`, "
            "vault_transit, aws_kms or aws_secrets_manager; or security.encryption.server.env_file for keys in the "
            "server's own file. Or write the key to a file with --out PATH, or print it by leaving --store out.",
        )
    created = provider.create(chosen, tuple(sources.entries.values()))
    # The provider of text writes the entry itself, and then there is nothing to configure.
    configured = chosen in settings.encryption.versions or not created.setting
    entry = created.entry
    if "ciphertext" in created.entry.options:
        entry = keep_wrapped(settings, created)
        configured = True
    _refuse_other_key(sources.provider(name).fetch(entry), created, entry)
    _record(settings, entry, created, warn)
    return StoredKey(chosen, name, entry.source, created.fingerprint, created.setting, configured)


def write_key(path: Path, encoding: Encoding) -> StoredKey:
    """Make a new key and write it to a new file that only its owner can read.

    Args:
        path: the file; it must not exist.
        encoding: the form of the key.

    Raises:
        ConfigurationError: the file exists or can't be written, or its content differs when it is read back.
    """
    text = generate_key(encoding)
    try:
        write_new(path, text)
        read_back = path.read_text(encoding="ascii").removesuffix("\n")
    except FileExistsError:
        raise ConfigurationError(f"--out {path} exists already", hint="It was not changed. Name a new file.") from None
    except OSError as error:
        raise ConfigurationError(
            f"--out {path} can't be written: {error.strerror or type(error).__name__}",
            hint="Name a new file in a folder where you may write.",
        ) from None
    fingerprint = seal.fingerprint(parse_key(text, "the new key"))
    if seal.fingerprint(parse_key(read_back, str(path))) != fingerprint:
        raise ConfigurationError(
            f"--out {path} does not hold what was written to it",
            hint="Do not use this key. Check the disk (`df -h`), then write a key to a new file.",
        )
    return StoredKey(None, "file", str(path), fingerprint, {}, configured=False)


def _history(settings: Settings, warn: Callable[[str], None]) -> KeyHistory:
    try:
        return read_history(settings.database)
    except FluxbaseCliError as error:
        if settings.encryption.keeps_wrapped_keys:
            raise
        warn(
            f"the database can't be asked which key versions existed before ({error.message}); "
            "`fluxbase-cli config check` says what to do"
        )
        return KeyHistory()


def _next_version(sources: KeySources, history: KeyHistory) -> int:
    """Choose the version to make.

    It is the newest configured version, if that has no key yet. Otherwise it is one more than the highest version ever.
    """
    newest = max(sources.entries, default=0)
    if newest and not history.may_be_gone(newest):
        entry = sources.entries[newest]
        try:
            fetch_key(sources.provider(entry.provider), entry)
        except KeyAbsentError:
            return newest
    return max({newest, *history.versions}, default=0) + 1


def keep_wrapped(settings: Settings, created: CreatedKey) -> KeyEntry:
    """Store a wrapped key in the database, read it back, and return its entry.

    Raises:
        ConfigurationError: it is not there when it is read back.
        DatabaseError: the database can't be reached.
    """
    entry = created.entry
    with session(settings.database) as connection:
        wrapped = WrappedKeyStore(connection)
        wrapped.ensure()
        wrapped.add(
            version=entry.version,
            provider=entry.provider,
            kms_key_id=text_option(entry, "kms_key_id") or "",
            ciphertext=base64.b64decode(text_option(entry, "ciphertext") or ""),
            fingerprint=created.fingerprint,
        )
        kept = wrapped.get(entry.version)
    if kept is None:
        raise ConfigurationError(
            f"the wrapped key of version {entry.version} is not in the database after it was written there",
            hint="Nothing was sealed under it. Run the same command again.",
        )
    return entry_of(kept)


def _refuse_other_key(secret: bytes, created: CreatedKey, entry: KeyEntry) -> None:
    if seal.fingerprint(secret) != created.fingerprint:
        raise ConfigurationError(
            f"the key at {entry.source} is not the one that was stored there",
            hint="Somebody else wrote there at the same time. Use another version, and find out who it was.",
        )


def _record(settings: Settings, entry: KeyEntry, created: CreatedKey, warn: Callable[[str], None]) -> None:
    try:
        with session(settings.database) as connection:
            JobStore(connection).schema.ensure()
            KeyRecords(connection).add(
                KeyEvent.CREATED,
                entry.version,
                created.fingerprint,
                detail={"provider": entry.provider, "source": entry.source},
            )
    except FluxbaseCliError as error:
        # The key is stored and was read back. Only its age will not be known.
        warn(
            f"the new key could not be recorded in the database ({error.message}); "
            "`fluxbase-cli config check` says what to do"
        )
