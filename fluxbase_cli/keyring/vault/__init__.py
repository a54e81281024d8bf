"""The provider `vault`: keys in the engine `kv` of HashiCorp Vault or OpenBao."""

from fluxbase_cli.keyring.vault.provider import VaultKeyProvider

__all__ = ["VaultKeyProvider"]
