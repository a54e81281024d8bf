"""Text from outside, made safe for a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""The text with each control character as its escape: a server's message must not move the cursor.

    `\x1b[2J` becomes the seven characters `\x1b[2J`, a line end `\n`. Letters of all scripts stay.
    """
    return "".join(each if each.isprintable() else _escape(each) for each in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
