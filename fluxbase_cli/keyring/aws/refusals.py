"""Error messages for the operator when a service of AWS or boto3 refuses or fails.

The original texts are not shown: texts of a service may quote what was signed, and those of boto3 what was sent.
The error codes are from the API references of the services and their sections "Common Errors".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from botocore import exceptions as aws

from fluxbase_cli.errors import ConfigurationError

_CODE = re.compile(r"[A-Za-z0-9_.:-]{1,80}")
_FIRST_SERVER_ERROR = 500


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a service: what an error message says about it.

    Attributes:
        failed: what failed, the beginning of the message.
        operation: the name of the operation in the API.
        action: what IAM must allow.
        subject: what the call is about, such as "the KMS key alias/fluxbase".
        service: the name of the service, such as "AWS KMS".
        variable: the variable with another endpoint of the service.
        region: the region. None as long as it is unknown.
        endpoint: the URL of the service; only its host is shown. None as long as it is unknown.
    """

    failed: str
    operation: str
    action: str
    subject: str
    service: str
    variable: str
    region: str | None = None
    endpoint: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """The end of a message, and its hint. `{subject}`, `{action}`, `{region}`, `{place}` and so on are filled in."""

    what: str
    hint: str


@dataclass(frozen=True, slots=True)
class Answer:
    """An error that a service answered.

    Attributes:
        code: its code.
        status: of HTTP.
        text: its text. The code may search it, but must never show it.
        operation: the operation that it answers: that of the call, or one to get credentials.
    """

    code: str
    status: int
    text: str
    operation: str


_EXPIRED = Refusal(
    "the AWS credentials have expired ({code})",
    "Get new ones, for example with `aws sso login` or a new session of the role.",
)
_INVALID_CREDENTIALS = Refusal(
    "AWS does not accept the credentials ({code})",
    "Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or the profile, and this machine's clock; "
    "`aws sts get-caller-identity` shows whether they work.",
)
_THROTTLED = Refusal(
    "{service} throttles the calls of this account ({code}), also after several attempts",
    "Try again later; AWS_MAX_ATTEMPTS allows more attempts.",
)
FAILED = Refusal(
    "{service} failed ({code}), also after several attempts",
    "Try again later; the state of the service is shown on the AWS Health Dashboard.",
)
#: Refusals that have several codes.
_KINDS = (
    (_EXPIRED, "ExpiredTokenException ExpiredToken RequestExpired"),
    (
        _INVALID_CREDENTIALS,
        (
            "UnrecognizedClientException InvalidClientTokenId InvalidSignatureException SignatureDoesNotMatch "
            "IncompleteSignature MissingAuthenticationToken MissingAuthenticationTokenException"
        ),
    ),
    (_THROTTLED, "ThrottlingException Throttling TooManyRequestsException RequestLimitExceeded LimitExceededException"),
)
_REFUSALS = {code: refusal for refusal, codes in _KINDS for code in codes.split()}
#: The codes of an identity that may not do something.
DENIED_CODES = ("AccessDeniedException", "AccessDenied", "NotAuthorized", "OptInRequired")

