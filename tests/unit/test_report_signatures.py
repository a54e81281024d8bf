"""Signed reports: other tools verify them, and no change to one goes unnoticed."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import example, given
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey  # type: ignore[attr-defined]

from fluxbase_cli.config import Secret
from fluxbase_cli.errors import ConfigurationError, ExitCode
from fluxbase_cli.evidence.canonical import canonical
from fluxbase_cli.evidence.signing.pem import PemSigner
from fluxbase_cli.evidence.signing.public_key import PublicKey, read_public_key
from fluxbase_cli.evidence.signing.statement import PAYLOAD_TYPE, envelope_bytes, make_envelope, make_statement, pae
from fluxbase_cli.evidence.signing.verification import NotVerifiedError, read_envelope, verify
from tests.fixtures.envelopes import KeyPair, make_pair
from tests.fixtures.large_report import large_report

_KEY = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


class Signing:
    """Signs with a key in memory."""

    def __init__(self, key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey = _KEY) -> None:
        self._key = key

    @property
    def public_key(self) -> PublicKey:
        return PublicKey(self._key.public_key())

    def sign(self, message: bytes) -> bytes:
        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            return self._key.sign(message)
        return self._key.sign(message, ec.ECDSA(SHA256()))


_PUBLIC = PublicKey(_KEY.public_key())
_SMALL: dict[str, Any] = {
    "schema": "fluxbase-cli/report/v1",
    "subject": {"kind": "job", "number": 7},
    "database": {"name": "ä", "cluster": None},
    "jobs": [],
}
_ENVELOPE = make_envelope(make_statement(_SMALL, {}), Signing())


def _verify(content: bytes, folder: Path = Path("/nowhere")) -> dict[str, Any]:
    return verify(content, _PUBLIC, folder).report


def _refused(content: bytes) -> str:
    with pytest.raises(NotVerifiedError) as caught:
        _verify(content)
    assert caught.value.exit_code == ExitCode.CHECK_SAYS_NO
    assert "\n" not in caught.value.message
    assert (caught.value.hint or "").endswith("."), "it must say what to do"
    return caught.value.message


def _signed(statement: Any, payload_type: str = PAYLOAD_TYPE) -> bytes:
    """An envelope with a good signature of any statement."""
    payload = statement if isinstance(statement, bytes) else canonical(statement)
    return envelope_bytes(payload, _PUBLIC.keyid, _KEY.sign(pae(payload_type, payload)))


def test_a_signed_report_verifies_and_holds_the_report() -> None:
    assert _verify(_ENVELOPE) == _SMALL
    large = large_report()
    assert _verify(make_envelope(make_statement(large, {}), Signing())) == large


@pytest.mark.parametrize("key", [_KEY, ec.generate_private_key(ec.SECP256R1())], ids=["Ed25519", "P-256"])
def test_another_implementation_of_dsse_verifies_it(key: Any) -> None:
    signer = Signing(key)
    content = make_envelope(make_statement(large_report(), {}), signer)

    envelope = Envelope.from_dict(json.loads(content))

    other = SSlibKey.from_crypto(key.public_key(), keyid=signer.public_key.keyid)
    assert set(envelope.verify([other], 1)) == {signer.public_key.keyid}
    statement = json.loads(envelope.payload)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert envelope.payload_type == "application/vnd.in-toto+json"
    digest = hashlib.sha256(canonical(statement["predicate"])).hexdigest()
    assert statement["subject"][0]["digest"] == {"sha256": digest}


def test_the_key_id_is_that_of_openssl() -> None:
    der = _KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    assert json.loads(_ENVELOPE)["signatures"][0]["keyid"] == hashlib.sha256(der).hexdigest()


def test_a_changed_bit_is_found_in_every_byte() -> None:
    for place in range(len(_ENVELOPE)):
        for bit in (0x01, 0x20):
            changed = bytes((*_ENVELOPE[:place], _ENVELOPE[place] ^ bit, *_ENVELOPE[place + 1 :]))
            with pytest.raises(NotVerifiedError):
                _verify(changed)


@given(st.integers(0, len(_ENVELOPE) - 1), st.integers(1, 255))
@example(len(_ENVELOPE) - 1, 1)
def test_one_changed_byte_anywhere_is_found(place: int, change: int) -> None:
    content = bytearray(_ENVELOPE)
    content[place] ^= change

    _refused(bytes(content))


@given(st.integers(0, len(_ENVELOPE)), st.binary(min_size=1, max_size=3))
def test_one_added_or_removed_byte_anywhere_is_found(place: int, added: bytes) -> None:
    _refused(_ENVELOPE[:place] + added + _ENVELOPE[place:])
    if place < len(_ENVELOPE):
        _refused(_ENVELOPE[:place] + _ENVELOPE[place + 1 :])


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_in_one_line(content: bytes) -> None:
    _refused(content)


_ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["payload", "payloadType", "signatures"]), inner),
    max_leaves=8,
)


@given(_ANY_JSON)
def test_any_json_is_refused_in_one_line(value: Any) -> None:
    _refused(json.dumps(value).encode())


def _with(**changes: Any) -> bytes:
    return json.dumps({**json.loads(_ENVELOPE), **changes}).encode()


_ONE = json.loads(_ENVELOPE)["signatures"][0]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(_with(payloadType="text/plain"), "payloadType must be", id="type of the payload"),
        pytest.param(_with(signatures=[]), "has 0 signatures", id="no signature"),
        pytest.param(_with(signatures=[_ONE, _ONE]), "has 2 signatures", id="several signatures"),
        pytest.param(_with(signatures={}), "has 0 signatures", id="signatures of another form"),
        pytest.param(_with(signatures=[{}]), "no DSSE envelope", id="an empty signature"),
        pytest.param(_with(signatures=[{**_ONE, "sig": "!"}]), "no DSSE envelope", id="no base64"),
        pytest.param(_with(payload=base64.b64encode(b"{}").decode()), "not by this key", id="another payload"),
        pytest.param(_with(extra=1), "not byte for byte", id="one field more"),
        pytest.param(json.dumps(json.loads(_ENVELOPE), indent=2).encode(), "not byte for byte", id="formatted"),
        pytest.param(_ENVELOPE + b"{}", "something follows after its end", id="data after the end"),
        pytest.param(_ENVELOPE[:-1].replace(b'{"payload"', b'{"payload":"","payload"'), "twice", id="a name twice"),
        pytest.param(b"[" * 100_000, "nested too deeply", id="nested"),
        pytest.param(b'{"payload": NaN}', "does not have", id="not a number"),
        pytest.param(b'{"payload": ' + b"1" * 5000 + b"}", "can't be read", id="a number without an end"),
        pytest.param(b"\xff\xfe", "not UTF-8", id="UTF-16"),
        pytest.param(b"", "not JSON", id="empty"),
    ],
)
def test_what_is_wrong_with_an_envelope_is_said(content: bytes, says: str) -> None:
    assert says in _refused(content)


def _statement(**changes: Any) -> bytes:
    return _signed({**make_statement(_SMALL, {}), **changes})


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(_statement(_type="https://in-toto.io/Statement/v0.1"), "no statement of the type", id="type"),
        pytest.param(_statement(predicateType="https://slsa.dev/provenance/v1"), "predicateType must be", id="SLSA"),
        pytest.param(_statement(predicate={}), "has no report", id="no report"),
        pytest.param(_statement(predicate={"schema": "fluxbase-cli/report/v2"}), "has no report", id="a later report"),
        pytest.param(_statement(predicate={"schema": "fluxbase-cli/report/v1"}), "has no report", id="half a report"),
        pytest.param(_statement(subject=[]), "does not say what it is about", id="no subject"),
        pytest.param(_statement(subject=[{"name": 1}]), "does not say what it is about", id="another subject"),
        pytest.param(_statement(predicate={**_SMALL, "jobs": [1]}), "about another report", id="another report"),
        pytest.param(_signed(b"[]"), "no statement", id="a list"),
        pytest.param(_signed(b'{"a":1,"a":2}'), "twice", id="a name twice"),
        pytest.param(_signed(canonical(make_statement(_SMALL, {})) + b" "), "has no report", id="a blank more"),
        pytest.param(_signed(make_statement(_SMALL, {"../a": b""})), "in another folder", id="a path"),
        pytest.param(_signed(make_statement(_SMALL, {"..": b""})), "in another folder", id="a folder"),
    ],
)
def test_a_good_signature_of_something_else_is_not_enough(content: bytes, says: str) -> None:
    assert says in _refused(content)


def test_a_signature_by_another_key_is_refused_and_both_are_named() -> None:
    other = PublicKey(ed25519.Ed25519PrivateKey.generate().public_key())

    with pytest.raises(NotVerifiedError, match="not by this key") as caught:
        verify(_ENVELOPE, other, Path("/nowhere"))

    assert other.keyid in (caught.value.hint or "")
    assert _PUBLIC.keyid in (caught.value.hint or "")


def test_files_beside_the_envelope_are_checked(tmp_path: Path) -> None:
    content = make_envelope(make_statement(_SMALL, {"a.html": b"<p>", "b.md": b"b", "c.md": b"c"}), Signing())
    (tmp_path / "a.html").write_bytes(b"<p>")
    (tmp_path / "b.md").write_bytes(b"other")

    files = verify(content, _PUBLIC, tmp_path).files

    assert [(each.name, each.is_same) for each in files] == [("a.html", True), ("b.md", False), ("c.md", None)]


# --- keys in files ----------------------------------------------------------------------------------------------------


def _no_passphrase() -> Secret | None:
    return None


def test_a_key_of_a_file_signs(pair: KeyPair) -> None:
    signer = PemSigner(pair.private, _no_passphrase)

    content = make_envelope(make_statement(_SMALL, {}), signer)

    assert verify(content, read_public_key(pair.public), Path("/nowhere")).report == _SMALL
    assert pair.public.read_text() == signer.public_key.pem


def test_an_encrypted_key_needs_its_passphrase(tmp_path: Path) -> None:
    pair = make_pair(tmp_path, passphrase="hunter2-hunter2")

    assert PemSigner(pair.private, lambda: Secret("hunter2-hunter2")).public_key.pem == pair.public.read_text()
    with pytest.raises(ConfigurationError, match="is encrypted") as caught:
        PemSigner(pair.private, _no_passphrase)
    assert "FLUXBASE_CLI_SIGN_PASSPHRASE" in (caught.value.hint or "")
    with pytest.raises(ConfigurationError, match="can't be decrypted") as caught:
        PemSigner(pair.private, lambda: Secret("hunter3"))
    assert "hunter" not in caught.value.message


def _pem(key: Any) -> bytes:
    made: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return made


def _refused_key(path: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        PemSigner(path, _no_passphrase)
    assert "\n" not in caught.value.message
    assert caught.value.exit_code == ExitCode.USAGE
    return caught.value.message


@pytest.mark.parametrize(
    ("make", "says"),
    [
        pytest.param(lambda: b"", "not a private key", id="empty"),
        pytest.param(lambda: b"hunter2", "not a private key", id="a text"),
        pytest.param(lambda: _pem(_KEY)[:-40], "not a private key", id="cut"),
        pytest.param(_PUBLIC.pem.encode, "is a public key", id="a public key"),
        pytest.param(lambda: _pem(rsa.generate_private_key(65537, 2048)), "not an Ed25519 key", id="RSA"),
        pytest.param(lambda: _pem(ec.generate_private_key(ec.SECP256R1())), "not an Ed25519 key", id="P-256"),
        pytest.param(lambda: b"x" * 20_000, "is no key", id="large"),
    ],
)
def test_a_file_that_is_no_signing_key_is_one_line(tmp_path: Path, make: Callable[[], bytes], says: str) -> None:
    path = tmp_path / "key.pem"
    path.touch(0o600)
    path.write_bytes(make())

    message = _refused_key(path)

    assert says in message
    assert "hunter2" not in message


def test_a_signing_key_that_others_may_read_is_not_used(pair: KeyPair, tmp_path: Path) -> None:
    pair.private.chmod(0o644)
    assert "others may read it" in _refused_key(pair.private)
    assert "is a folder" in _refused_key(tmp_path)
    assert "there is no signing key" in _refused_key(tmp_path / "none.pem")
    os.mkfifo(tmp_path / "pipe")
    assert "no regular file" in _refused_key(tmp_path / "pipe")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        rsa.generate_private_key(65537, 2048)
        .public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        ec.generate_private_key(ec.SECP384R1())
        .public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        b"x" * 20_000,
    ],
    ids=["empty", "broken", "RSA", "P-384", "large"],
)
def test_a_file_that_is_no_public_key_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(content)

    with pytest.raises(ConfigurationError, match="is not a public key that can verify a report"):
        read_public_key(path)


def test_a_private_key_is_not_taken_as_the_public_one(pair: KeyPair, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="must stay with the person who signs"):
        read_public_key(pair.private)
    with pytest.raises(ConfigurationError, match="can't be read"):
        read_public_key(tmp_path / "none.pem")


@pytest.mark.parametrize(
    ("name", "content", "hint"),
    [
        ("job.html", b"<!doctype html>", "wrote with it: job.html.dsse.json"),
        ("job.md", b"# Job 7", "wrote with it: job.md.dsse.json"),
        ("job.yaml", b"schema: x", "wrote with it: job.yaml.dsse.json"),
        ("job.json", canonical(_SMALL), "`secrets report --sign KEY --out FILE` writes a signed one."),
    ],
)
def test_a_report_without_its_signature_is_answered_with_the_file_to_give(
    name: str, content: bytes, hint: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(NotVerifiedError, match="is a report without its signature") as caught:
        read_envelope(path)
    assert (caught.value.hint or "").endswith(hint)
    beside = tmp_path / f"{name}.dsse.json"
    beside.write_bytes(_ENVELOPE)
    with pytest.raises(NotVerifiedError) as caught:
        read_envelope(path)
    assert caught.value.hint == f"Give the signed file beside it: {beside}"
    assert read_envelope(beside) == _ENVELOPE
