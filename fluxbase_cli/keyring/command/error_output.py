"""What a program that prints a key wrote to stderr, as it may be shown: no part of the key, no control characters."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator

from fluxbase_cli.printable import printable
from fluxbase_cli.seal import KEY_BYTES

HIDDEN = "[hidden]"

#: A line that has so many characters of the key in a row is not shown.
_PART = 8
_MOST_LINES = 20
_MOST_CHARACTERS = 500
#: What may be a key or a part of it, if the key is not known: hex, base64, the raw form that this tool makes, or bytes
#: in hex with a space or a colon between them.
_MAY_BE_KEY = re.compile(r"[A-Za-z0-9+/=_-]{24,}|(?:[0-9A-Fa-f]{2}[ :]){8,}[0-9A-Fa-f]{2}")


def shown_lines(written: bytes, printed: bytes, secret: bytes | None) -> tuple[str, ...]:
    """The last lines of what a program wrote to stderr.

    Args:
        written: what it wrote there.
        printed: what it printed to stdout. Nothing of it is shown, because it may be the key.
        secret: the key, 32 bytes; None if the program printed no key. It may have written the key to stderr instead, so
            everything that looks like one is hidden then.
    """
    parts = set(_parts(_forms(printed, secret)))
    lines = written.decode("utf-8", "replace").splitlines()
    return tuple(
        printable(_hidden(line, parts, known=secret is not None)[:_MOST_CHARACTERS])
        for line in lines[-_MOST_LINES:]
        if line.strip()
    )


def _hidden(line: str, parts: set[str], *, known: bool) -> str:
    folded = line.lower()
    if any(folded[start : start + _PART] in parts for start in range(len(folded) - _PART + 1)):
        return HIDDEN
    if known:
        return line
    if _is_32_bytes(line.strip()):
        return HIDDEN
    words = (HIDDEN if _is_32_bytes(word) else word for word in line.split(" "))
    return _MAY_BE_KEY.sub(HIDDEN, " ".join(words))


def _is_32_bytes(text: str) -> bool:
    return len(text.encode("utf-8", "replace")) == KEY_BYTES


def _forms(printed: bytes, secret: bytes | None) -> Iterator[str]:
    """The key in all forms in which a program may write it."""
    for data in (printed, b"" if secret is None else secret):
        yield data.decode("utf-8", "replace")
        yield data.hex()
        yield base64.b64encode(data).decode("ascii")
        yield base64.urlsafe_b64encode(data).decode("ascii")


def _parts(forms: Iterable[str]) -> Iterator[str]:
    for form in forms:
        folded = form.lower()
        for start in range(len(folded) - _PART + 1):
            part = folded[start : start + _PART]
            # A row of blanks or of one character says nothing about the key.
            if len(set(part)) > 1:
                yield part
