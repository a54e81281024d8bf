"""A key service of somebody else: it wraps keys under keys that only it has, which here are in a folder.

The folder is in the variable ACME_KEYS; a file NAME holds the wrapping key of that name as hex.
"""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fluxbase_cli.config import KeyEntry, Secret
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.keyring import CreatedKey, KeyAbsentError, ProviderContext
from fluxbase_cli.seal import fingerprint

NAME = "acme-keys"


class AcmeKeyProvider:
    """Opens, makes and rewraps keys."""

    def __init__(self, context: ProviderContext) -> None:
        """Take the folder from the environment, and the name of the wrapping key from `kms_key_id`."""
        self._folder = Path(context.environ["ACME_KEYS"])
        self._wrapping_key = context.encryption.kms_key_id or "main"

    def fetch(self, entry: KeyEntry) -> bytes:
        """Unwrap the key of one entry."""
        ciphertext = entry.options.get("ciphertext")
        if not isinstance(ciphertext, Secret):
            raise KeyAbsentError(f"{entry.source}: there is no ciphertext")
        name = entry.options.get("kms_key_id")
        box = base64.b64decode(ciphertext.reveal())
        try:
            return self._box(name.reveal() if isinstance(name, Secret) else "").decrypt(box[:12], box[12:], None)
        except InvalidTag:
            raise ConfigurationError(f"{entry.source}: the ciphertext does not open") from None

    def create(self, version: int, known: tuple[KeyEntry, ...]) -> CreatedKey:
        """Make a key and wrap it."""
        del known
        return self._wrapped(KeyEntry(version, NAME, "the Acme key service", Secret("")), os.urandom(32))

    def rewrap(self, entry: KeyEntry, wrapping_key: str) -> CreatedKey:
        """Wrap the same key under another one."""
        key = self.fetch(entry)
        self._wrapping_key = wrapping_key
        return self._wrapped(entry, key)

    def _wrapped(self, entry: KeyEntry, key: bytes) -> CreatedKey:
        nonce = secrets.token_bytes(12)
        box = nonce + self._box(self._wrapping_key).encrypt(nonce, key, None)
        options: Mapping[str, Secret] = {
            "ciphertext": Secret(base64.b64encode(box).decode()),
            "kms_key_id": Secret(self._wrapping_key),
        }
        setting = {name: option.reveal() for name, option in options.items()}
        return CreatedKey(replace(entry, options=options), fingerprint(key), setting)

    def _box(self, name: str) -> AESGCM:
        return AESGCM(bytes.fromhex((self._folder / name).read_text()))
