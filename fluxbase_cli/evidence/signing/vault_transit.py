"""Signs with a key of Vault's engine transit, of the type ed25519 or ecdsa-p256. The key never leaves Vault.

The formats are from Vault's HTTP API (https://developer.hashicorp.com/vault/api-docs/secret/transit). Vault's texts are
never shown.
"""

from __future__ import annotations

import base64
import re
from functools import cached_property

from cryptography.hazmat.primitives.asymmetric import ed25519

from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.evidence.signing.public_key import PublicKey, parse_public_key
from fluxbase_cli.keyring.vault.client import VaultClient
from fluxbase_cli.keyring.vault.connection import NOT_FOUND, Request, Response
from fluxbase_cli.keyring.vault_transit.engine import WrappingKey, parse_wrapping_key

_FAILED = "the report can't be signed"
_SIGNATURE = re.compile(r"vault:v(\d+):(.+)")
_MOUNT = "transit"
_ED25519, _ECDSA = "ed25519", "ecdsa-p256"
_KEY_BYTES = 32
_ADDRESS = "Check VAULT_ADDR: it must be the address of a Vault or OpenBao server."


class VaultTransitSigner:
    """Signs with a key of Vault.

    Args:
        client: sends the requests.
        name: the key, `MOUNT/NAME`, or only its name in the mount `transit`.

    Raises:
        ConfigurationError: that is no such name.
    """

    def __init__(self, client: VaultClient, name: str) -> None:
        self._client = client
        self._key: WrappingKey = parse_wrapping_key(
            name if "/" in name.strip("/") else f"{_MOUNT}/{name}", "--sign vault-transit:"
        )
        # Set by the first signature: a key of Vault has versions, and the newest one signs.
        self._version: int | None = None

    @cached_property
    def _description(self) -> Response:
        path = f"{self._key.mount}/keys/{self._key.name}"
        response = self._client.ask(Request("GET", path), "read")
        if not response.is_ok:
            raise self._refusal(response)
        kind, derived = response.data.get("type"), response.data.get("derived")
        if kind not in {_ED25519, _ECDSA} or derived:
            what = "derives keys (derived=true)" if derived else f"is of the type {kind}"
            raise ConfigurationError(
                f"{_FAILED}: the key {self._key} in {self._client.name} {what}",
                hint=f"`vault write {self._key.mount}/keys/NAME type=ed25519` makes a key that can sign.",
            )
        return response

    @property
    def public_key(self) -> PublicKey:
        """The public key of the version that signs."""
        data = self._description.data
        keys, version = data.get("keys"), self._version or data.get("latest_version")
        entry = keys.get(str(version)) if isinstance(keys, dict) else None
        text = entry.get("public_key") if isinstance(entry, dict) else None
        key = _parse(text, data.get("type")) if isinstance(text, str) else None
        if key is None:
            raise ConfigurationError(f"{_FAILED}: {self._client.name} does not answer like Vault", hint=_ADDRESS)
        return key

    def sign(self, message: bytes) -> bytes:
        """The signature of a message by the newest version of the key.

        Raises:
            ConfigurationError: Vault refuses.
        """
        body = {"input": base64.b64encode(message).decode("ascii"), "marshaling_algorithm": "asn1"}
        hashed = "/sha2-256" if self._description.data.get("type") == _ECDSA else ""
        path = f"{self._key.mount}/sign/{self._key.name}{hashed}"
        response = self._client.ask(Request("POST", path, body), "update")
        text = response.data.get("signature")
        found = _SIGNATURE.fullmatch(text) if isinstance(text, str) else None
        if not response.is_ok or found is None:
            raise self._refusal(response)
        self._version = int(found[1])
        try:
            return base64.b64decode(found[2], validate=True)
        except ValueError:
            raise ConfigurationError(
                f"{_FAILED}: {self._client.name} does not answer like Vault", hint=_ADDRESS
            ) from None

    def _refusal(self, response: Response) -> ConfigurationError:
        text = response.error_text.lower()
        if "no handler for route" in text:
            return ConfigurationError(
                f"{_FAILED}: there is no engine transit at {self._key.mount} of {self._client.name}",
                hint="Name mount and key: --sign vault-transit:MOUNT/NAME.",
            )
        if response.status == NOT_FOUND or "signing key not found" in text:
            return ConfigurationError(
                f"{_FAILED}: there is no key {self._key.name} at {self._key.mount} of {self._client.name}",
                hint=f"`vault write {self._key.mount}/keys/{self._key.name} type=ed25519` makes one.",
            )
        return ConfigurationError(
            f"{_FAILED}: {self._client.name} refuses it (HTTP {response.status})",
            hint=f"`vault read {self._key.mount}/keys/{self._key.name}` shows the key.",
        )


def _parse(text: str, kind: object) -> PublicKey | None:
    """A public key as Vault shows it: 32 bytes in base64 (Ed25519), or PEM."""
    if kind == _ECDSA:
        return parse_public_key(text.encode())
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    return PublicKey(ed25519.Ed25519PublicKey.from_public_bytes(raw)) if len(raw) == _KEY_BYTES else None
