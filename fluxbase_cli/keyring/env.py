"""The provider `env`: keys that are in the configuration or the environment as text."""

from __future__ import annotations

from fluxbase_cli.config import KeyEntry
from fluxbase_cli.keyring.material import parse_key
from fluxbase_cli.keyring.provider import ProviderContext


class EnvKeyProvider:
    """Reads the key from the entry itself. `${VAR}` is expanded before that."""

    def __init__(self, _context: ProviderContext) -> None:
        """It needs only the entries."""

    def fetch(self, entry: KeyEntry) -> bytes:
        """Return the entry's key (see `fluxbase_cli.keyring.material.parse_key`)."""
        return parse_key(entry.value.reveal(), entry.source)
