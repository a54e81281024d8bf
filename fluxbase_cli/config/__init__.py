"""The configuration: fluxbase.yaml, `.env` and the environment, read into typed, frozen settings."""

from fluxbase_cli.config.database import DatabaseSettings
from fluxbase_cli.config.destruction import KeyDestructionSettings
from fluxbase_cli.config.encryption import (
    ActivePointer,
    EncryptionSettings,
)
from fluxbase_cli.config.key_entry import KeyEntry, UnsetKeyError
from fluxbase_cli.config.rotation import KeyRotationSettings
from fluxbase_cli.config.secret import Secret
from fluxbase_cli.config.server import ServerKey, ServerKeyring, ServerSettings
from fluxbase_cli.config.settings import Settings, knows_one_key, load_settings
from fluxbase_cli.config.vault import VaultAuth, VaultMethod, VaultSettings

__all__ = [
    "ActivePointer",
    "DatabaseSettings",
    "EncryptionSettings",
    "KeyDestructionSettings",
    "KeyEntry",
    "KeyRotationSettings",
    "Secret",
    "ServerKey",
    "ServerKeyring",
    "ServerSettings",
    "Settings",
    "UnsetKeyError",
    "VaultAuth",
    "VaultMethod",
    "VaultSettings",
    "knows_one_key",
    "load_settings",
]
