"""Distinguishing plaintext from seals in a column that may hold both."""

from __future__ import annotations

import base64
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxbase_cli.catalogue.plaintext import has_symbols, hold_no_seals, is_no_seal
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
def test_a_text_that_random_bytes_would_not_give_is_no_seal(text: bytes) -> None:
    assert is_no_seal(text)


@given(st.binary(min_size=0, max_size=200), st.binary(min_size=32, max_size=32))
def test_a_seal_is_never_taken_for_plaintext(plaintext: bytes, key: bytes) -> None:
    assert not is_no_seal(seal(key, plaintext).encode())


def test_a_seal_with_line_breaks_is_still_a_seal() -> None:
    text = seal(b"k" * 32, "a secret").encode()
    assert not is_no_seal(text[:10] + b"\r\n" + text[10:])


def test_a_text_too_short_for_the_columns_secrets_is_no_seal() -> None:
    text = seal(b"k" * 32, "12345").encode()
    assert is_no_seal(text, least_plaintext=6)
    assert not is_no_seal(text, least_plaintext=5)


def test_a_short_text_of_letters_and_digits_could_be_a_seal_and_a_long_one_could_not() -> None:
    tokens = ["".join(secrets.choice("abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ2345") for _ in range(48))]
    tokens *= 12
    assert not is_no_seal(tokens[0].encode())
    assert hold_no_seals(token.encode() for token in tokens)
    assert not hold_no_seals([tokens[0].encode()])


def test_one_symbol_in_many_texts_is_enough_to_take_them_for_seals() -> None:
    assert not hold_no_seals([b"a" * 400, b"a" * 400, b"a+b" * 20])


def test_no_texts_are_no_evidence() -> None:
    assert not hold_no_seals([])


def test_a_text_whose_length_is_wrong_by_one_is_no_der() -> None:
    assert not is_no_seal(base64.b64encode(_DER + b"\xff"))


# --- edge cases -------------------------------------------------------------------------------------------------------

#: Letters of both cases and digits, repeated; it decodes to bytes that are not text.
_MIXED = b"Qz7Lk2Vb9Xn4Rt6Ym1Pc8Wd3Hs5Jf0Ga" * 20
#: With this many characters and no symbol, the chance that they are random bytes is below one in a million.
_ENOUGH = 436


def test_letters_and_digits_alone_are_evidence_from_436_characters_on() -> None:
    assert 0.96875**_ENOUGH < 1e-6 < 0.96875 ** (_ENOUGH - 1)
    assert is_no_seal(_MIXED[:_ENOUGH])
    assert not is_no_seal(_MIXED[: _ENOUGH - 4])
    assert not is_no_seal(_MIXED[: _ENOUGH - 1] + b"+")
    # The same for several texts together.
    assert hold_no_seals([_MIXED[:400], _MIXED[: _ENOUGH - 400]])
    assert not hold_no_seals([_MIXED[:400], _MIXED[: _ENOUGH - 401]])


def test_only_line_breaks_are_ignored() -> None:
    assert is_no_seal(b"0123456789abcdef0123\r\n456789abcdef01234567\n")
    text = b"X+XrXnX/XzX7" * 4  # 36 bytes, 8 of them a plaintext's
    assert not is_no_seal(text, least_plaintext=8)
    assert not is_no_seal(b"\n" + text, least_plaintext=8)
    assert is_no_seal(text, least_plaintext=9)


def test_the_seal_of_the_empty_text_is_a_seal() -> None:
    assert not is_no_seal(seal(b"k" * 32, "").encode())


def test_symbols_are_the_two_base64_characters_that_are_neither_letters_nor_digits() -> None:
    assert has_symbols(b"a+b")
    assert has_symbols(b"ab/")
    assert not has_symbols(b"Ab0=")


def _sequence(header: str, length: int) -> bytes:
    """Base64 of a header in hexadecimal digits, followed by so many bytes that are not text."""
    return base64.b64encode(bytes.fromhex(header) + b"\xfe\x01\x9c" * (length // 3) + b"\x80" * (length % 3))


@pytest.mark.parametrize(
    ("text", "der"),
    [
        pytest.param(_sequence("302a02", 41), True, id="an integer in it"),
        pytest.param(_sequence("302a30", 41), True, id="a sequence in it"),
        pytest.param(_sequence("302b02", 42), True, id="an odd length"),
        pytest.param(_sequence("302a04", 41), False, id="another tag in it"),
        pytest.param(_sequence("302b02", 41), False, id="a byte missing"),
        pytest.param(_sequence("302902", 41), False, id="a byte too much"),
        pytest.param(_sequence("312a02", 41), False, id="a set"),
        pytest.param(_sequence("3081c8", 200), True, id="a length of one octet"),
        pytest.param(_sequence("3081c8", 199), False, id="a length of one octet, a byte missing"),
        pytest.param(_sequence("308201f4", 500), True, id="a length of two octets"),
        pytest.param(_sequence("308201f4", 501), False, id="a length of two octets, a byte too much"),
        pytest.param(_sequence("3083015f90", 90_000), True, id="a length of three octets"),
        pytest.param(_sequence("308400015f90", 90_000), False, id="more octets than DER takes for that length"),
        pytest.param(_sequence("3080", 60), False, id="a length that is not told"),
    ],
)
def test_only_a_sequence_of_the_right_length_is_der(text: bytes, der: bool) -> None:  # noqa: FBT001
    assert is_no_seal(text) == der
