r"""Finding texts that have the form of a seal inside any value: the value itself, or a part of a longer text.

A seal in a text is a run of base64 characters with other characters around it. In JSON the run may be escaped (`\/`,
`\u002b`), several times over where JSON stands in a string of JSON; in a web form it may have percent signs; and line
breaks may stand anywhere in it. Each way to read a text is a *view*, and each view is searched.

What is found here has the form of a seal. Whether it is one, only a key can tell.
"""

from __future__ import annotations

import re
from binascii import a2b_base64, a2b_hex, b2a_base64
from collections.abc import Iterator, Sequence
from itertools import groupby

from fluxbase_cli.catalogue.plaintext import is_readable
from fluxbase_cli.seal import MIN_TEXT_BYTES, OVERHEAD_BYTES

_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
#: What makes it necessary to read a text in several ways.
_SPECIAL = b"\\%\r\n"
_has_special = re.compile(rb"[\\%\r\n]").search
_TO_BLANKS = bytes(byte if byte in _BASE64 + _SPECIAL else 0x20 for byte in range(256))
#: Beyond this size the words of a text are not listed at once.
_LARGE = 64 * 1024
_REGION = re.compile(rb"(?<![A-Za-z0-9+/=\\%%\r\n])[A-Za-z0-9+/=\\%%\r\n]{%d,}" % MIN_TEXT_BYTES)
_BLOCK = re.compile(rb"(?<![A-Za-z0-9+/=\r\n])[A-Za-z0-9+/=\r\n]{%d,}" % MIN_TEXT_BYTES)
#: 38 characters and two of padding are the shortest seal.
_RUN = re.compile(rb"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{%d,}={0,2}" % (MIN_TEXT_BYTES - 2))
_is_hex = re.compile(rb"[0-9A-Fa-f]+").fullmatch
#: A `bytea` that was printed as text, with its backslash escaped any number of times.
_PRINTED_BYTEA = re.compile(rb"\\x([0-9A-Fa-f]{%d,})" % (2 * OVERHEAD_BYTES))

_ESCAPE = re.compile(rb"\\(?:u([0-9A-Fa-f]{4})|(.))", re.DOTALL)
_UNESCAPED = {b"n": b"\n", b"r": b"\r", b"t": b" ", b"b": b" ", b"f": b" "}
_PERCENT = re.compile(rb"%([0-9A-Fa-f]{2})")
_ASCII = 0x80
#: How many times over a text may be escaped.
_MOST_ESCAPED = 6

#: A block of at most so many lines is joined in every way. Of a longer one only lines of equal length are joined, any
#: two or three lines, and the whole.
_FEW_LINES = 12
#: Longer runs are not cut at their slashes.
_SLASHED_BYTES = 16 * 1024
_MOST_SLASHES = 8


def find_in_text(value: bytes) -> Iterator[bytes]:
    """All parts of a text that have the form of a seal, as base64 without line breaks; some may come twice.

    Args:
        value: a text in an encoding that has ASCII's characters at ASCII's places.
    """
    if len(value) > _LARGE:
        for match in _REGION.finditer(value):
            yield from _in_region(match[0])
        return
    for word in value.translate(_TO_BLANKS).split(b" "):
        if len(word) < MIN_TEXT_BYTES:
            continue
        if not word.isalnum():
            yield from _in_region(word)
        # The usual case, such as a part of a JSON web token, in as few steps as can be.
        elif not len(word) % 4 and not _is_hex(word):
            yield word


def find_in_bytes(value: bytes, most_raw: int) -> Iterator[bytes]:
    """As `find_in_text`, for bytes that may be a text, or a decoded seal as a whole.

    Args:
        value: any bytes.
        most_raw: longer values are no decoded seal.
    """
    if OVERHEAD_BYTES <= len(value) <= most_raw:
        yield b2a_base64(value, newline=False)
    yield from find_in_text(value)


def worth_a_look(values: Sequence[bytes]) -> list[int]:
    """Of many texts, the numbers of those in which `find_in_text` may find what a key can be tried on.

    In the usual case, such as a column of JSON web tokens, that takes a tenth of the time of looking at each.
    """
    doubtful = {
        number
        for number, value in enumerate(values)
        for word in value.translate(_TO_BLANKS).split(b" ")
        if len(word) >= MIN_TEXT_BYTES and not (word.isalnum() and (len(word) % 4 or _is_harmless(word)))
    }
    return sorted(doubtful)


