r"""Finds texts with the form of a seal in any value: the whole value, or a part of a longer text.

A seal in a text is a run of base64 characters with other characters around it. In JSON the run may be escaped (`\/`,
`\u002b`), and escaped several times if JSON is in a string of JSON. In a web form it may have percent signs. Line
breaks may be anywhere in it. Each way to read a text is a *view*, and each view is searched.

What is found here has the form of a seal. Only a key shows whether it is one.
"""

from __future__ import annotations

import re
from binascii import a2b_base64, a2b_hex, b2a_base64
from collections.abc import Iterator, Sequence
from itertools import groupby

from fluxbase_cli.catalogue.plaintext import is_readable
from fluxbase_cli.seal import MIN_TEXT_BYTES, OVERHEAD_BYTES

_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
#: Characters that make several views necessary.
_SPECIAL = b"\\%\r\n"
_has_special = re.compile(rb"[\\%\r\n]").search
_TO_BLANKS = bytes(byte if byte in _BASE64 + _SPECIAL else 0x20 for byte in range(256))
#: The words of a larger text are not listed at once, to save memory.
_LARGE = 64 * 1024
_REGION = re.compile(rb"(?<![A-Za-z0-9+/=\\%%\r\n])[A-Za-z0-9+/=\\%%\r\n]{%d,}" % MIN_TEXT_BYTES)
_BLOCK = re.compile(rb"(?<![A-Za-z0-9+/=\r\n])[A-Za-z0-9+/=\r\n]{%d,}" % MIN_TEXT_BYTES)
#: The shortest seal has 38 characters and two of padding.
_RUN = re.compile(rb"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{%d,}={0,2}" % (MIN_TEXT_BYTES - 2))
_is_hex = re.compile(rb"[0-9A-Fa-f]+").fullmatch
#: A `bytea` that was printed as text, with its backslash escaped any number of times.
_PRINTED_BYTEA = re.compile(rb"\\x([0-9A-Fa-f]{%d,})" % (2 * OVERHEAD_BYTES))

_ESCAPE = re.compile(rb"\\(?:u([0-9A-Fa-f]{4})|(.))", re.DOTALL)
_UNESCAPED = {b"n": b"\n", b"r": b"\r", b"t": b" ", b"b": b" ", b"f": b" "}
_PERCENT = re.compile(rb"%([0-9A-Fa-f]{2})")
_ASCII = 0x80
#: How many times a text may be escaped.
_MOST_ESCAPED = 6

#: The lines of a block with up to this many lines are joined in every way. In a longer block, only these are joined:
#: lines of equal length, any two or three lines, and all lines.
_FEW_LINES = 12
#: Longer runs are not split at their slashes.
_SLASHED_BYTES = 16 * 1024
_MOST_SLASHES = 8


def find_in_text(value: bytes) -> Iterator[bytes]:
    """All parts of a text that have the form of a seal, as base64 without line breaks. Some may come twice.

    Args:
        value: a text in an encoding that contains ASCII.
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
        # The usual case, such as a part of a JSON web token, in as few steps as possible.
        elif not len(word) % 4 and not _is_hex(word):
            yield word


def find_in_bytes(value: bytes, most_raw: int) -> Iterator[bytes]:
    """As `find_in_text`, for bytes that may be a text or, as a whole, a decoded seal.

    Args:
        value: any bytes.
        most_raw: longer values are no decoded seal.
    """
    if OVERHEAD_BYTES <= len(value) <= most_raw:
        yield b2a_base64(value, newline=False)
    yield from find_in_text(value)


def worth_a_look(values: Sequence[bytes]) -> list[int]:
    """The indexes of those texts in which `find_in_text` may find something to try a key on.

    In the usual case, such as a column of JSON web tokens, that takes a tenth of the time of `find_in_text` on each.
    """
    doubtful = {
        number
        for number, value in enumerate(values)
        for word in value.translate(_TO_BLANKS).split(b" ")
        if len(word) >= MIN_TEXT_BYTES and not (word.isalnum() and (len(word) % 4 or _is_harmless(word)))
    }
    return sorted(doubtful)


def _is_harmless(word: bytes) -> bool:
    """Whether a word of letters and digits, of a length divisible by four, is hex or base64 of readable text."""
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
    """The ways to read a region: unchanged, and with the escapes of JSON and of web forms removed."""
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
        # A line break may be the end of a word, or be in the middle of one.
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
    # Encoders break lines like this: all lines have the same length, and the last one is shorter. A line of the same
    # length that is not part of the seal may come before them.
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
    """A run as a seal, and its parts between slashes. Its padding may belong to the text around it."""
    if _is_hex(run):
        # The probability of a seal of hex digits only is one in 10**18.
        return
    body = run.rstrip(b"=")
    yield from _well_formed(body, len(run) - len(body))
    if b"/" not in body or len(body) > _SLASHED_BYTES:
        return
    slashes = [index for index, byte in enumerate(body) if byte == _SLASH]
    starts = [0, *(index + 1 for index in slashes[:_MOST_SLASHES])]
    for start in starts:
        for end in (*slashes[-_MOST_SLASHES:], len(body)):
            if (start, end) != (0, len(body)):
                yield from _well_formed(body[start:end], len(run) - len(body) if end == len(body) else 0)


_SLASH = ord("/")


def _well_formed(body: bytes, padding: int) -> Iterator[bytes]:
    wanted = -len(body) % 4
    # A length of 1 modulo 4 is impossible: the last character would carry six bits, less than a byte.
    if wanted <= min(padding, 2) and len(body) + wanted >= MIN_TEXT_BYTES:
        yield body + b"=" * wanted
