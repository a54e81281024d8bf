"""Keys: where they come from, and how they open and seal values."""

from fluxbase_cli.keyring.material import generate_key, parse_key, server_text
from fluxbase_cli.keyring.opener import Layer, Opened, Opener, reseal
from fluxbase_cli.keyring.provider import (
    ActiveVersionStore,
    CreatedKey,
    KeyAbsentError,
    KeyCreator,
    KeyDater,
    KeyDestroyer,
    KeyElsewhereError,
    KeyFinder,
    KeyImporter,
    KeyNamer,
    KeyProvider,
    KeyRewrapper,
    ProviderContext,
    load_provider,
    no_warning,
)
from fluxbase_cli.keyring.ring import (
    Key,
    Keyring,
    ServersKey,
    fetch_key,
    fetch_keys,
    load_keyring,
    refuse_other,
    servers_key,
)
from fluxbase_cli.keyring.weakness import SAMPLE_KEYS, weakness_of
from fluxbase_cli.seal import ReopenError

__all__ = [
    "SAMPLE_KEYS",
    "ActiveVersionStore",
    "CreatedKey",
    "Key",
    "KeyAbsentError",
    "KeyCreator",
    "KeyDater",
    "KeyDestroyer",
    "KeyElsewhereError",
    "KeyFinder",
    "KeyImporter",
    "KeyNamer",
    "KeyProvider",
    "KeyRewrapper",
    "Keyring",
    "Layer",
    "Opened",
    "Opener",
    "ProviderContext",
    "ReopenError",
    "ServersKey",
    "fetch_key",
    "fetch_keys",
    "generate_key",
    "load_keyring",
    "load_provider",
    "no_warning",
    "parse_key",
    "refuse_other",
    "reseal",
    "server_text",
    "servers_key",
    "weakness_of",
]
