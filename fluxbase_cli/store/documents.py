"""Finds and replaces strings in the text of a JSON document, so that nothing else in it changes.

The text is that of a `jsonb`, as PostgreSQL prints it: `"key": value`, and in strings only quotes, backslashes and
control characters are escaped (`escape_json` in PostgreSQL's src/backend/utils/adt/json.c). To read that text gives the
same document again, numbers like `1.10` included (docs/developers/format.md, "Where sealed values are").
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from fluxbase_cli.seal import MIN_TEXT_BYTES

#: A string of the characters of a stored value, which may have line breaks, that is no key. A quote after a backslash
#: is part of a string. All encodings of PostgreSQL's databases keep these characters as they are in ASCII.
_STRING = re.compile(rb'(?<!\\)"((?:[A-Za-z0-9+/=]|\\[rn]){%d,})"(?!:)' % MIN_TEXT_BYTES)


@dataclass(frozen=True, slots=True)
class Leaf:
    """A string of a document that may be a stored value. Its `repr` hides the string.

    Attributes:
        start, end: where it is in the document's text, without its quotes.
        text: the string.
    """

    start: int
    end: int
    text: bytes = field(repr=False)


def leaves(document: bytes) -> Iterator[Leaf]:
    """The strings of a document that may be stored values, in order."""
    for match in _STRING.finditer(document):
        text = match[1]
        if b"\\" in text:
            text = text.replace(b"\\r", b"\r").replace(b"\\n", b"\n")
        yield Leaf(match.start(1), match.end(1), text)


def replaced(document: bytes, changes: Iterable[tuple[Leaf, bytes]]) -> bytes:
    """The document with other texts.

    Args:
        document: a document's text.
        changes: leaves of it in order, each with its new text, which needs no escapes.
    """
    parts, at = [], 0
    for leaf, text in changes:
        parts += [document[at : leaf.start], text]
        at = leaf.end
    return b"".join([*parts, document[at:]])
