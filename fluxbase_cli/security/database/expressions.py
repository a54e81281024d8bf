"""Reads the expressions of policies, as PostgreSQL prints them: with parentheses around each AND and OR."""

from __future__ import annotations

import re
from functools import lru_cache

#: A constant: a number or a text, with or without a type.
_CONSTANT = r"(?:-?\d+(?:\.\d+)?|'(?:[^']|'')*')(?:::[\w .\"]+)?"
#: Also a column is equal to itself, if it is not null.
_SAME = re.compile(rf"({_CONSTANT}|[\w.]+) (?:=|IS NOT DISTINCT FROM) \1")
_TRUE = re.compile(r"true|'(?:t|true|on|yes|y|1)'::boolean", re.IGNORECASE)
_FALSE = re.compile(r"false|'(?:f|false|off|no|n|0)'::boolean", re.IGNORECASE)
_ROLE = r"auth\.(?:role|current_user_role)\(\)"
_USER = r"auth\.(?:uid|current_user_id)\(\)"
#: What holds for everybody who signed in.
_SIGNED_IN = re.compile(
    rf"(?:{_ROLE}|\( ?SELECT {_ROLE} AS \w+ ?\)) = 'authenticated'::text"
    rf"|(?:{_USER}|\( ?SELECT {_USER} AS \w+ ?\)) IS NOT NULL",
    re.IGNORECASE,
)


#: What is needed anywhere in an expression that is always true; a quick test before it is taken apart.
_CANDIDATE = re.compile(
    rf"{_TRUE.pattern}|{_FALSE.pattern}|'authenticated'::text|IS NOT NULL"
    rf"|(?<![\w.'])({_CONSTANT}|[\w.]+) (?:=|IS NOT DISTINCT FROM) \1",
    re.IGNORECASE,
)
_TOKEN = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|[()]| OR | AND ")


@lru_cache(maxsize=4096)
def always_true(expression: str | None, *, signed_in: bool = False) -> bool:
    """Whether an expression lets every row through.

    Args:
        expression: the expression; None is not true.
        signed_in: whether it is asked for a user who signed in.
    """
    if expression is None or not _CANDIDATE.search(expression):
        return False
    text = _strip(expression)
    for word, combine in ((" OR ", any), (" AND ", all)):
        parts = _split(text, word)
        if len(parts) > 1:
            return combine(always_true(each, signed_in=signed_in) for each in parts)
    if text.upper().startswith("NOT "):
        return _FALSE.fullmatch(_strip(text[4:])) is not None
    if _TRUE.fullmatch(text) or _SAME.fullmatch(text):
        return True
    return signed_in and _SIGNED_IN.fullmatch(text) is not None


def _strip(text: str) -> str:
    """Without blanks and parentheses around it."""
    text = text.strip()
    while text.startswith("(") and _closing(text) == len(text) - 1:
        text = text[1:-1].strip()
    return text


def _closing(text: str) -> int:
    """The index of the parenthesis that closes the first one."""
    depth = 0
    for token in _TOKEN.finditer(text):
        depth += (token[0] == "(") - (token[0] == ")")
        if depth == 0:
            return token.start()
    return -1


def _split(text: str, word: str) -> list[str]:
    """The parts between this word, outside of quotes and parentheses."""
    parts, depth, start = [], 0, 0
    for token in _TOKEN.finditer(text):
        depth += (token[0] == "(") - (token[0] == ")")
        if depth == 0 and token[0] == word:
            parts.append(text[start : token.start()])
            start = token.end()
    return [*parts, text[start:]]
