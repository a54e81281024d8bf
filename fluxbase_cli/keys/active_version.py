"""The number of the active version, where it is kept beside the keys and not in the configuration itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from fluxbase_cli.config import ActivePointer, Settings
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.keyring import ActiveVersionStore, ProviderContext, load_provider

Warn = Callable[[str], None]


def follow_pointer(settings: Settings, environ: Mapping[str, str], *, warn: Warn) -> Settings:
    """The settings with the active version in them; as they are where they say it themselves.

    Raises:
        ConfigurationError: there is no number where the pointer points, or it can't be read.
    """
    pointer = settings.encryption.active_pointer
    if pointer is None:
        return settings
    version = _keeper(settings, pointer, environ, warn).read_active(pointer)
    return replace(settings, encryption=replace(settings.encryption, active_key_version=version))


def move_pointer(settings: Settings, environ: Mapping[str, str], version: int, *, warn: Warn) -> None:
    """Make another version the active one, where the configuration points.

    Raises:
        ConfigurationError: it points nowhere, or that place can't be written.
    """
    pointer = settings.encryption.active_pointer
    if pointer is None:
        raise ConfigurationError("the active version is in the configuration itself, and not where it points")
    keeper = _keeper(settings, pointer, environ, warn)
    keeper.write_active(pointer, version)
    now = keeper.read_active(pointer)
    if now != version:
        raise ConfigurationError(f"{pointer.source}: version {version} was written, and {now} is what stands there")


def _keeper(settings: Settings, pointer: ActivePointer, environ: Mapping[str, str], warn: Warn) -> ActiveVersionStore:
    provider = load_provider(pointer.provider, ProviderContext(settings.encryption, environ, warn))
    if not isinstance(provider, ActiveVersionStore):
        raise ConfigurationError(f"{pointer.source}: the provider '{pointer.provider}' can't keep the active version")
    return provider
