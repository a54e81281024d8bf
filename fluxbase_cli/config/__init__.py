"""The configuration: fluxbase.yaml, .env and the environment become typed, frozen settings."""

from __future__ import annotations

from fluxbase_cli.config.secret import Secret
from fluxbase_cli.config.settings import (
    DatabaseSettings,
    EncryptionSettings,
    KeyEntry,
    KeyRotationSettings,
    Settings,
    load_settings,
)

__all__ = [
    "DatabaseSettings",
    "EncryptionSettings",
    "KeyEntry",
    "KeyRotationSettings",
    "Secret",
    "Settings",
    "load_settings",
]
