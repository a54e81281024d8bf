"""Error messages for the operator when AWS Secrets Manager refuses.

What is the same for all services: `fluxbase_cli.keyring.aws`. The error codes are from the API reference of AWS Secrets
Manager.
"""

from __future__ import annotations

from botocore import exceptions as aws

from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.keyring.aws.refusals import (
    DENIED_CODES,
    FAILED,
    Answer,
    Call,
    Refusal,
    explained_answer,
    explained_failure,
    filled,
)
from fluxbase_cli.keyring.provider import KeyAbsentError

_DENIED = Refusal(
    "access denied: {action} on {subject}",
    "Allow {action} on it to the identity in use (`aws sts get-caller-identity` names it). If your own KMS key "
    "encrypts the secret, it must allow kms:Decrypt too.",
)
_BAD_NAME = Refusal("{subject} has a name that {service} does not understand", "Write the name or the ARN of a secret.")
_ABSENT = Refusal(
    "{subject} does not exist in {region}",
    "Make it (`fluxbase-cli keys generate --store` does), or correct the name, the region (AWS_REGION, or `region:` at "
    "the entry) and the account.",
)
_DELETED = Refusal(
    "{subject} is marked for deletion",
    "`aws secretsmanager restore-secret --secret-id …` brings it back, as long as its recovery window lasts.",
)
_REPLICATED = Refusal(
    "{subject} has replicas in other regions, or is one",
    "Remove the replicas first: `aws secretsmanager remove-regions-from-replication`. Then run the command again.",
)
_NOT_DECRYPTED = Refusal(
    "{service} can't decrypt {subject}",
    "Enable the key in AWS KMS that encrypts it, or cancel its deletion. "
    "`aws secretsmanager describe-secret` names it.",
)
_OTHER = Refusal("{service} refused it ({code})", "Try `aws secretsmanager describe-secret` with the same credentials.")
_CODES_OF_REPLICAS = ("InvalidRequestException", "InvalidParameterException")
_REFUSALS = {
    **dict.fromkeys(DENIED_CODES, _DENIED),
    "InternalServiceError": FAILED,
    "InvalidParameterException": _BAD_NAME,
    "ValidationException": _BAD_NAME,
    "DecryptionFailure": _NOT_DECRYPTED,
    "EncryptionFailure": _NOT_DECRYPTED,
}


def explained(error: aws.BotoCoreError | ValueError, call: Call) -> ConfigurationError:
    """Make an error with a one-line message from an error of boto3."""
    return explained_failure(error, call, _BAD_NAME)


def refused(answer: Answer, call: Call) -> ConfigurationError:
    """Make an error with a one-line message from an error that the service answered.

    Returns:
        A `KeyAbsentError` if there is no such secret, or if it is marked for deletion.
    """
    if answer.operation == call.operation:
        text = answer.text.lower()
        if answer.code == "ResourceNotFoundException":
            return _absent(_ABSENT, call, answer)
        if answer.code == "InvalidRequestException" and "delet" in text and "replica" not in text:
            return _absent(_DELETED, call, answer)
        # A text of another refusal may name the secret, and its name may hold any word.
        if answer.code in _CODES_OF_REPLICAS and "replica" in text:
            return filled(_REPLICATED, call, answer.code)
    return explained_answer(answer, call, _REFUSALS, _OTHER)


def _absent(refusal: Refusal, call: Call, answer: Answer) -> KeyAbsentError:
    made = filled(refusal, call, answer.code)
    return KeyAbsentError(made.message, hint=made.hint)
