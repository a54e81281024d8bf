"""Telling plaintext from seals where both may stand."""

from __future__ import annotations

import base64
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxbase_cli.catalogue.plaintext import hold_no_seals, is_no_seal
from tests.fixtures.fluxbase import seal

_DER = bytes.fromhex("3082010a0282010100") + bytes(range(1, 256)) + b"\x07\x02\x03\x01\x00\x01"
_SHORT_DER = bytes.fromhex("302a300506032b6570032100") + bytes(range(200, 232))
_PLAINTEXTS = {
    "40 hex digits": b"0123456789abcdef0123456789abcdef01234567",
    "64 hex digits": b"f" * 64,
    "40 capital hex digits": b"0123456789ABCDEF0123456789ABCDEF01234567",
    "base32": b"JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
    "small letters and digits": b"k3j2h4g5f6d7s8a9k3j2h4g5f6d7s8a9k3j2h4g5",
    "digits": b"1" * 40,
    "base64 of a text": base64.b64encode(b"https://example.org/a/secret/of/a/kind!"),
    "a public key in DER": base64.b64encode(_DER),
    "a short public key in DER": base64.b64encode(_SHORT_DER),
}


@pytest.mark.parametrize("text", _PLAINTEXTS.values(), ids=_PLAINTEXTS.keys())
def test_what_random_bytes_do_not_look_like_is_no_seal(text: bytes) -> None:
    assert is_no_seal(text)


@given(st.binary(min_size=0, max_size=200), st.binary(min_size=32, max_size=32))
def test_a_seal_is_never_taken_for_plaintext(plaintext: bytes, key: bytes) -> None:
    assert not is_no_seal(seal(key, plaintext).encode())


def test_a_seal_with_line_breaks_is_still_one() -> None:
    text = seal(b"k" * 32, "a secret").encode()
    assert not is_no_seal(text[:10] + b"\r\n" + text[10:])


def test_a_seal_of_fewer_bytes_than_a_secret_has_is_none() -> None:
    text = seal(b"k" * 32, "12345").encode()
    assert is_no_seal(text, least_plaintext=6)
    assert not is_no_seal(text, least_plaintext=5)


def test_mixed_letters_and_digits_alone_could_be_a_seal_and_many_of_them_could_not() -> None:
    tokens = ["".join(secrets.choice("abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ2345") for _ in range(48))]
    tokens *= 12
    assert not is_no_seal(tokens[0].encode())
    assert hold_no_seals(token.encode() for token in tokens)
    assert not hold_no_seals([tokens[0].encode()])


def test_one_symbol_is_enough_for_many_texts_to_be_seals() -> None:
    assert not hold_no_seals([b"a" * 400, b"a" * 400, b"a+b" * 20])


def test_no_texts_are_no_evidence() -> None:
    assert not hold_no_seals([])


def test_a_length_that_is_wrong_by_one_is_no_der() -> None:
    assert not is_no_seal(base64.b64encode(_DER + b"\xff"))
