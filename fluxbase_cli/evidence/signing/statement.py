"""The signed form of a report: an in-toto Statement v1 in a DSSE v1 envelope.

Formats: https://github.com/in-toto/attestation/tree/main/spec/v1 and https://github.com/secure-systems-lab/dsse. The
subjects are the report itself, by the digest of its canonical bytes, and each file that was written with it. The
predicate is the report.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

from fluxbase_cli.evidence.canonical import canonical, digest
from fluxbase_cli.evidence.collect import Report
from fluxbase_cli.evidence.signing.signer import Signer, signed

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
#: A name, which nobody fetches. Its number is that of the report's schema.
PREDICATE_TYPE = "https://github.com/nimbleflux/fluxbase-cli/report/v1"
#: What is appended to the name of a report's file for its envelope.
ENVELOPE_SUFFIX = ".dsse.json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"


def make_statement(report: Report, files: Mapping[str, bytes]) -> dict[str, Any]:
    """The statement about a report.

    Args:
        report: the report.
        files: the files that were written with it, by their names without folders.
    """
    subjects = [
        {"name": report_name(report), "digest": {"sha256": digest(report)}},
        *({"name": name, "digest": {"sha256": hashlib.sha256(each).hexdigest()}} for name, each in files.items()),
    ]
    return {"_type": STATEMENT_TYPE, "subject": subjects, "predicateType": PREDICATE_TYPE, "predicate": report}


def report_name(report: Report) -> str:
    """The name of a report among the subjects: its database, and the job or the rotation."""
    database, subject = report["database"], report["subject"]
    return f"postgresql:{database['cluster'] or '-'}/{database['name']}#{subject['kind']}-{subject['number']}"


def make_envelope(statement: Mapping[str, Any], signer: Signer) -> bytes:
    """Sign a statement, and put it into an envelope.

    Raises:
        ConfigurationError: it can't be signed.
    """
    payload = canonical(statement)
    signature = signed(signer, pae(PAYLOAD_TYPE, payload))
    return envelope_bytes(payload, signer.public_key.keyid, signature)


def envelope_bytes(payload: bytes, keyid: str, signature: bytes) -> bytes:
    """The bytes of an envelope. There is exactly one form, so that no byte of it can be changed unnoticed."""
    envelope = {
        "payload": base64.b64encode(payload).decode("ascii"),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"keyid": keyid, "sig": base64.b64encode(signature).decode("ascii")}],
    }
    return canonical(envelope) + b"\n"


def pae(payload_type: str, payload: bytes) -> bytes:
    """What is signed: DSSE's pre-authentication encoding."""
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