def _is_harmless(word: bytes) -> bool:
    """Whether letters and digits, four or a multiple of them, are hexadecimal, or base64 of readable text."""
    return is_readable(a2b_base64(word[:MIN_TEXT_BYTES])) or _is_hex(word) is not None


def _in_region(region: bytes) -> Iterator[bytes]:
    if not _has_special(region):
        yield from _in_word(region)
        return
    seen: set[bytes] = set()
    for view in _views(region):
        for candidate in _in_view(view):
            if candidate not in seen:
                seen.add(candidate)
                yield candidate


def _views(region: bytes) -> Iterator[bytes]:
    """The ways to read a region: as it is, and with the escapes of JSON and of forms taken away."""
    for _ in range(_MOST_ESCAPED + 1):
        yield region
        if b"%" in region:
            yield _PERCENT.sub(lambda match: a2b_hex(match[1]), region)
        if b"\\" not in region:
            return
        unescaped = _ESCAPE.sub(_unescape, region)
        if unescaped == region:
            return
        region = unescaped


def _unescape(match: re.Match[bytes]) -> bytes:
    code, character = match[1], match[2]
    if code is not None:
        number = int(code, 16)
        return bytes((number,)) if number < _ASCII else b" "
    if character in b'\\/"':
        return character
    return _UNESCAPED.get(character, match[0])


def _in_view(view: bytes) -> Iterator[bytes]:
    for match in _PRINTED_BYTEA.finditer(view):
        digits = match[1]
        yield from find_in_bytes(a2b_hex(digits[: len(digits) & ~1]), len(digits))
    for match in _BLOCK.finditer(view):
        # A line break may end a word, or stand in the midst of one.
        lines = match[0].replace(b"\r", b"\n").split(b"\n")
        if len(lines) == 1:
            yield from _in_word(lines[0])
            continue
        lines = [line for line in lines if line]
        for line in lines:
            yield from _in_word(line)
        for joined in _joined(lines):
            yield from _in_word(joined)


def _joined(lines: list[bytes]) -> Iterator[bytes]:
    number = len(lines)
    if number <= _FEW_LINES:
        for first in range(number - 1):
            for last in range(first + 2, number + 1):
                yield b"".join(lines[first:last])
        return
    yield b"".join(lines)
    for size in (2, 3):
        for first in range(number - size + 1):
            yield b"".join(lines[first : first + size])
    # As encoders break lines: all of one length, and a shorter rest. A word of that length may stand before them.
    first = 0
    for length, group in groupby(lines, key=len):
        last = first + sum(1 for _ in group)
        ends = [last] if last - first > 1 else []
        if last < number and len(lines[last]) < length:
            ends.append(last + 1)
        for end in ends:
            yield b"".join(lines[first:end])
            yield b"".join(lines[first + 1 : end])
        first = last


def _in_word(word: bytes) -> Iterator[bytes]:
    if len(word) < MIN_TEXT_BYTES:
        return
    if b"=" in word.rstrip(b"="):
        for match in _RUN.finditer(word):
            yield from _in_run(match[0])
    else:
        yield from _in_run(word)


def _in_run(run: bytes) -> Iterator[bytes]:
    """A run as a seal, or without what stands before and behind a slash; its padding may belong to the text."""
    if _is_hex(run):
        # The odds that a seal is only hex digits are one in 10**18.
        return
    body = run.rstrip(b"=")
    yield from _well_formed(body, len(run) - len(body))
    if b"/" not in body or len(body) > _SLASHED_BYTES:
        return
    slashes = [place for place, byte in enumerate(body) if byte == _SLASH]
    starts = [0, *(place + 1 for place in slashes[:_MOST_SLASHES])]
    for start in starts:
        for end in (*slashes[-_MOST_SLASHES:], len(body)):
            if (start, end) != (0, len(body)):
                yield from _well_formed(body[start:end], len(run) - len(body) if end == len(body) else 0)


_SLASH = ord("/")


def _well_formed(body: bytes, padding: int) -> Iterator[bytes]:
    wanted = -len(body) % 4
    # One character more carries six bits, which is no byte.
    if wanted <= min(padding, 2) and len(body) + wanted >= MIN_TEXT_BYTES:
        yield body + b"=" * wanted
