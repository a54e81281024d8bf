"""Makes text from outside safe for a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""Replace each control character by its escape, so that a server's message can't move the cursor.

    `\x1b[2J` becomes the seven characters `\x1b[2J`, a line end becomes `\n`. Letters of all scripts stay.
    """
    return "".join(each if each.isprintable() else _escape(each) for each in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
