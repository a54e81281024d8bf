"""What is configured: fluxbase.yaml, `.env` and the environment as typed, frozen settings."""

from fluxbase_cli.config.database import DatabaseSettings
from fluxbase_cli.config.encryption import EncryptionSettings, KeyEntry, KeyRotationSettings
from fluxbase_cli.config.secret import Secret
from fluxbase_cli.config.settings import Settings, load_settings

__all__ = [
    "DatabaseSettings",
    "EncryptionSettings",
    "KeyEntry",
    "KeyRotationSettings",
    "Secret",
    "Settings",
    "load_settings",
]
