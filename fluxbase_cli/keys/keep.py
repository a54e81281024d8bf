"""Keeps the key that the server has, before another one replaces it at its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fluxbase_cli.config import KeyEntry, Settings
from fluxbase_cli.config.server import SERVER_KEY_VARIABLE
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.keyring import Key, KeyImporter, no_warning
from fluxbase_cli.keyring.env import variable_of
from fluxbase_cli.keyring.env_file import CantChangeError, change_variables, refuse
from fluxbase_cli.keys.create import keep_wrapped
from fluxbase_cli.keys.history import KeyHistory, read_history
from fluxbase_cli.keys.sources import KeySources, find_key_sources

Warn = Callable[[str], None]


def refuse_if_lost(settings: Settings, history: KeyHistory, environ: Mapping[str, str], version: int) -> None:
    """Raise an error if the server's key is nowhere else and can't be kept.

    Raises:
        ConfigurationError: the hint says where to keep it.
    """
    sources = find_key_sources(settings.encryption, history, environ, no_warning)
    entry = sources.entry(version)
    if not _is_replaced(settings, entry) or _goes_to_file(settings) or _importer(sources) is not None:
        return
    raise ConfigurationError(
        f"the old key, version {version}, is only at {entry.source}, where the new key replaces it",
        hint=_keep_hint(version),
    )


def keep_key(settings: Settings, environ: Mapping[str, str], key: Key, *, warn: Warn) -> str | None:
    """Keep the server's key in another place, if it is only in the place where the new one replaces it.

    Args:
        settings: the configuration.
        environ: the environment, for providers.
        key: the server's key.
        warn: called with warnings for the operator.

    Returns:
        Where it is kept now; None if it was in another place already.

    Raises:
        ConfigurationError: it can't be kept.
        DatabaseError: the database can't be reached.
    """
    sources = find_key_sources(settings.encryption, read_history(settings.database), environ, warn)
    if not _is_replaced(settings, sources.entry(key.version)):
        return None
    path, name = settings.encryption.server.env_file, variable_of(key.version)
    if path is not None and _goes_to_file(settings):
        entry = sources.entry(key.version)
        try:
            change_variables(path, {name: entry.value.reveal()}, after=SERVER_KEY_VARIABLE)
        except CantChangeError as error:
            raise refuse(path, error, "Nothing was changed. Correct that, then run the command again.") from None
        return f"{path}: {name}"
    importer = _importer(sources)
    if importer is None:
        raise ConfigurationError(
            f"the key at {key.source} can't be kept in another place", hint=_keep_hint(key.version)
        )
    return keep_wrapped(settings, importer.store(key.version, key.secret, tuple(sources.entries.values()))).source


def _keep_hint(version: int) -> str:
    return (
        f"Keep it in another place too: as {variable_of(version)}, or as version {version} in security.encryption.keys."
    )


def _is_replaced(settings: Settings, entry: KeyEntry) -> bool:
    """Whether the key's only place is the one that the server reads."""
    server = settings.encryption.server_key
    return server is not None and entry.source == server.source


def _goes_to_file(settings: Settings) -> bool:
    return settings.encryption.server.env_file is not None and not settings.encryption.lists_keys


def _importer(sources: KeySources) -> KeyImporter | None:
    if not sources.encryption.keeps_wrapped_keys:
        return None
    provider = sources.provider(sources.provider_for_new(max(sources.entries, default=0) + 1))
    return provider if isinstance(provider, KeyImporter) else None
