"""Finds the placeholders of RPC procedures, `$name`, that do not stand where a value stands."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fluxbase_cli.security.database.sql_text import PieceKind, pieces

#: As the server finds them: also in quotes.
_PLACEHOLDER = re.compile(r"\$([A-Za-z_]\w*)")
#: After these words comes the name of a table or a column, and not a value.
_BEFORE_A_NAME = re.compile(r"\b(?:FROM|JOIN|INTO|UPDATE|TABLE|ORDER\s+BY|GROUP\s+BY)\s*$", re.IGNORECASE)
_QUOTED = {
    PieceKind.LITERAL: "inside quotes",
    PieceKind.ESCAPE_LITERAL: "inside quotes",
    PieceKind.IDENTIFIER: "in the place of a name",
}
CALLER = ("caller_id", "caller_role", "caller_email")


def misplaced(text: str) -> Iterator[tuple[str, str]]:
    """Each placeholder that is not in the place of a value, with where it is."""
    told = set()
    for piece in pieces(text):
        for match in _PLACEHOLDER.finditer(piece.text):
            place = _QUOTED.get(piece.kind)
            if piece.kind is PieceKind.CODE and _BEFORE_A_NAME.search(piece.text[: match.start()]):
                place = "in the place of a name"
            if place is not None and match[1] not in told:
                told.add(match[1])
                yield match[1], place


def caller_placeholders(text: str) -> tuple[str, ...]:
    """The placeholders for who calls, each once."""
    found = {
        match[1]
        for piece in pieces(text)
        if piece.kind is not PieceKind.COMMENT
        for match in _PLACEHOLDER.finditer(piece.text)
    }
    return tuple(each for each in CALLER if each in found)
