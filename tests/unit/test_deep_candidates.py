"""Finding in any text what has the form of a seal: no encoding hides a seal."""

from __future__ import annotations

import base64
import json
import os
import re
import string
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxbase_cli.proof.candidates import find_in_bytes, find_in_text
from fluxbase_cli.store.deep_reading import MAX_RAW_BYTES
from tests.fixtures.fluxbase import OLD, break_lines, seal

#: Sizes of plaintexts, so that each padding occurs, and the shortest seal too.
SIZES = st.sampled_from([0, 1, 2, 3, 7, 20, 33, 100, 700])
RAW = SIZES.map(lambda size: os.urandom(28 + size))
DELIMITERS = st.sampled_from(list(" \t\n\"'<>(){}[]:;,.|&*#@!?-_~^$\x00é€"))
WORDS = st.text(alphabet=string.ascii_letters + string.digits + " .,:-_", max_size=60)


def texts(value: str | bytes) -> set[bytes]:
    return set(find_in_text(value.encode() if isinstance(value, str) else value))


def text_of(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def escape_everything(text: str) -> str:
    return "".join(f"\\u{ord(character):04x}" for character in text)


@given(RAW)
def test_a_seal_alone_is_found(raw: bytes) -> None:
    text = text_of(raw)
    assert text.encode() in texts(text)


@given(RAW, WORDS, DELIMITERS, DELIMITERS, WORDS)
def test_a_seal_with_other_characters_around_it_is_found(
    raw: bytes, before: str, left: str, right: str, after: str
) -> None:
    text = text_of(raw)
    assert text.encode() in texts(before + left + text + right + after)


@given(RAW, WORDS)
def test_a_seal_behind_an_equals_sign_or_a_slash_is_found(raw: bytes, name: str) -> None:
    text = text_of(raw)
    for value in (f"token={text}", f"{text}=token", f"/secrets/{text}", f"/a/b/{text}/c/d", f"v1/{text}", f"{text}/x"):
        if text.endswith("=") and value.startswith(text):
            continue
        assert text.encode() in texts(name + " " + value), value


@given(RAW, st.integers(min_value=1, max_value=4), st.sampled_from(["\\/", "\\u002f", "\\u002F"]), st.booleans())
def test_a_seal_in_json_inside_json_strings_is_found(raw: bytes, depth: int, slash: str, everything: bool) -> None:  # noqa: FBT001
    text = text_of(raw)
    if everything:
        inner = escape_everything(text)
    else:
        inner = text.replace("/", slash).replace("+", "\\u002b").replace("=", "\\u003D")
    value = f'{{"a": ["x", "{inner}"]}}'
    for _ in range(depth - 1):
        value = json.dumps({"inner": value})
    assert text.encode() in texts(value)


@given(RAW, st.integers(min_value=1, max_value=4), st.sampled_from(["\t", "\n", "\r\n", "\\", '"', "\b", "\f"]))
def test_an_escaped_character_before_a_seal_does_not_hide_it(raw: bytes, depth: int, before: str) -> None:
    text = text_of(raw)
    value = f"a word{before}{text}{before}another"
    for _ in range(depth):
        value = json.dumps({"line": value})
    assert text.encode() in texts(value)


@given(RAW, st.integers(min_value=0, max_value=3))
def test_a_seal_with_line_breaks_is_found(raw: bytes, depth: int) -> None:
    text = text_of(raw)
    value = break_lines(text)
    for _ in range(depth):
        value = json.dumps([value])
    assert text.encode() in texts(value)


@pytest.mark.parametrize("width", [1, 4, 38, 64, 76])
@pytest.mark.parametrize("around", ["%s", "a word\n%s\nanother", "-----BEGIN-----\n%s\n-----END-----", "key: %s"])
def test_a_seal_that_an_encoder_broke_into_lines_is_found(width: int, around: str) -> None:
    text = text_of(os.urandom(300))
    for line_end in ("\n", "\r\n"):
        lines = line_end.join(text[start : start + width] for start in range(0, len(text), width))
        if width <= 4 and "word" in around:
            # Words of four letters or fewer look like such lines.
            continue
        assert text.encode() in texts(around % lines)


def test_a_seal_on_two_lines_among_many_words_is_found() -> None:
    text = text_of(os.urandom(50))
    words = "\n".join(["apple", "pear", "fig"] * 13)
    assert text.encode() in texts(f"{words}\n{text[:21]}\n{text[21:]}\n{words}")


@given(RAW)
def test_a_seal_with_percent_encoding_is_found(raw: bytes) -> None:
    text = text_of(raw)
    assert text.encode() in texts(f"grant_type=refresh&token={quote(text, safe='')}&x=1")
    assert text.encode() in texts(json.dumps(json.dumps({"body": f"token={quote(text, safe='')}&x=1"})))


@given(RAW)
def test_a_text_seal_and_a_decoded_seal_are_found_in_bytea_printed_as_text(raw: bytes) -> None:
    text = text_of(raw)
    for data in (raw, text.encode(), b'{"a": "' + text.encode() + b'"}'):
        printed = "\\x" + data.hex()
        for value in (printed, json.dumps({"body": printed}), json.dumps(json.dumps([printed]))):
            assert text.encode() in texts(value)


@given(RAW)
def test_bytes_may_be_a_decoded_seal_or_a_text(raw: bytes) -> None:
    text = text_of(raw).encode()
    assert text in set(find_in_bytes(raw, MAX_RAW_BYTES))
    assert text in set(find_in_bytes(text, MAX_RAW_BYTES))
    assert text in set(find_in_bytes(b"\xff\x00" + text + b"\x00\xff", MAX_RAW_BYTES))
    assert text not in set(find_in_bytes(raw, len(raw) - 1))


def test_a_large_text_is_searched_like_a_small_one() -> None:
    seals = [text_of(os.urandom(40)) for _ in range(20)]
    words = " ".join(["the", "customer", "called/asked", "a=b", "c\\d"] * 1_000)
    value = f" {words} ".join(seals) + json.dumps(json.dumps({"a": seals[0].replace("/", "\\/")}))
    assert len(value) > 200_000
    assert {text.encode() for text in seals} <= texts(value)


@pytest.mark.parametrize(
    "value",
    [
        "0123456789abcdef" * 4,
        "DEADBEEF" * 8,
        f"{os.urandom(20).hex()} {os.urandom(32).hex()}",
        "",
        "The customer called at noon and asked about the invoice.",
        "550e8400-e29b-41d4-a716-446655440000",
        "A" * 41,
        "A" * 39 + "=" * 4,
    ],
)
def test_a_text_that_is_not_a_seal_is_left_out(value: str) -> None:
    assert texts(value) <= {("A" * 39 + "=").encode()}


@given(st.binary(max_size=300))
def test_everything_that_is_found_has_the_form_of_a_seal(value: bytes) -> None:
    for found in find_in_bytes(value, MAX_RAW_BYTES):
        assert re.fullmatch(rb"[A-Za-z0-9+/]{38,}={0,2}", found)
        assert len(base64.b64decode(found)) >= 28


@given(st.text(alphabet='Aa0+/=\\un%x\r\n2bfF "', max_size=400))
def test_no_text_makes_the_search_fail(value: str) -> None:
    for found in find_in_text(value.encode()):
        assert len(found) % 4 == 0


def test_a_text_of_escapes_only_is_searched_in_reasonable_time() -> None:
    assert texts("\\" * 200_000) == set()
    assert texts("/" * 200_000 + "a") == set()
    assert len(texts("A\n" * 50_000)) <= 2


def test_a_real_seal_is_found() -> None:
    text = seal(OLD, "a value")
    assert text.encode() in texts(json.dumps({"old": {"totp_secret": text}}))
