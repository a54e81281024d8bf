r"""Makes text safe for a terminal. Everything that is printed goes through here.

A name in the database, a reason, or a message of a server may hold a line end that begins a line of its own, or an
escape sequence that the terminal obeys. Such characters are shown as escapes: `\n`, `\x1b`, `\u202e`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

#: Characters without a width that Python counts as printable (Unicode's Default_Ignorable_Code_Point). They make two
#: names look the same.
_INVISIBLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
_ASTRAL = 0x10000


class Lines(str):
    """A text of several lines, whose line ends are our own. Only `lines` makes it."""

    __slots__ = ()


def lines(parts: Iterable[str]) -> Lines:
    """Join lines to one text. Control characters inside each line are escaped.

    A part that is `Lines` itself keeps its line ends.
    """
    return Lines("\n".join(as_printed(part) for part in parts))


def joined(*parts: str) -> Lines:
    """Put texts one after the other. Those that are `Lines` keep their line ends."""
    return Lines("".join(as_printed(part) for part in parts))


def as_printed(text: str) -> str:
    """The form in which a text is printed: `Lines` as they are, any other text as one line (`printable`)."""
    return text if isinstance(text, Lines) else printable(text)


def printable(text: str) -> str:
    r"""Replace each control character by its escape, so that a server's message can't move the cursor.

    `\x1b[2J` becomes the seven characters `\x1b[2J`, a line end becomes `\n`. Letters of all scripts stay. Characters
    that can't be seen, such as those that change the direction of writing, are escaped too.
    """
    if text.isprintable() and (text.isascii() or not _INVISIBLE.search(text)):
        return str(text)
    return "".join(each if _is_seen(each) else _escape(each) for each in text)


def printable_text(text: str) -> str:
    """As `printable`, for a text whose line ends and tabs are kept."""
    return "\n".join("\t".join(printable(part) for part in line.split("\t")) for line in text.split("\n"))


def to_printable_json(data: Any, *, indent: int | None = None) -> str:  # noqa: ANN401  # JSON
    r"""Data as JSON, in which control characters and lone surrogates are written as `\uXXXX`.

    The reader gets the text as it was. Letters of all scripts stay readable.
    """
    import json  # noqa: PLC0415  # start-up time

    text = json.dumps(data, indent=indent, ensure_ascii=False)
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    # Outside strings, JSON has no other character than printable ASCII and the line ends of `indent`.
    return "".join(each if each == "\n" or _is_seen(each) else _json_escape(each) for each in text)


def is_seen(text: str) -> bool:
    """Whether the whole text is printed as it is."""
    return all(_is_seen(each) for each in text)


def _is_seen(character: str) -> bool:
    return character.isprintable() and (character.isascii() or not _INVISIBLE.match(character))


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def _json_escape(character: str) -> str:
    code = ord(character)
    if code < _ASTRAL:
        return f"\\u{code:04x}"
    code -= _ASTRAL
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
