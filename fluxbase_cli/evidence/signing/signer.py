"""What signs reports: one small interface, and a module for each kind of key."""

from __future__ import annotations

from typing import Protocol

from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.evidence.signing.public_key import PublicKey


class Signer(Protocol):
    """Signs messages with one private key."""

    @property
    def public_key(self) -> PublicKey:
        """The public key that verifies its signatures.

        Raises:
            ConfigurationError: it can't be read.
        """
        ...

    def sign(self, message: bytes) -> bytes:
        """The signature of a message: 64 bytes of Ed25519, or ECDSA in DER.

        Raises:
            ConfigurationError: the service that has the key refuses.
        """
        ...


def signed(signer: Signer, message: bytes) -> bytes:
    """Sign a message, and verify the signature: no report is written that does not verify.

    Raises:
        ConfigurationError: it can't be signed, or the signature is not by the public key of the signer.
    """
    signature = signer.sign(message)
    if not signer.public_key.verifies(signature, message):
        raise ConfigurationError(
            "the signature is not by the public key that belongs to --sign",
            hint="Run the command again. If it fails again, use another key with --sign.",
        )
    return signature
