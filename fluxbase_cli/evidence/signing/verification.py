"""Checks a signed report: it is by the key, no byte was changed, and the files beside it are the same."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fluxbase_cli.errors import ConfigurationError, ExitCode, FluxbaseCliError
from fluxbase_cli.evidence.canonical import NotStrictJsonError, canonical, digest, read_strictly
from fluxbase_cli.evidence.collect import SCHEMA, Report
from fluxbase_cli.evidence.signing.public_key import PublicKey
from fluxbase_cli.evidence.signing.statement import (
    ENVELOPE_SUFFIX,
    PAYLOAD_TYPE,
    PREDICATE_TYPE,
    STATEMENT_TYPE,
    envelope_bytes,
    pae,
    report_name,
)

#: Reports have a few megabytes at most. What is larger was not written by us, and is not read.
_MOST_BYTES = 64 * 1024 * 1024
#: The length of a key id. A longer one is shown in part.
_KEYID_LETTERS = 64
#: The names of reports that are not JSON. Their signature is in a file of its own.
_UNSIGNED = frozenset({".html", ".htm", ".md", ".markdown", ".yaml", ".yml"})
_ASK = "Ask the person who signed the report for the original file."
_OTHER = "Name the file that `secrets report --sign` wrote."
_RELEASE = "Verify it with the release of fluxbase-cli that wrote it."
_UNREADABLE = "the statement has no report that this release of the tool can read"


class NotVerifiedError(FluxbaseCliError):
    """A signed report does not verify."""

    exit_code = ExitCode.CHECK_SAYS_NO


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """A file that was written with a report.

    Attributes:
        name: its name.
        is_same: whether it is as it was signed. None: it is not beside the envelope.
    """

    name: str
    is_same: bool | None


@dataclass(frozen=True, slots=True)
class Verified:
    """A report that verifies.

    Attributes:
        report: the report.
        keyid: the key that signed it.
        files: the files that were written with it.
    """

    report: Report
    keyid: str
    files: Sequence[CheckedFile]


def read_envelope(path: Path) -> bytes:
    """The content of a signed report.

    Raises:
        ConfigurationError: it can't be read, or is too large.
        NotVerifiedError: it is the report without its signature.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(
            f"{path} can't be read: {error.strerror or type(error).__name__}", hint="Name the signed report."
        ) from None
    except ValueError:
        raise ConfigurationError("FILE has a name that can't be a file's", hint="Correct the path.") from None
    if len(content) > _MOST_BYTES:
        raise ConfigurationError(f"{path} is larger than 64 MiB: it is no report", hint="Name the signed report.")
    _refuse_unsigned(path, content)
    return content


def _refuse_unsigned(path: Path, content: bytes) -> None:
    """Refuse a report itself, whose signature is in a file of its own or was never made."""
    try:
        read = read_strictly(content)
    except NotStrictJsonError:
        # A damaged envelope is told apart from HTML, Markdown and YAML by its name.
        is_report = path.suffix.lower() in _UNSIGNED
    else:
        is_report = isinstance(read, dict) and "payload" not in read and "schema" in read
    if not is_report:
        return
    envelope = path.with_name(f"{path.name}{ENVELOPE_SUFFIX}")
    if envelope.is_file():
        hint = f"Give the signed file beside it: {envelope}"
    elif path.suffix.lower() in _UNSIGNED:
        hint = f"Give the signed file that `secrets report --sign` wrote with it: {envelope.name}"
    else:
        hint = "`secrets report --sign KEY --out FILE` writes a signed one."
    raise NotVerifiedError(f"{path} is a report without its signature", hint=hint)


def verify(content: bytes, key: PublicKey, folder: Path) -> Verified:
    """Check a signed report.

    Args:
        content: the envelope.
        key: the public key of the person who must have signed it.
        folder: where the files may be that were written with it.

    Raises:
        NotVerifiedError: it does not verify.
    """
    statement = _statement(content, key)
    subjects = _subjects(statement)
    report = statement["predicate"]
    if subjects[0] != (_name(report), digest(report)):
        raise NotVerifiedError("the signature is about another report than the one in the envelope", hint=_ASK)
    return Verified(report, key.keyid, [_checked(folder, name, wanted) for name, wanted in subjects[1:]])


