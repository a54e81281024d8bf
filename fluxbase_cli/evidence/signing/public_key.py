"""Public keys that verify reports: Ed25519 (RFC 8032), and ECDSA on the curve P-256 with SHA-256 (FIPS 186-5)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from fluxbase_cli.errors import ConfigurationError

_MOST_BYTES = 16_384
_KINDS = "It must be a public key in PEM, Ed25519 or ECDSA P-256 (`-----BEGIN PUBLIC KEY-----`)."


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key."""

    key: ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey

    @property
    def keyid(self) -> str:
        """The SHA-256 of the key (SubjectPublicKeyInfo in DER, RFC 5280), in hexadecimal digits."""
        der = self.key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return hashlib.sha256(der).hexdigest()

    @property
    def pem(self) -> str:
        """The key in PEM."""
        return self.key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Whether the signature of a message is by this key. That of ECDSA is in DER (RFC 3279)."""
        try:
            if isinstance(self.key, ed25519.Ed25519PublicKey):
                self.key.verify(signature, message)
            else:
                self.key.verify(signature, message, ec.ECDSA(SHA256()))
        except InvalidSignature:
            return False
        return True


def as_public_key(key: object) -> PublicKey | None:
    """The key, if it is of a kind that verifies reports."""
    if isinstance(key, ed25519.Ed25519PublicKey):
        return PublicKey(key)
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return PublicKey(key)
    return None


def parse_public_key(pem: bytes) -> PublicKey | None:
    """The public key in a text in PEM. None if there is none of a kind that verifies reports."""
    try:
        return as_public_key(load_pem_public_key(pem))
    except (ValueError, UnsupportedAlgorithm):
        return None


def read_public_key(path: Path) -> PublicKey:
    """The public key in a file.

    Raises:
        ConfigurationError: the file can't be read, or has no such key.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(
            f"--key {path} can't be read: {error.strerror or type(error).__name__}",
            hint=f"Name the public key. {_KINDS}",
        ) from None
    except ValueError:
        raise ConfigurationError("--key has a name that can't be a file's", hint="Correct the path.") from None
    if b"PRIVATE KEY-----" in content:
        raise ConfigurationError(
            f"--key {path} is a private key, and must stay with the person who signs",
            hint=f"Name the public key. {_KINDS}",
        )
    key = parse_public_key(content) if len(content) <= _MOST_BYTES else None
    if key is None:
        raise ConfigurationError(f"--key {path} is not a public key that can verify a report", hint=_KINDS)
    return key
