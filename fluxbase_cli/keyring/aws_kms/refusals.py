"""Error messages for the operator when AWS KMS refuses. What is the same for all services: `fluxbase_cli.keyring.aws`.

The error codes are from the API reference of AWS KMS.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from botocore import exceptions as aws

from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.keyring.aws import refusals as common
from fluxbase_cli.keyring.aws.refusals import DENIED_CODES, FAILED, Refusal
from fluxbase_cli.keyring.aws_kms.wrapped import find_arn
from fluxbase_cli.keyring.provider import WrongWrappingKeyError


@dataclass(frozen=True, slots=True)
class Call:
    """A call of AWS KMS: what an error message says about it.

    Attributes:
        failed: what failed, the beginning of the message.
        operation: the name of the operation in the API.
        action: what IAM must allow.
        kms_key_id: the KMS key of the call. None if only the ciphertext names it.
        region: the region. None as long as it is unknown.
        endpoint: the URL of the service; only its host is shown. None as long as it is unknown.
    """

    failed: str
    operation: str
    action: str
    kms_key_id: str | None
    region: str | None = None
    endpoint: str | None = None


_DENIED = Refusal(
    "access denied: {action} on {subject}",
    "Allow {action} on that key to the identity in use (`aws sts get-caller-identity` names it), in its IAM policy or "
    "the key's. AWS KMS answers the same if the key is deleted, or is in another region or account.",
)
_PENDING_DELETION = Refusal(
    "{subject} is scheduled for deletion",
    "Run `aws kms cancel-key-deletion`, then `aws kms enable-key`. Once it is deleted, nobody can unwrap the keys that "
    "it has wrapped, and nobody can open the values sealed under those keys.",
)
_OTHER = Refusal("AWS KMS refused it ({code})", "Try `aws kms describe-key` with the same key and credentials.")

_BAD_NAME = Refusal(
    "{subject} has a name that AWS KMS does not understand",
    "Set kms_key_id to the id or the ARN of a key, or to alias/NAME.",
)

_REFUSALS = {
    **dict.fromkeys(DENIED_CODES, _DENIED),
    **dict.fromkeys(("KMSInternalException", "DependencyTimeoutException", "KeyUnavailableException"), FAILED),
    **dict.fromkeys(("InvalidArnException", "ValidationException"), _BAD_NAME),
    "PendingDeletion": _PENDING_DELETION,
    "DisabledException": Refusal("{subject} is disabled", "`aws kms enable-key --key-id …` enables it."),
    "KMSInvalidStateException": Refusal(
        "{subject} is in a state in which it can't be used",
        "`aws kms describe-key --key-id …` shows its KeyState, which must be Enabled.",
    ),
    "NotFoundException": Refusal(
        "{subject} does not exist in {region}",
        "Check kms_key_id, the region (AWS_REGION, or `region:` at the entry) and the account.",
    ),
    "InvalidKeyUsageException": Refusal(
        "{subject} can't wrap keys",
        "Set kms_key_id to a symmetric key for encryption (SYMMETRIC_DEFAULT, ENCRYPT_DECRYPT).",
    ),
    "InvalidCiphertextException": Refusal(
        "the ciphertext was made for another key version (encryption context), or is damaged",
        "Check that `ciphertext:` is complete and in the entry of the right version. A key that another tool has "
        "wrapped needs its `encryption_context:` too.",
    ),
    "IncorrectKeyException": Refusal(
        "the ciphertext was wrapped by another key than {subject}",
        "Set `kms_key_id:` of the entry to the key that wrapped it. An alias may point to another key by now.",
    ),
}


def explained(error: aws.BotoCoreError | aws.ClientError | ValueError, call: Call) -> ConfigurationError:
    """Make an error with a one-line message from an error of boto3.

    Args:
        error: the error. boto3 raises `ValueError` if it refuses a setting.
        call: the call that failed.
    """
    if not isinstance(error, aws.ClientError):
        return common.explained_failure(error, _common(call, call.kms_key_id), _BAD_NAME)
    answer = common.answer_of(error)
    if answer.code == "KMSInvalidStateException" and "pending deletion" in answer.text.lower():
        answer = replace(answer, code="PendingDeletion")
    about = _common(call, call.kms_key_id or find_arn(answer.text))
    made = common.explained_answer(answer, about, _REFUSALS, _OTHER)
    if answer.code == "IncorrectKeyException" and answer.operation == call.operation:
        return WrongWrappingKeyError(made.message, hint=made.hint)
    return made


def _common(call: Call, name: str | None) -> common.Call:
    return common.Call(
        call.failed,
        call.operation,
        call.action,
        f"the KMS key {name}" if name else "the KMS key that wraps it",
        "AWS KMS",
        "AWS_ENDPOINT_URL_KMS",
        call.region,
        call.endpoint,
    )