def _statement(content: bytes, key: PublicKey) -> dict[str, Any]:
    """The statement in an envelope whose signature is by the key, and in which no byte was changed."""
    payload, kind, keyid, signature = _envelope(content)
    if kind != PAYLOAD_TYPE:
        raise NotVerifiedError(
            f"the envelope holds no in-toto statement: payloadType must be {PAYLOAD_TYPE}", hint=_OTHER
        )
    if not key.verifies(signature, pae(kind, payload)):
        raise NotVerifiedError(
            "the signature is not by this key, or the report was changed after it was signed",
            hint=f"The key id of --key is {key.keyid}; the envelope names {keyid[:_KEYID_LETTERS] or 'none'}.",
        )
    if content != envelope_bytes(payload, key.keyid, signature):
        raise NotVerifiedError(
            "the envelope is not byte for byte as it was written, although what is signed in it was not changed",
            hint="Verify the original file: this copy was formatted, or changed by another program.",
        )
    try:
        statement = read_strictly(payload)
    except NotStrictJsonError as error:
        raise NotVerifiedError(f"the statement in the envelope can't be read: {error}", hint=_ASK) from None
    if not isinstance(statement, dict) or statement.get("_type") != STATEMENT_TYPE:
        raise NotVerifiedError(f"the envelope holds no statement of the type {STATEMENT_TYPE}", hint=_OTHER)
    if statement.get("predicateType") != PREDICATE_TYPE:
        raise NotVerifiedError(
            f"the statement is not about a report of fluxbase-cli: predicateType must be {PREDICATE_TYPE}",
            hint=_OTHER,
        )
    predicate = statement.get("predicate")
    if not isinstance(predicate, dict) or predicate.get("schema") != SCHEMA or canonical(statement) != payload:
        raise NotVerifiedError(_UNREADABLE, hint=_RELEASE)
    return statement


def _envelope(content: bytes) -> tuple[bytes, str, str, bytes]:
    """Payload, type of the payload, name of the key, and signature."""
    try:
        envelope = read_strictly(content)
    except NotStrictJsonError as error:
        raise NotVerifiedError(
            f"this is not a signed report: {error}", hint="`secrets report --sign` writes one."
        ) from None
    try:
        payload, kind, signatures = envelope["payload"], envelope["payloadType"], envelope["signatures"]
        if len(signatures) != 1:
            raise NotVerifiedError(
                f"the envelope has {len(signatures)} signatures",
                hint="A report has one. Verify the file that `secrets report --sign` wrote.",
            )
        keyid, signature = signatures[0]["keyid"], signatures[0]["sig"]
        return _decoded(payload), str(kind), str(keyid), _decoded(signature)
    except (KeyError, IndexError, TypeError, ValueError):
        raise NotVerifiedError(
            "this is not a signed report: it is no DSSE envelope", hint="`secrets report --sign` writes one."
        ) from None


def _decoded(text: object) -> bytes:
    if not isinstance(text, str):
        raise TypeError
    return base64.b64decode(text, validate=True)


def _subjects(statement: Mapping[str, Any]) -> list[tuple[str, str]]:
    try:
        found = [(each["name"], each["digest"]["sha256"]) for each in statement["subject"]]
    except (KeyError, TypeError):
        found = []
    if not found or not all(isinstance(text, str) for each in found for text in each):
        raise NotVerifiedError("the statement does not say what it is about", hint=_ASK)
    return found


def _name(report: Report) -> str:
    try:
        return report_name(report)
    except (KeyError, TypeError):
        raise NotVerifiedError(_UNREADABLE, hint=_RELEASE) from None


def _checked(folder: Path, name: str, wanted: str) -> CheckedFile:
    if Path(name).name != name or name in {"", ".", ".."}:
        raise NotVerifiedError("the statement names a file in another folder", hint=_ASK)
    try:
        with (folder / name).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError):
        return CheckedFile(name, None)
    return CheckedFile(name, found == wanted)
