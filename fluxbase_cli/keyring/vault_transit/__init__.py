"""The provider `vault_transit`: keys that are kept wrapped by a key of Vault's engine `transit`."""

from fluxbase_cli.keyring.vault_transit.provider import VaultTransitKeyProvider

__all__ = ["VaultTransitKeyProvider"]
