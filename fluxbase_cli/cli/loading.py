"""From the common options to settings, keys and the parts that commands need."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fluxbase_cli.cli.options import LogFormat, Options

if TYPE_CHECKING:
    from fluxbase_cli.config import Settings
    from fluxbase_cli.keyring import Keyring
    from fluxbase_cli.report.messages import Messages


def load(options: Options) -> Settings:
    """Read the configuration and the environment.

    Raises:
        ConfigurationError: they can't be used.
    """
    from fluxbase_cli.config import load_settings  # noqa: PLC0415  # start-up time

    return load_settings(
        config=options.config,
        database_url=options.database_url,
        directory=Path.cwd(),
        environ=os.environ,
    )


@dataclass(frozen=True, slots=True, repr=False)
class Loaded:
    """Settings with their keys."""

    settings: Settings
    keyring: Keyring


def load_with_keys(options: Options, messages: Messages) -> Loaded:
    """As `load`, and fetch the keys; tells what is worth a warning.

    Raises:
        ConfigurationError: the configuration or a key can't be used.
    """
    from fluxbase_cli.keyring import load_keyring  # noqa: PLC0415  # start-up time

    settings = load(options)
    keyring = load_keyring(settings.encryption, os.environ)
    for warning in settings.warnings:
        messages.warn(warning)
    for key in keyring.keys:
        for warning in key.warnings:
            messages.warn(f"key version {key.version} ({key.source}): {warning}")
    return Loaded(settings, keyring)


def messages_for(options: Options) -> Messages:
    """Where messages go: stderr, in the form and as loud as the options say."""
    from fluxbase_cli.report.messages import Messages  # noqa: PLC0415  # start-up time

    return Messages(quiet=bool(options.quiet), as_json=options.log_format is LogFormat.JSON, color=options.color)
