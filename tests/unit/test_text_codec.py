"""Are texts stored in the database's encoding, and in an escaped form where it has no such character?"""

from __future__ import annotations

import json

import pytest

from fluxbase_cli.store.encoding import UTF8, Name, TextCodec

LATIN1 = TextCodec("latin-1", any_bytes=True)
NONE = TextCodec("utf-8", any_bytes=True)


@pytest.mark.parametrize(
    ("codec", "text", "stored"),
    [
        (UTF8, "für 鍵 😀", "für 鍵 😀".encode()),
        (LATIN1, "für 鍵 😀", b"f\xfcr \\u9375 \\U0001f600"),
        (TextCodec("koi8-r", any_bytes=True), "ключ é", "ключ ".encode("koi8-r") + b"\\xe9"),
        (TextCodec("ascii", any_bytes=True), "é€", b"\\xe9\\u20ac"),
        # Bytes that are no text go back to a database that can hold them, and only to that.
        (NONE, "a\udce9", b"a\xe9"),
        (UTF8, "a\udce9", b"a\\udce9"),
        (LATIN1, "\ud800", b"\\ud800"),
    ],
)
def test_a_text_is_stored_in_the_encoding_of_the_database(codec: TextCodec, text: str, stored: bytes) -> None:
    assert codec.encode(text) == stored


def test_bytes_that_are_no_text_come_back_as_they_were() -> None:
    assert NONE.encode(NONE.decode(bytes(range(1, 256)))) == bytes(range(1, 256))


def test_a_document_holds_the_escaped_form_as_text() -> None:
    stored = LATIN1.encode_json({"é": "€"})
    assert stored == b'{"\xe9": "\\\\u20ac"}'
    assert json.loads(LATIN1.decode(stored)) == {"é": "\\u20ac"}
    assert NONE.encode_json(["\udce9"]) == b'["\xe9"]'


def test_a_name_is_quoted_for_a_statement_with_parameters() -> None:
    assert Name(LATIN1, "a", '100% "é"').as_bytes() == b'"a"."100%% ""\xe9"""'
