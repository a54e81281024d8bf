"""Requests to Vault's engine `transit`: wrap and unwrap a key.

The formats are from Vault's HTTP API (https://developer.hashicorp.com/vault/api-docs/secret/transit). Vault's texts are
never shown.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

from fluxbase_cli.config.provider_traits import TRANSIT_PREFIX
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.keyring.vault.client import VaultClient
from fluxbase_cli.keyring.vault.connection import FORBIDDEN, NOT_FOUND, Request, Response

_NAME_HINT = "Set kms_key_id to the mount and the name of the wrapping key, as in transit/fluxbase."
#: Kinds of keys that can bind what they wrap to a text, as it is bound to the version here.
_KINDS = frozenset({"aes128-gcm96", "aes256-gcm96", "chacha20-poly1305", "xchacha20-poly1305"})


@dataclass(frozen=True, slots=True)
class WrappingKey:
    """A key of the engine.

    Attributes:
        mount: where the engine is mounted.
        name: the name of the key.
    """

    mount: str
    name: str

    def __str__(self) -> str:
        return f"{self.mount}/{self.name}"


def parse_wrapping_key(text: str, place: str) -> WrappingKey:
    """Read the name of a wrapping key, `MOUNT/NAME`. The mount may have slashes.

    Raises:
        ConfigurationError: it is not such a name.
    """
    mount, _, name = text.strip().strip("/").rpartition("/")
    if not mount or not name or not text.isprintable() or not {"", ".", ".."}.isdisjoint((*mount.split("/"), name)):
        raise ConfigurationError(f"{place} is not the name of a key of Vault's engine transit", hint=_NAME_HINT)
    return WrappingKey(mount, name)


class Transit:
    """Wraps and unwraps keys.

    Args:
        client: sends the requests.
    """

    def __init__(self, client: VaultClient) -> None:
        self._client = client

    @property
    def server(self) -> str:
        """The name of the server in messages."""
        return self._client.name

    def wrap(self, key: WrappingKey, secret: bytes, bound_to: str, failed: str) -> str:
        """Wrap a key.

        Args:
            key: the wrapping key.
            secret: the key.
            bound_to: a text without which it can't be unwrapped; may be empty.
            failed: what failed, the beginning of error messages.

        Returns:
            The wrapped key, `vault:v1:…`.

        Raises:
            ConfigurationError: the wrapping key does not exist or can't be used, or Vault refuses.
        """
        self._refuse_unsuitable(key, failed)
        body = {"plaintext": _encoded(secret), **_associated(bound_to)}
        response = self._client.ask(Request("POST", f"{key.mount}/encrypt/{key.name}", body), "update")
        wrapped = response.data.get("ciphertext")
        if not response.is_ok or not isinstance(wrapped, str) or not wrapped.startswith(TRANSIT_PREFIX):
            raise self._refusal(response, key, failed)
        return wrapped

    def unwrap(self, key: WrappingKey, wrapped: str, bound_to: str, failed: str) -> bytes:
        """Unwrap a key.

        Raises:
            ConfigurationError: another key wrapped it, it is bound to another text, or Vault refuses.
        """
        body = {"ciphertext": wrapped, **_associated(bound_to)}
        response = self._client.ask(Request("POST", f"{key.mount}/decrypt/{key.name}", body), "update")
        text = response.data.get("plaintext")
        if not response.is_ok or not isinstance(text, str):
            raise self._refusal(response, key, failed)
        try:
            return base64.b64decode(text, validate=True)
        except ValueError:
            raise ConfigurationError(
                f"{failed}: {self.server} does not answer like Vault",
                hint="Check VAULT_ADDR, and whether a proxy answers in its place.",
            ) from None

    def _refuse_unsuitable(self, key: WrappingKey, failed: str) -> None:
        """Refuse a wrapping key that does not exist. Vault would make one, if the token may do that."""
        response = self._client.look_up(Request("GET", f"{key.mount}/keys/{key.name}"))
        if response.status == FORBIDDEN:
            # A token that may only wrap can't make one either.
            return
        if not response.is_ok:
            raise self._refusal(response, key, failed)
        kind, derived = response.data.get("type"), response.data.get("derived")
        if kind not in _KINDS or derived:
            what = "derives keys (derived=true)" if derived else f"is of the type {kind}"
            raise ConfigurationError(
                f"{failed}: the key {key} in {self.server} {what}",
                hint=f"Use one of the type aes256-gcm96 that derives no keys: `vault write -f {key.mount}/keys/NAME`.",
            )

    def _refusal(self, response: Response, key: WrappingKey, failed: str) -> ConfigurationError:
        text = response.error_text.lower()
        if "no handler for route" in text:
            return ConfigurationError(
                f"{failed}: there is no engine transit at {key.mount} of {self.server}", hint=_NAME_HINT
            )
        if response.status == NOT_FOUND or "key not found" in text:
            return ConfigurationError(
                f"{failed}: there is no key {key.name} at {key.mount} of {self.server}",
                hint=f"Check kms_key_id. `vault write -f {key.mount}/keys/{key.name}` makes a key.",
            )
        if "message authentication failed" in text:
            return ConfigurationError(
                f"{failed}: the key {key} in {self.server} does not open it",
                hint="Another key wrapped it, it was wrapped for another key version, or it is damaged. A key that "
                'another tool wrapped needs `associated_data: ""` in its entry.',
            )
        if "too old" in text or "disallowed by policy" in text:
            return ConfigurationError(
                f"{failed}: the key {key} in {self.server} does not open what its old versions wrapped",
                hint=f"Lower its min_decryption_version (`vault write {key.mount}/keys/{key.name}/config …`), then run "
                f"`fluxbase-cli keys rewrap --kms-key-id {key}`.",
            )
        return ConfigurationError(
            f"{failed}: {self.server} refuses it (HTTP {response.status})",
            hint=f"`vault read {key.mount}/keys/{key.name}` shows the key.",
        )


def _associated(bound_to: str) -> dict[str, str]:
    return {"associated_data": _encoded(bound_to.encode())} if bound_to else {}


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
