"""The provider `env`: keys that stand in the configuration or the environment as text."""

from __future__ import annotations

from fluxbase_cli.config import KeyEntry
from fluxbase_cli.keyring.material import parse_key
from fluxbase_cli.keyring.provider import ProviderContext


class EnvKeyProvider:
    """Reads the key out of the entry itself; `${VAR}` has been expanded by then."""

    def __init__(self, _context: ProviderContext) -> None:
        """Needs nothing but the entries."""

    def fetch(self, entry: KeyEntry) -> bytes:
        """Return the entry's key (see `fluxbase_cli.keyring.material.parse_key`)."""
        return parse_key(entry.value.reveal(), entry.source)
