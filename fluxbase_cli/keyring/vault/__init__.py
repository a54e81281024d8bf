"""The provider `vault`: keys that HashiCorp Vault, or OpenBao, keeps in its engine `kv`."""

from fluxbase_cli.keyring.vault.provider import VaultKeyProvider

__all__ = ["VaultKeyProvider"]
