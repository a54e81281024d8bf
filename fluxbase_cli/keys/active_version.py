"""Reads and changes the active version if it is kept with the keys, and the configuration only points to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from fluxbase_cli.config import ActivePointer, Settings
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.keyring import ActiveVersionStore, ProviderContext, load_provider

Warn = Callable[[str], None]


def follow_pointer(settings: Settings, environ: Mapping[str, str], *, warn: Warn) -> Settings:
    """Return the settings with the active version. Settings that already hold it are returned unchanged.

    Raises:
        ConfigurationError: there is no number at the place of the pointer, or it can't be read.
    """
    pointer = settings.encryption.active_pointer
    if pointer is None:
        return settings
    version = _active_version_store(settings, pointer, environ, warn).read_active(pointer)
    return replace(settings, encryption=replace(settings.encryption, active_key_version=version))


def move_pointer(settings: Settings, environ: Mapping[str, str], version: int, *, warn: Warn) -> None:
    """Make another version active, at the place that the configuration points to.

    Raises:
        ConfigurationError: the configuration points to no place, or that place can't be written.
    """
    pointer = settings.encryption.active_pointer
    if pointer is None:
        raise ConfigurationError(
            "security.encryption.active_key_version is a number, and not a reference to a key source",
            hint="Change the number in the configuration by hand.",
        )
    store = _active_version_store(settings, pointer, environ, warn)
    store.write_active(pointer, version)
    now = store.read_active(pointer)
    if now != version:
        raise ConfigurationError(
            f"{pointer.source}: version {version} was written, but version {now} was read back",
            hint="Check that nobody else writes there at the same time, then run the same command again.",
        )


def _active_version_store(
    settings: Settings, pointer: ActivePointer, environ: Mapping[str, str], warn: Warn
) -> ActiveVersionStore:
    provider = load_provider(pointer.provider, ProviderContext(settings.encryption, environ, warn))
    if not isinstance(provider, ActiveVersionStore):
        raise ConfigurationError(
            f"{pointer.source}: the provider '{pointer.provider}' can't keep the active version",
            hint="Write the number itself there, or a reference to a place in Vault.",
        )
    return provider
