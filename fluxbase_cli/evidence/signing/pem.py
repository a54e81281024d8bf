"""Signs with an Ed25519 key in a file in PEM (PKCS #8, as `openssl genpkey -algorithm ed25519` writes it)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from fluxbase_cli.config import Secret
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.evidence.signing.public_key import PublicKey
from fluxbase_cli.keyring.file.reading import read_private_file

_MOST_BYTES = 16_384
_MAKE = "`openssl genpkey -algorithm ed25519 -out report-key.pem` makes one."


class PemSigner:
    """Signs with a key of a file.

    Args:
        path: the file. It is read with the same care as key files.
        passphrase: returns the passphrase, if the key needs one; None if nobody gives one.

    Raises:
        ConfigurationError: the file can't be used.
    """

    def __init__(self, path: Path, passphrase: Callable[[], Secret | None]) -> None:
        name = f"the signing key {path} (--sign)"
        try:
            content = read_private_file(path, name, most_bytes=_MOST_BYTES)
        except (FileNotFoundError, NotADirectoryError):
            raise ConfigurationError(f"there is no signing key {path} (--sign)", hint=_MAKE) from None
        if len(content) > _MOST_BYTES:
            raise ConfigurationError(f"{name} is larger than {_MOST_BYTES} bytes: it is no key", hint=_MAKE)
        self._key = _parse(content, name, passphrase)

    @property
    def public_key(self) -> PublicKey:
        """The public key that verifies its signatures."""
        return PublicKey(self._key.public_key())

    def sign(self, message: bytes) -> bytes:
        """The signature of a message."""
        return self._key.sign(message)


def _parse(content: bytes, name: str, passphrase: Callable[[], Secret | None]) -> ed25519.Ed25519PrivateKey:
    # The texts of the library may quote what is in the file, so they are never shown.
    key: object
    try:
        key = load_pem_private_key(content, None)
    except TypeError:
        # It is encrypted.
        key = _decrypted(content, name, passphrase)
    except (ValueError, UnsupportedAlgorithm):
        what = "a public key" if b"BEGIN PUBLIC KEY-----" in content else "not a private key in PEM"
        raise ConfigurationError(f"{name} is {what}", hint=_MAKE) from None
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise ConfigurationError(f"{name} is not an Ed25519 key", hint=_MAKE)
    return key


def _decrypted(content: bytes, name: str, passphrase: Callable[[], Secret | None]) -> object:
    given = passphrase()
    if given is None:
        raise ConfigurationError(
            f"{name} is encrypted", hint="Give its passphrase as FLUXBASE_CLI_SIGN_PASSPHRASE, or use a terminal."
        )
    try:
        return load_pem_private_key(content, given.reveal().encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigurationError(
            f"{name} can't be decrypted with this passphrase",
            hint="Set FLUXBASE_CLI_SIGN_PASSPHRASE to the passphrase of this file, or type it at a terminal.",
        ) from None
