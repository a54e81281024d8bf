"""The seal, checked with values that Fluxbase's own code sealed and with properties of all texts and keys."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from fluxbase_cli.seal import (
    MIN_TEXT_BYTES,
    NotASealError,
    NotMyKeyError,
    Sealer,
    SealError,
    decode,
    derive_user_key,
    fingerprint,
    may_be_seal,
    nonces,
)

VECTORS_FILE = Path(__file__).parents[1] / "data" / "fluxbase-vectors.json"
KEY = bytes(range(32))
OTHER_KEY = bytes(range(1, 33))
ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

keys = st.binary(min_size=32, max_size=32)
plaintexts = st.binary(max_size=300)


@dataclass(frozen=True, slots=True)
class Vector:
    """One value of `fluxbase-vectors.json`."""

    name: str
    master: bytes
    plaintext: bytes
    sealed: bytes
    user: UUID | None
    derived: bytes | None

    @property
    def key(self) -> bytes:
        """The key that sealed it, from the file and not from our derivation."""
        return self.master if self.derived is None else self.derived


def _vector(entry: dict[str, Any]) -> Vector:
    user, derived = entry["derive_user_id"], entry["derived_key_hex"]
    return Vector(
        entry["name"],
        entry["key"].encode(),
        base64.b64decode(entry["plaintext_b64"]),
        entry["ciphertext"].encode(),
        None if user is None else UUID(user),
        None if derived is None else bytes.fromhex(derived),
    )


VECTORS = [_vector(entry) for entry in json.loads(VECTORS_FILE.read_text(encoding="utf-8"))]
USER_VECTORS = [vector for vector in VECTORS if vector.user is not None]


def name_of(vector: Vector) -> str:
    return vector.name


def direct_open(key: bytes, text: bytes) -> bytes:
    """Open as the server does, with `cryptography` only."""
    raw = base64.b64decode(text, validate=True)
    return AESGCM(key).decrypt(raw[:12], raw[12:], None)


def test_all_vectors_are_there() -> None:
    assert len(VECTORS) == 25
    assert len(USER_VECTORS) == 7


@pytest.mark.parametrize("vector", VECTORS, ids=name_of)
def test_a_value_that_fluxbase_sealed_opens_to_the_plaintext(vector: Vector) -> None:
    sealer = Sealer(vector.key)
    assert sealer.open_text(vector.sealed) == vector.plaintext
    assert sealer.open(decode(vector.sealed)) == vector.plaintext


@pytest.mark.parametrize("vector", USER_VECTORS, ids=name_of)
def test_a_users_key_is_derived_as_fluxbase_derives_it(vector: Vector) -> None:
    assert vector.user is not None
    assert derive_user_key(vector.master, vector.user) == vector.derived
    with pytest.raises(NotMyKeyError):
        Sealer(vector.master).open_text(vector.sealed)


@pytest.mark.parametrize("vector", VECTORS, ids=name_of)
def test_our_seal_opens_with_other_code_and_is_as_long_as_that_of_fluxbase(vector: Vector) -> None:
    sealed = Sealer(vector.key).seal(vector.plaintext)
    assert direct_open(vector.key, sealed) == vector.plaintext
    assert len(sealed) == len(vector.sealed)
    assert sealed != vector.sealed


def test_the_double_sealed_vector_opens_twice() -> None:
    (outer,) = (vector for vector in VECTORS if vector.name.startswith("double encrypted"))
    inner = Sealer(outer.key).open_text(outer.sealed)
    assert may_be_seal(inner)
    assert may_be_seal(outer.sealed)
    Sealer(outer.key).open_text(inner)


@given(key=keys, plaintext=plaintexts)
def test_a_seal_opens_to_what_was_sealed_and_has_the_length_of_the_formula(key: bytes, plaintext: bytes) -> None:
    sealed = Sealer(key).seal(plaintext)
    assert Sealer(key).open_text(sealed) == plaintext == direct_open(key, sealed)
    assert len(sealed) == 4 * -(-(len(plaintext) + 28) // 3)
    assert may_be_seal(sealed)


def test_the_empty_text_has_a_seal_of_forty_characters() -> None:
    assert len(Sealer(KEY).seal(b"")) == 40 == MIN_TEXT_BYTES
    assert Sealer(KEY).open_text(Sealer(KEY).seal(b"")) == b""


@given(key=keys, other=keys, plaintext=plaintexts)
def test_another_key_gives_not_my_key_and_never_not_a_seal(key: bytes, other: bytes, plaintext: bytes) -> None:
    if key == other:
        return
    sealed = Sealer(key).seal(plaintext)
    with pytest.raises(NotMyKeyError):
        Sealer(other).open_text(sealed)
    with pytest.raises(NotMyKeyError):
        Sealer(other).open(decode(sealed))


@given(plaintext=plaintexts, data=st.data())
def test_no_key_opens_a_seal_with_one_changed_bit(plaintext: bytes, data: st.DataObject) -> None:
    raw = bytearray(decode(Sealer(KEY).seal(plaintext)))
    bit = data.draw(st.integers(0, 8 * len(raw) - 1))
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises(NotMyKeyError):
        Sealer(KEY).open_text(base64.b64encode(raw))


@given(plaintext=plaintexts, breaks=st.lists(st.tuples(st.integers(0, 500), st.sampled_from([b"\r", b"\n", b"\r\n"]))))
def test_line_breaks_at_any_place_change_nothing(plaintext: bytes, breaks: list[tuple[int, bytes]]) -> None:
    sealed = Sealer(KEY).seal(plaintext)
    text = sealed
    for place, line_break in breaks:
        at = place % (len(text) + 1)
        text = text[:at] + line_break + text[at:]
    assert decode(text) == decode(sealed)
    assert Sealer(KEY).open_text(text) == plaintext
    assert may_be_seal(text)


@pytest.mark.parametrize(
    ("plaintext", "padding"), [(b"", b"=="), (b"x", b"=")], ids=["four idle bits", "two idle bits"]
)
def test_trailing_bits_that_no_encoder_sets_are_accepted(plaintext: bytes, padding: bytes) -> None:
    sealed = Sealer(KEY).seal(plaintext)
    body = sealed.removesuffix(padding)
    assert body != sealed
    last = ALPHABET.index(body[-1:]) + 1  # an encoder leaves the idle bits 0, so this changes idle bits only
    text = body[:-1] + ALPHABET[last : last + 1] + padding
    assert text != sealed
    assert Sealer(KEY).open_text(text) == plaintext


SEALED = Sealer(KEY).seal(b"a plaintext!")  # 40 bytes: 56 characters, two of them padding
UNPADDED = Sealer(KEY).seal(b"xx")
URL_SAFE = base64.urlsafe_b64encode(b"\xff" * 40)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b" " + SEALED, id="a space before"),
        pytest.param(SEALED + b" ", id="a space behind"),
        pytest.param(SEALED[:8] + b" " + SEALED[8:], id="a space inside"),
        pytest.param(SEALED[:8] + b"\t" + SEALED[8:], id="a tab inside"),
        pytest.param(SEALED.rstrip(b"="), id="padding missing"),
        pytest.param(SEALED[:-1], id="half of the padding missing"),
        pytest.param(SEALED + b"=", id="too much padding"),
        pytest.param(UNPADDED + b"=", id="padding behind a full group"),
        pytest.param(UNPADDED + b"==", id="two of padding behind a full group"),
        pytest.param(SEALED + b"AAAA", id="more behind the padding"),
        pytest.param(SEALED[:21], id="truncated within a group"),
        pytest.param(SEALED[:36], id="truncated below 28 bytes"),
        pytest.param(URL_SAFE, id="the URL-safe alphabet"),
        pytest.param(b"=" + SEALED[1:], id="padding in front"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"   ", id="white space only"),
        pytest.param(b"\r\n", id="a line break only"),
        pytest.param(base64.b64encode(b"x" * 27), id="27 bytes"),
        pytest.param(b"JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", id="a base32 TOTP secret"),
        pytest.param("é".encode() * 20, id="no ASCII"),
        pytest.param(b"\x00" * 40, id="NUL bytes"),
    ],
)
def test_a_text_that_the_server_can_not_decode_is_no_seal(text: bytes) -> None:
    for attempt in (decode, Sealer(KEY).open_text):
        with pytest.raises(NotASealError):
            attempt(text)


def test_a_seal_truncated_to_whole_groups_is_a_seal_that_no_key_opens() -> None:
    with pytest.raises(NotMyKeyError):
        Sealer(KEY).open_text(Sealer(KEY).seal(b"x" * 60)[:60])


def test_a_seal_has_at_least_28_bytes() -> None:
    assert len(decode(base64.b64encode(b"x" * 28))) == 28


def test_not_mine_and_not_a_seal_are_different_and_both_are_seal_errors() -> None:
    assert issubclass(NotASealError, SealError)
    assert issubclass(NotMyKeyError, SealError)
    assert not issubclass(NotASealError, NotMyKeyError)
    assert not issubclass(NotMyKeyError, NotASealError)


@st.composite
def nearly_seals(draw: st.DrawFn) -> bytes:
    """Base64 of about 28 bytes, with errors at some places."""
    text = base64.b64encode(draw(st.binary(min_size=26, max_size=34)))
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(text)))
        put = draw(st.sampled_from([b"\n", b"\r", b"=", b" ", b"-", b"A", b"AB==", b""]))
        text = text[:at] + put + text[at + draw(st.integers(0, 1)) :]
    return text


def open_alone(sealer: Sealer, text: bytes | None) -> bytes | None:
    try:
        return None if text is None else sealer.open_text(text)
    except SealError:
        return None


@given(st.lists(st.none() | nearly_seals() | plaintexts.map(Sealer(KEY).seal) | plaintexts.map(Sealer(OTHER_KEY).seal)))
def test_many_texts_are_opened_like_each_alone_except_those_with_line_breaks(texts: list[bytes | None]) -> None:
    sealer = Sealer(KEY)
    opened = [open_alone(sealer, text) for text in texts]
    left = [number for number, plaintext in enumerate(opened) if plaintext is None or may_be_seal(plaintext)]
    assert sealer.open_each(texts) == left
    resealed = sealer.reseal_each(Sealer(OTHER_KEY), texts, len(texts))
    assert [number for number, new in enumerate(resealed) if new is None] == left
    for new, plaintext in zip(resealed, opened, strict=True):
        assert new is None or direct_open(OTHER_KEY, new) == plaintext


def test_a_text_with_line_breaks_is_left_to_be_opened_alone() -> None:
    sealed = Sealer(KEY).seal(b"text")
    assert Sealer(KEY).open_each([sealed[:4] + b"\r\n" + sealed[4:], sealed, sealed + b"===="]) == [0, 2]


@given(st.lists(plaintexts))
def test_many_plaintexts_are_sealed_like_each_alone_and_with_different_nonces(many: list[bytes]) -> None:
    # With a character that no seal contains, so that no text is left to be checked alone.
    many = [plaintext + b"!" for plaintext in many]
    texts = Sealer(OTHER_KEY).reseal_each(Sealer(KEY), map(Sealer(OTHER_KEY).seal, many), len(many))
    new = [text for text in texts if text is not None]
    assert [direct_open(KEY, text) for text in new] == many
    assert len({decode(text)[:12] for text in new}) == len(many)


@given(nearly_seals())
def test_we_decode_exactly_what_go_decodes_and_may_be_seal_accepts_all_of_it(text: bytes) -> None:
    unwrapped = text.replace(b"\r", b"").replace(b"\n", b"")
    body = unwrapped.rstrip(b"=")
    canonical = len(unwrapped) % 4 == 0 and len(unwrapped) - len(body) <= 2 and body.translate(None, ALPHABET) == b""
    if canonical and len(raw := base64.b64decode(unwrapped)) >= 28:
        assert decode(text) == raw
        assert may_be_seal(text)
    else:
        with pytest.raises(NotASealError):
            decode(text)


@given(outer=keys, inner=keys, plaintext=plaintexts)
def test_a_double_seal_opens_layer_by_layer(outer: bytes, inner: bytes, plaintext: bytes) -> None:
    twice = Sealer(outer).seal(Sealer(inner).seal(plaintext))
    assert Sealer(inner).open_text(Sealer(outer).open_text(twice)) == plaintext


@pytest.mark.parametrize("length", [0, 16, 31, 33, 64])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Sealer(b"k" * length)


def test_no_nonce_comes_twice() -> None:
    source = nonces()
    sealer = Sealer(KEY, source)
    taken = [next(source) for _ in range(1000)] + [decode(sealer.seal(b""))[:12] for _ in range(1000)]
    taken += [decode(Sealer(KEY).seal(b""))[:12] for _ in range(100)]
    assert len(set(taken)) == len(taken)
    assert {len(nonce) for nonce in taken} == {12}


def test_a_users_key_depends_on_the_master_key_and_on_the_user() -> None:
    first, second = UUID(int=1), UUID(int=2)
    derived = {
        derive_user_key(KEY, first),
        derive_user_key(KEY, second),
        derive_user_key(OTHER_KEY, first),
        KEY,
        OTHER_KEY,
    }
    assert len(derived) == 5
    assert {len(key) for key in derived} == {32}


def test_a_fingerprint_identifies_a_key_and_reveals_nothing_of_it() -> None:
    assert fingerprint(KEY) == fingerprint(bytes(KEY))
    assert fingerprint(KEY) != fingerprint(OTHER_KEY)
    assert len(fingerprint(KEY)) == 16
    assert KEY.hex()[:8] not in fingerprint(KEY)
