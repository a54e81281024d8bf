"""Error messages for the operator when AWS KMS or boto3 refuses or fails.

The original texts are not shown: one text of the service quotes what was signed, and boto3's texts quote what was sent.
The error codes are from the API reference of AWS KMS and its section "Common Errors".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from botocore import exceptions as aws

from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.keyring.aws_kms.wrapped import find_arn
from fluxbase_cli.keyring.provider import WrongWrappingKeyError

_CODE = re.compile(r"[A-Za-z0-9_.:-]{1,80}")
_FIRST_SERVER_ERROR = 500


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


@dataclass(frozen=True, slots=True)
class _Refusal:
    """The end of a message, and its hint. `{key}`, `{action}`, `{region}`, `{place}` and `{code}` are filled in."""

    what: str
    hint: str


_DENIED = _Refusal(
    "access denied: {action} on {key}",
    "Allow {action} on that key to the identity in use (`aws sts get-caller-identity` names it), in its IAM policy or "
    "the key's. AWS KMS answers the same if the key is deleted, or is in another region or account.",
)
_EXPIRED = _Refusal(
    "the AWS credentials have expired ({code})",
    "Get new ones, for example with `aws sso login` or a new session of the role.",
)
_INVALID_CREDENTIALS = _Refusal(
    "AWS does not accept the credentials ({code})",
    "Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or the profile, and this machine's clock; "
    "`aws sts get-caller-identity` shows whether they work.",
)
_THROTTLED = _Refusal(
    "AWS KMS throttles the calls of this account ({code}), also after several attempts",
    "Try again later; AWS_MAX_ATTEMPTS allows more attempts.",
)
_FAILED = _Refusal(
    "AWS KMS failed ({code}), also after several attempts",
    "Try again later; the state of the service is shown on the AWS Health Dashboard.",
)
_PENDING_DELETION = _Refusal(
    "{key} is scheduled for deletion",
    "Run `aws kms cancel-key-deletion`, then `aws kms enable-key`. Once it is deleted, nobody can unwrap the keys that "
    "it has wrapped, and nobody can open the values sealed under those keys.",
)
_OTHER = _Refusal("AWS KMS refused it ({code})", "Try `aws kms describe-key` with the same key and credentials.")

_BAD_NAME = _Refusal(
    "{key} has a name that AWS KMS does not understand", "kms_key_id is a key's id or ARN, or alias/NAME."
)

#: Refusals that have several codes.
_KINDS = (
    (_DENIED, "AccessDeniedException AccessDenied NotAuthorized OptInRequired"),
    (_EXPIRED, "ExpiredTokenException ExpiredToken RequestExpired"),
    (
        _INVALID_CREDENTIALS,
        (
            "UnrecognizedClientException InvalidClientTokenId InvalidSignatureException SignatureDoesNotMatch "
            "IncompleteSignature MissingAuthenticationToken MissingAuthenticationTokenException"
        ),
    ),
    (_THROTTLED, "ThrottlingException Throttling TooManyRequestsException RequestLimitExceeded LimitExceededException"),
    (_FAILED, "KMSInternalException DependencyTimeoutException KeyUnavailableException"),
    (_BAD_NAME, "InvalidArnException ValidationException"),
)
_REFUSALS = {code: refusal for refusal, codes in _KINDS for code in codes.split()} | {
    "DisabledException": _Refusal("{key} is disabled", "`aws kms enable-key --key-id …` enables it."),
    "KMSInvalidStateException": _Refusal(
        "{key} is in a state in which it can't be used",
        "`aws kms describe-key --key-id …` shows its KeyState, which must be Enabled.",
    ),
    "NotFoundException": _Refusal(
        "{key} does not exist in {region}",
        "Check kms_key_id, the region (AWS_REGION, or `region:` at the entry) and the account.",
    ),
    "InvalidKeyUsageException": _Refusal(
        "{key} is not for this use", "It must be a symmetric key for encryption (SYMMETRIC_DEFAULT, ENCRYPT_DECRYPT)."
    ),
    "InvalidCiphertextException": _Refusal(
        "the ciphertext was made for another key version (encryption context), or is damaged",
        "Check that `ciphertext:` is complete and in the entry of the right version. A key that another tool has "
        "wrapped needs its `encryption_context:` too.",
    ),
    "IncorrectKeyException": _Refusal(
        "the ciphertext was wrapped by another key than {key}",
        "Set `kms_key_id:` of the entry to the key that wrapped it. An alias may point to another key by now.",
    ),
}

_NO_CREDENTIALS = _Refusal(
    "there are no AWS credentials",
    "They are looked for where AWS's tools look: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, a role of "
    "the pod or the machine.",
)
_INVALID_CHARACTERS = _Refusal(
    "the AWS credentials contain something that no HTTP header can carry, a line break for example",
    "Check AWS_ACCESS_KEY_ID and AWS_SESSION_TOKEN, or the profile.",
)
_NOT_OBTAINED = _Refusal(
    "the AWS credentials can't be obtained ({code})",
    "Run `aws sts get-caller-identity` with the same environment for details. `aws sso login` renews a session of AWS "
    "SSO.",
)
_WRONG_CONFIGURATION = _Refusal(
    "the configuration of AWS can't be used ({code})",
    "Check the variables AWS_… and the files ~/.aws/config and ~/.aws/credentials.",
)
_UNREACHABLE = _Refusal(
    "{place} can't be reached ({code})",
    "Check the network, the proxy (HTTPS_PROXY) and the endpoint (AWS_ENDPOINT_URL_KMS, or the region's own).",
)

_CREDENTIAL_ERRORS = (
    aws.PartialCredentialsError,
    aws.CredentialRetrievalError,
    aws.MetadataRetrievalError,
    aws.SSOError,
    aws.TokenRetrievalError,
    aws.RefreshWithMFAUnsupportedError,
)
#: The first match is used, so subclasses come before their base classes.
_REFUSALS_OF_BOTO3: tuple[tuple[type[Exception] | tuple[type[Exception], ...], _Refusal], ...] = (
    (aws.NoCredentialsError, _NO_CREDENTIALS),
    (
        aws.NoRegionError,
        _Refusal(
            "no AWS region is known",
            "Set AWS_REGION, or `region:` at the key's entry, or give the key's ARN as kms_key_id.",
        ),
    ),
    (
        aws.ProfileNotFound,
        _Refusal("the profile in AWS_PROFILE does not exist", "`aws configure list-profiles` lists the profiles."),
    ),
    (
        aws.SSLError,
        _Refusal("{place} has no trusted certificate", "AWS_CA_BUNDLE names a file with more certificate authorities."),
    ),
    (aws.ConnectTimeoutError, _UNREACHABLE),
    (
        aws.ReadTimeoutError,
        _Refusal("{place} does not answer", "Try again later, and check the network and the proxy."),
    ),
    (aws.HTTPClientError, _UNREACHABLE),
    (aws.ConnectionError, _UNREACHABLE),
    (_CREDENTIAL_ERRORS, _NOT_OBTAINED),
    (aws.ParamValidationError, _BAD_NAME),
)


def explained(error: aws.BotoCoreError | aws.ClientError | ValueError, call: Call) -> ConfigurationError:
    """Make an error with a one-line message from an error of boto3.

    Args:
        error: the error. boto3 raises `ValueError` if it refuses a setting.
        call: the call that failed.
    """
    if isinstance(error, aws.ClientError):
        return _explained_answer(error, call)
    refusal = next((each for kind, each in _REFUSALS_OF_BOTO3 if isinstance(error, kind)), _WRONG_CONFIGURATION)
    if isinstance(error, aws.HTTPClientError) and isinstance(error.kwargs.get("error"), ValueError):
        refusal = _INVALID_CHARACTERS
    return _filled(refusal, call, type(error).__name__)


def _explained_answer(error: aws.ClientError, call: Call) -> ConfigurationError:
    details = error.response.get("Error", {})
    # Codes of some services have a prefix or a suffix: `com.amazonaws.kms#…`, `…:http://…`.
    code = str(details.get("Code", "")).rpartition("#")[2].partition(":")[0]
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    shown = code if _CODE.fullmatch(code) else f"HTTP {status}"
    text = str(details.get("Message", ""))
    if error.operation_name != call.operation:
        # A call that boto3 made to get the credentials failed: for example, a role may not be assumed.
        return _filled(_NOT_OBTAINED, call, f"{error.operation_name}: {shown}")
    refusal = _REFUSALS.get(code)
    if code == "KMSInvalidStateException" and "pending deletion" in text.lower():
        refusal = _PENDING_DELETION
    if refusal is None:
        refusal = _FAILED if status >= _FIRST_SERVER_ERROR else _OTHER
    filled = _filled(refusal, call, shown, arn=find_arn(text))
    return WrongWrappingKeyError(filled.message, hint=filled.hint) if code == "IncorrectKeyException" else filled


def _filled(refusal: _Refusal, call: Call, code: str, *, arn: str | None = None) -> ConfigurationError:
    name = call.kms_key_id or arn
    words = {
        "key": f"the KMS key {name}" if name else "the KMS key that wraps it",
        "action": call.action,
        "region": f"region {call.region}" if call.region else "the region",
        "place": _place(call),
        "code": code,
    }
    return ConfigurationError(f"{call.failed}: {refusal.what.format_map(words)}", hint=refusal.hint.format_map(words))


def _place(call: Call) -> str:
    parts = urlsplit(call.endpoint or "")
    # Without user and password, in case somebody wrote them into the URL.
    host = f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname
    return f"AWS KMS at {host}" if host else "AWS KMS"
