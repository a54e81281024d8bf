"""Keys, where they come from, and what they open."""

from fluxbase_cli.keyring.material import SAMPLE_KEYS, generate_key, parse_key
from fluxbase_cli.keyring.opener import Layer, Opened, Opener, ReopenError, reseal
from fluxbase_cli.keyring.provider import KeyProvider, ProviderContext
from fluxbase_cli.keyring.ring import Key, Keyring, load_keyring

__all__ = [
    "SAMPLE_KEYS",
    "Key",
    "KeyProvider",
    "Keyring",
    "Layer",
    "Opened",
    "Opener",
    "ProviderContext",
    "ReopenError",
    "generate_key",
    "load_keyring",
    "parse_key",
    "reseal",
]
