"""Splits the text of SQL into code, quoted texts and comments, as PostgreSQL's lexer does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum


class PieceKind(Enum):
    """What a piece of SQL is."""

    CODE = "code"
    LITERAL = "literal"
    ESCAPE_LITERAL = "escape literal"
    DOLLAR_LITERAL = "dollar literal"
    IDENTIFIER = "identifier"
    COMMENT = "comment"


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of SQL.

    Attributes:
        kind: what it is.
        text: its text, with its quotes.
        start: where it begins.
    """

    kind: PieceKind
    text: str
    start: int


# Each alternative takes the rest of the text if its end is missing. Nested comments are rare; the outer one counts.
_QUOTED = re.compile(
    r"""
    (?P<comment>--[^\n]* | /\*.*?(?:\*/|\Z))
    | (?P<escape>\b[eE]'(?:[^'\\]|\\.|'')*(?:'|\Z))
    | (?P<literal>'(?:[^']|'')*(?:'|\Z))
    | (?P<identifier>"(?:[^"]|"")*(?:"|\Z))
    | (?P<dollar>(?<![\w$])\$(?P<tag>[A-Za-z_]\w*)?\$.*?(?:\$(?P=tag)\$|\Z) | (?<![\w$])\$\$.*?(?:\$\$|\Z))
    """,
    re.VERBOSE | re.DOTALL,
)
_KINDS = {
    "comment": PieceKind.COMMENT,
    "escape": PieceKind.ESCAPE_LITERAL,
    "literal": PieceKind.LITERAL,
    "identifier": PieceKind.IDENTIFIER,
    "dollar": PieceKind.DOLLAR_LITERAL,
}


def pieces(text: str) -> Iterator[Piece]:
    """The pieces of a text, in their order."""
    position = 0
    for match in _QUOTED.finditer(text):
        if match.start() > position:
            yield Piece(PieceKind.CODE, text[position : match.start()], position)
        kind = next(_KINDS[name] for name in _KINDS if match[name] is not None)
        yield Piece(kind, match[0], match.start())
        position = match.end()
    if position < len(text):
        yield Piece(PieceKind.CODE, text[position:], position)


def masked(text: str) -> str:
    """The text with blanks for comments and `x` for what stands in quotes, each character at its place."""
    found = []
    for piece in pieces(text):
        if piece.kind is PieceKind.CODE:
            found.append(piece.text)
        elif piece.kind is PieceKind.COMMENT:
            found.append(re.sub(r"[^\n]", " ", piece.text))
        elif piece.kind is PieceKind.IDENTIFIER:
            found.append(re.sub(r"[^\n\"\w]", "x", piece.text))
        else:
            found.append("'" + re.sub(r"[^\n]", "x", piece.text[1:-1]) + "'" if len(piece.text) > 1 else "x")
    return "".join(found)
