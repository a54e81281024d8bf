"""Makes settings, keys and messages from the common options."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fluxbase_cli.cli.options import Options
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.log_events import LogEvent, about

if TYPE_CHECKING:
    from fluxbase_cli.config import Settings
    from fluxbase_cli.keyring import Keyring
    from fluxbase_cli.report.messages import Messages


#: Higher than any key version in use.
_MANY_VERSIONS = 10_000


def load(options: Options, messages: Messages | None = None) -> Settings:
    """Read the configuration and the environment.

    If the configuration only says where the active version is kept, read the active version from there.

    Args:
        options: the common options.
        messages: for warnings while the active version is read. Without it, the active version is not read.

    Raises:
        ConfigurationError: the configuration can't be used.
    """
    settings = _read(options)
    if messages is None or settings.encryption.active_pointer is None:
        return settings
    from fluxbase_cli.keys.active_version import follow_pointer  # noqa: PLC0415  # start-up time

    return follow_pointer(settings, os.environ, warn=about(LogEvent.KEY_WARNING, messages.warn_once))


def working_directory() -> Path:
    """The folder in which the configuration is looked for first.

    Raises:
        ConfigurationError: it was deleted, or may not be read.
    """
    try:
        return Path.cwd()
    except OSError as error:
        raise ConfigurationError(
            f"the working directory can't be used: {error.strerror or type(error).__name__}",
            hint="Was it deleted? Change to another directory.",
        ) from None


def _read(options: Options) -> Settings:
    from fluxbase_cli.config import UnsetKeyError, load_settings  # noqa: PLC0415  # start-up time

    directory = working_directory()

    def read(destroyed: frozenset[int] = frozenset()) -> Settings:
        return load_settings(
            config=options.config,
            database_url=options.database_url,
            directory=directory,
            environ=os.environ,
            destroyed=destroyed,
        )

    try:
        return read()
    except UnsetKeyError:
        # The key may be unset because it was destroyed. Only the database knows that. If it does not say so, or if it
        # can't be reached, the error remains.
        from fluxbase_cli.keys.loader import destroyed_versions  # noqa: PLC0415  # start-up time

        everything = frozenset(range(1, _MANY_VERSIONS))
        return read(destroyed_versions(read(everything).database))


@dataclass(frozen=True, slots=True, repr=False)
class Loaded:
    """Settings with their keys."""

    settings: Settings
    keyring: Keyring


def with_keys(settings: Settings, messages: Messages) -> Loaded:
    """Fetch the keys of a configuration, and print the warnings of both.

    Raises:
        ConfigurationError: a key can't be used.
    """
    from fluxbase_cli.keys.loader import open_keyring  # noqa: PLC0415  # start-up time

    keyring = open_keyring(settings, os.environ, warn=about(LogEvent.KEY_WARNING, messages.warn_once))
    for warning in settings.warnings:
        messages.warn(LogEvent.CONFIGURATION_WARNING, warning)
    for key in keyring.keys:
        # `keys list` and `config check` tell of all weak keys. Here one that everybody can look up is important enough.
        for warning in key.warnings if key.is_sample else ():
            messages.warn(LogEvent.KEY_WARNING, f"key version {key.version} ({key.source}): {warning}")
    return Loaded(settings, keyring)


def messages_for(options: Options) -> Messages:
    """Make the writer of messages to stderr. The options set its form, and whether it is quiet."""
    from fluxbase_cli.report.messages import Messages  # noqa: PLC0415  # start-up time

    return Messages(quiet=bool(options.quiet), as_json=options.json_messages, color=options.color)