_NO_CREDENTIALS = Refusal(
    "there are no AWS credentials",
    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give the pod or the machine a role. "
    "`aws sts get-caller-identity` shows whether they work.",
)
_INVALID_CHARACTERS = Refusal(
    "the AWS credentials contain something that no HTTP header can carry, a line break for example",
    "Check AWS_ACCESS_KEY_ID and AWS_SESSION_TOKEN, or the profile.",
)
_NOT_OBTAINED = Refusal(
    "the AWS credentials can't be obtained ({code})",
    "Run `aws sts get-caller-identity` with the same environment for details. `aws sso login` renews a session of AWS "
    "SSO.",
)
_WRONG_CONFIGURATION = Refusal(
    "the configuration of AWS can't be used ({code})",
    "Check the variables AWS_… and the files ~/.aws/config and ~/.aws/credentials.",
)
_UNREACHABLE = Refusal(
    "{place} can't be reached ({code})",
    "Check the network, the proxy (HTTPS_PROXY) and the endpoint ({variable}, or the region's own).",
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
_REFUSALS_OF_BOTO3: tuple[tuple[type[Exception] | tuple[type[Exception], ...], Refusal], ...] = (
    (aws.NoCredentialsError, _NO_CREDENTIALS),
    (
        aws.NoRegionError,
        Refusal(
            "no AWS region is known",
            "Set AWS_REGION, or `region:` at the key's entry, or give an ARN in place of a name.",
        ),
    ),
    (
        aws.ProfileNotFound,
        Refusal("the profile in AWS_PROFILE does not exist", "`aws configure list-profiles` lists the profiles."),
    ),
    (
        aws.SSLError,
        Refusal("{place} has no trusted certificate", "Set AWS_CA_BUNDLE to a file with its certificate authority."),
    ),
    (aws.ConnectTimeoutError, _UNREACHABLE),
    (
        aws.ReadTimeoutError,
        Refusal("{place} does not answer", "Try again later, and check the network and the proxy."),
    ),
    (aws.HTTPClientError, _UNREACHABLE),
    (aws.ConnectionError, _UNREACHABLE),
    (_CREDENTIAL_ERRORS, _NOT_OBTAINED),
)


def answer_of(error: aws.ClientError) -> Answer:
    """The error that a service answered."""
    details = error.response.get("Error", {})
    # Codes of some services have a prefix or a suffix: `com.amazonaws.kms#…`, `…:http://…`.
    code = str(details.get("Code", "")).rpartition("#")[2].partition(":")[0]
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    return Answer(code, status, str(details.get("Message", "")), error.operation_name)


def explained_answer(answer: Answer, call: Call, own: Mapping[str, Refusal], other: Refusal) -> ConfigurationError:
    """Make an error with a one-line message from an error that a service answered.

    Args:
        answer: the error.
        call: the call that failed.
        own: the refusals of this service by code.
        other: what is said of all other codes.
    """
    shown = answer.code if _CODE.fullmatch(answer.code) else f"HTTP {answer.status}"
    if answer.operation != call.operation:
        # A call that boto3 made to get the credentials failed: for example, a role may not be assumed.
        return filled(_NOT_OBTAINED, call, f"{answer.operation}: {shown}")
    refusal = own.get(answer.code) or _REFUSALS.get(answer.code)
    if refusal is None:
        refusal = FAILED if answer.status >= _FIRST_SERVER_ERROR else other
    return filled(refusal, call, shown)


def explained_failure(error: aws.BotoCoreError | ValueError, call: Call, bad_name: Refusal) -> ConfigurationError:
    """Make an error with a one-line message from an error of boto3.

    Args:
        error: the error. boto3 raises `ValueError` if it refuses a setting.
        call: the call that failed.
        bad_name: what is said of a name that boto3 does not send.
    """
    default = bad_name if isinstance(error, aws.ParamValidationError) else _WRONG_CONFIGURATION
    refusal = next((each for kind, each in _REFUSALS_OF_BOTO3 if isinstance(error, kind)), default)
    if isinstance(error, aws.HTTPClientError) and isinstance(error.kwargs.get("error"), ValueError):
        refusal = _INVALID_CHARACTERS
    return filled(refusal, call, type(error).__name__)


def filled(refusal: Refusal, call: Call, code: str) -> ConfigurationError:
    """Make the error for the operator."""
    words = {
        "subject": call.subject,
        "action": call.action,
        "region": f"region {call.region}" if call.region else "the region",
        "place": _place(call),
        "service": call.service,
        "variable": call.variable,
        "code": code,
    }
    return ConfigurationError(f"{call.failed}: {refusal.what.format_map(words)}", hint=refusal.hint.format_map(words))


def _place(call: Call) -> str:
    parts = urlsplit(call.endpoint or "")
    # Without user and password, in case somebody wrote them into the URL.
    host = f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname
    return f"{call.service} at {host}" if host else call.service
