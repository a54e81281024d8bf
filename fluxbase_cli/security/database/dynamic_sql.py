"""Finds SQL that functions in PL/pgSQL put together from text without quoting. It reads their text, so it may err."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from fluxbase_cli.security.database.sql_text import masked

_EXECUTE = re.compile(r"\bEXECUTE\b(?!\s+(?:FUNCTION|PROCEDURE|ON)\b)", re.IGNORECASE)
_GRANT = re.compile(r"\b(?:GRANT|REVOKE|OR|AND|,)\s*$", re.IGNORECASE)
#: What may come after the text of the statement.
_TAIL = re.compile(r"\b(?:USING|INTO|LOOP)\b", re.IGNORECASE)
_QUOTING = re.compile(r"(?:pg_catalog\.)?quote_(?:ident|literal|nullable)\s*\(", re.IGNORECASE)
_FORMAT = re.compile(r"(?:pg_catalog\.)?format\s*\(", re.IGNORECASE)
_SAFE_TYPE = (
    r"(?:regclass|regtype|regproc|regprocedure|oid|int|int2|int4|int8|integer|bigint|smallint|numeric|real|boolean|bool"
    r"|uuid|date|timestamptz|timestamp|interval|double\s+precision)"
)
_SAFE_CAST = re.compile(rf"::\s*{_SAFE_TYPE}(?:\(\d+\))?(?:::\s*\w+)?$", re.IGNORECASE)
_CONSTANT = re.compile(
    r"(?:'.*'|-?\d+(?:\.\d+)?|TG_OP|NULL|now\(\)|current_date)(?:::\s*\w+)?", re.IGNORECASE | re.DOTALL
)
_NAME = re.compile(r"[A-Za-z_]\w*")
_SPECIFIER = re.compile(r"%(?:(\d+)\$)?-?(?:\d+|\*)?([sIL%])")
_DEPTH = 5


@dataclass(frozen=True, slots=True)
class _Source:
    """A function's text.

    Attributes:
        text: as it is.
        code: the same with quoted texts and comments masked.
        parameters: the names of its parameters.
        typed: names of variables and parameters that can't hold SQL, for example numbers.
    """

    text: str
    code: str
    parameters: frozenset[str]
    typed: frozenset[str]


def unquoted_lines(text: str, arguments: str) -> Iterator[int]:
    """The lines, from 1, with an EXECUTE of text that has unquoted parts.

    Args:
        text: the body of the function.
        arguments: its parameters, as PostgreSQL prints them.
    """
    code = masked(text)
    parameters = frozenset(_names(arguments))
    typed = re.findall(rf"\b(\w+)\s+(?:CONSTANT\s+)?{_SAFE_TYPE}\b", f"{code} {arguments}", re.IGNORECASE)
    source = _Source(text, code, parameters, frozenset(each.lower() for each in typed))
    for match in _EXECUTE.finditer(code):
        if _GRANT.search(code[: match.start()]):
            continue
        start = match.end()
        end = _statement_end(code, start)
        if not _is_safe(source, start, end, 0):
            yield code.count("\n", 0, match.start()) + 1


def _names(arguments: str) -> Iterator[str]:
    for each in arguments.split(","):
        words = [word for word in each.split() if word.upper() not in ("IN", "OUT", "INOUT", "VARIADIC")]
        if len(words) > 1:
            yield words[0].strip('"').lower()


def _statement_end(code: str, start: int) -> int:
    end = code.find(";", start)
    end = len(code) if end < 0 else end
    for match in _TAIL.finditer(code, start, end):
        if code.count("(", start, match.start()) == code.count(")", start, match.start()):
            return match.start()
    return end


def _is_safe(source: _Source, start: int, end: int, depth: int) -> bool:
    """Whether an expression is made of constants and quoted parts."""
    start, end = _trimmed(source.code, start, end)
    code = source.code[start:end]
    if code.startswith("(") and _closing(source.code, start, end) == end - 1:
        return _is_safe(source, start + 1, end - 1, depth)
    operands = list(_split(source.code, start, end, "||"))
    if len(operands) > 1:
        return all(_is_safe(source, *each, depth) for each in operands)
    if depth > _DEPTH or not code or _CONSTANT.fullmatch(code) or _SAFE_CAST.search(code) or _QUOTING.match(code):
        return True
    if _FORMAT.match(code):
        return _format_is_safe(source, start, end, depth)
    if _NAME.fullmatch(code):
        return _name_is_safe(source, code.lower(), depth)
    # Another call: it is believed if it quotes something.
    return bool(_QUOTING.search(code) or _FORMAT.search(code))


def _name_is_safe(source: _Source, name: str, depth: int) -> bool:
    """Whether all that is assigned to a variable is safe."""
    if name in source.typed:
        return True
    if name in source.parameters:
        return False
    assignment = re.compile(
        rf"\b{re.escape(name)}\s*(?::=|=(?![>=]))|\b{re.escape(name)}\s+text\s+DEFAULT\b", re.IGNORECASE
    )
    assigned = False
    for match in assignment.finditer(source.code):
        line = source.code[: match.start()].rpartition(";")[2]
        if (
            "=" in match[0]
            and ":=" not in match[0]
            and re.search(r"\b(WHERE|AND|OR|IF|WHEN|SET|ON)\b", line, re.IGNORECASE)
        ):
            # A comparison.
            continue
        assigned = True
        end = source.code.find(";", match.end())
        # What the variable held before is checked where it was assigned.
        if not _assignment_is_safe(source, name, match.end(), len(source.code) if end < 0 else end, depth):
            return False
    # Filled by a query or a loop: from the catalogues, most of the time. As the whole statement it is believed.
    return assigned or depth == 0


def _assignment_is_safe(source: _Source, name: str, start: int, end: int, depth: int) -> bool:
    for first, last in _split(source.code, start, end, "||"):
        first, last = _trimmed(source.code, first, last)  # noqa: PLW2901  # the same part
        if source.code[first:last].lower() != name and not _is_safe(source, first, last, depth + 1):
            return False
    return True


def _format_is_safe(source: _Source, start: int, end: int, depth: int) -> bool:
    opening = source.code.index("(", start)
    arguments = list(_split(source.code, opening + 1, _closing(source.code, opening, end), ","))
    if not arguments or not _is_safe(source, *arguments[0], depth):
        return False
    form = source.text[slice(*arguments[0])]
    position = 0
    for match in _SPECIFIER.finditer(form):
        if match[2] == "%":
            continue
        position = int(match[1]) if match[1] else position + 1
        if match[2] == "s" and position < len(arguments) and not _is_safe(source, *arguments[position], depth + 1):
            return False
    return True


def _trimmed(code: str, start: int, end: int) -> tuple[int, int]:
    while start < end and code[start].isspace():
        start += 1
    while end > start and code[end - 1].isspace():
        end -= 1
    return start, end


def _closing(code: str, start: int, end: int) -> int:
    depth = 0
    for index in range(start, end):
        depth += (code[index] == "(") - (code[index] == ")")
        if depth == 0:
            return index
    return end


def _split(code: str, start: int, end: int, word: str) -> Iterator[tuple[int, int]]:
    """The parts between this word, outside of parentheses."""
    depth, first = 0, start
    for index in range(start, end):
        depth += (code[index] in "([") - (code[index] in ")]")
        if depth == 0 and index >= first and code.startswith(word, index) and index + len(word) <= end:
            yield first, index
            first = index + len(word)
    yield first, end
