"""Base64 of large values is exactly as strict as the standard library's, so that both take the same texts as seals."""

from __future__ import annotations

import os
import sys
from binascii import a2b_base64, b2a_base64

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fluxbase_cli import large_base64
from fluxbase_cli.large_base64 import LARGE_TEXT_BYTES, decode_large, encode_large
from fluxbase_cli.seal import NotASealError, Sealer, decode

_SIZES = st.integers(0, 100) | st.integers(LARGE_TEXT_BYTES * 3 // 4 - 3, LARGE_TEXT_BYTES * 3 // 4 + 3)


def strictly(text: bytes) -> bytes | None:
    """What the standard library decodes; None where it refuses, and for what `seal.decode` refuses before."""
    try:
        return a2b_base64(text, strict_mode=True) if len(text) % 4 == 0 and not text.endswith(b"===") else None
    except ValueError:
        return None


def at_once(text: bytes) -> bytes | None:
    try:
        return decode_large(text) if len(text) % 4 == 0 and not text.endswith(b"===") else None
    except ValueError:
        return None


@given(st.binary(max_size=2_000))
def test_a_text_is_encoded_as_by_the_standard_library(data: bytes) -> None:
    assert encode_large(data) == b2a_base64(data, newline=False)
    assert decode_large(encode_large(data)) == data


@given(_SIZES, st.data())
def test_a_text_with_faults_is_decoded_or_refused_as_by_the_standard_library(size: int, data: st.DataObject) -> None:
    text = bytearray(b2a_base64(os.urandom(size), newline=False))
    for _ in range(data.draw(st.integers(1, 3))):
        # Padding and trailing bits are at the end.
        at = data.draw(st.integers(0, len(text)) | st.integers(max(0, len(text) - 5), len(text)))
        text[at : at + data.draw(st.integers(0, 2))] = data.draw(st.text("Ab9+/=-_ \r\n\t\0\xff", max_size=4)).encode(
            "latin-1"
        )
    assert at_once(bytes(text)) == strictly(bytes(text))


@example(b"AA==").via("not canonical: trailing bits")
@example(b"AB==").via("not canonical: trailing bits")
@example(b"AAB=").via("not canonical: trailing bits")
@example(b"AA=A").via("padding in the middle")
@given(st.text("AB+/=", min_size=4, max_size=12).map(str.encode))
def test_short_texts_with_padding_anywhere_are_decoded_or_refused_alike(text: bytes) -> None:
    assert at_once(text) == strictly(text)


@pytest.mark.parametrize("fault", [b" ", b"\n ", b"-", b"_", b"=", b"\0", b"\xff"])
def test_a_large_value_with_a_fault_is_no_seal(fault: bytes) -> None:
    sealed = Sealer(bytes(32)).seal(bytes(LARGE_TEXT_BYTES))
    text = sealed[:400] + fault + sealed[400 + len(fault) :]
    with pytest.raises(NotASealError):
        decode(text)
    assert Sealer(bytes(32)).reseal_each(Sealer(bytes(range(32))), [text, sealed], 2)[0] is None


def test_a_large_value_with_line_breaks_is_opened() -> None:
    sealer = Sealer(bytes(32))
    text = sealer.seal(bytes(2_000))
    assert sealer.open_text(b"\r\n".join([text[:76], text[76:], b""])) == bytes(2_000)


def test_without_pybase64_large_values_are_only_slower(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pybase64", None)
    large_base64._fastest.cache_clear()
    try:
        text = encode_large(bytes(3_000))
        assert decode_large(text) == bytes(3_000)
        with pytest.raises(ValueError, match="base64"):
            decode_large(text[:-4] + b"A===")
    finally:
        large_base64._fastest.cache_clear()
