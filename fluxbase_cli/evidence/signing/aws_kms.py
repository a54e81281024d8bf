"""Signs with a key of AWS KMS: ECC_NIST_P256, ECDSA_SHA_256. The key never leaves KMS.

The digest is sent, because KMS takes messages of 4,096 bytes at most, and reports are longer. For the same reason its
Ed25519 keys (ECC_NIST_EDWARDS25519) can't be used: KMS signs only whole messages with them, or with Ed25519ph, which
DSSE's verifiers do not know (AWS KMS API reference, `Sign`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from botocore import exceptions as aws
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.evidence.signing.public_key import PublicKey, as_public_key
from fluxbase_cli.keyring.aws.connection import Clients, Configured
from fluxbase_cli.keyring.aws_kms.refusals import Call, explained
from fluxbase_cli.keyring.aws_kms.wrapped import region_of_arn

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

_FAILED = "the report can't be signed"
_MAKE = "`aws kms create-key --key-spec ECC_NIST_P256 --key-usage SIGN_VERIFY` makes a key that can sign."


class AwsKmsSigner:
    """Signs with a key of AWS KMS.

    Args:
        key_id: an id, an ARN, or `alias/NAME`.
        environ: our environment, for AWS_REGION.
    """

    def __init__(self, key_id: str, environ: Mapping[str, str]) -> None:
        self._key_id = key_id
        self._clients = Clients["KMSClient"](environ, _make_client)

    @cached_property
    def public_key(self) -> PublicKey:
        """The public key that verifies its signatures.

        Raises:
            ConfigurationError: AWS KMS refuses, or the key is of another kind.
        """
        with self._explained("GetPublicKey", "kms:GetPublicKey") as client:
            answer = client.get_public_key(KeyId=self._key_id)
        key = as_public_key(load_der_public_key(answer["PublicKey"]))
        if key is None or not isinstance(key.key, EllipticCurvePublicKey):
            raise ConfigurationError(
                f"{_FAILED}: the KMS key {self._key_id} is of the kind {answer.get('KeySpec') or 'RSA or another'}",
                hint=f"{_MAKE} KMS signs at most 4,096 bytes with a key ECC_NIST_EDWARDS25519, and a report is longer.",
            )
        return key

    def sign(self, message: bytes) -> bytes:
        """The signature of a message.

        Raises:
            ConfigurationError: AWS KMS refuses, or the key is of another kind.
        """
        _ = self.public_key
        with self._explained("Sign", "kms:Sign") as client:
            answer = client.sign(
                KeyId=self._key_id,
                Message=hashlib.sha256(message).digest(),
                MessageType="DIGEST",
                SigningAlgorithm="ECDSA_SHA_256",
            )
        return answer["Signature"]

    @contextmanager
    def _explained(self, operation: str, action: str) -> Iterator[KMSClient]:
        region, endpoint = region_of_arn(self._key_id), None
        try:
            client = self._clients.of(region)
            region, endpoint = client.meta.region_name, client.meta.endpoint_url
            yield client
        except (aws.BotoCoreError, aws.ClientError, ValueError) as error:
            made = explained(error, Call(_FAILED, operation, action, self._key_id, region, endpoint))
            raise ConfigurationError(made.message, hint=_hint(made)) from None


def _hint(made: ConfigurationError) -> str | None:
    # The hints are about keys that wrap keys. Here it is another option, and another kind of key.
    if made.hint is None or "SYMMETRIC_DEFAULT" in made.hint:
        return _MAKE
    return made.hint.replace("kms_key_id", "--sign aws-kms:KEY")


def _make_client(made: Configured) -> KMSClient:
    return made.session.client("kms", region_name=made.region, config=made.config)
