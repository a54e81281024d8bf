"""Reads values as the server's libraries do."""

from __future__ import annotations

import math
import re
from collections import Counter
from datetime import timedelta

#: What Go's strconv.ParseBool takes.
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False", ""})
_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_MOST_SECONDS = 2**63 / 1e9


def go_bool(text: str) -> bool | None:
    """A boolean as the server reads it. None if it can't."""
    return True if text in _TRUE else False if text in _FALSE else None


def go_duration(text: str) -> timedelta | None:
    """A duration as Go's time.ParseDuration reads it: `15m`, `1h30m`, `0`. None if it can't."""
    body = text.lstrip("+-") if text[:1] in ("+", "-") else text
    if len(text) - len(body) > 1 or not body:
        return None
    sign = -1 if text[0] == "-" else 1
    if body == "0":
        return timedelta(0)
    seconds, end = 0.0, 0
    while end < len(body):
        part = _PART.match(body, end)
        if part is None:
            return None
        seconds += float(part[1]) * _SECONDS[part[2]]
        end = part.end()
    return timedelta(seconds=sign * seconds) if seconds < _MOST_SECONDS else None


def go_integer(text: str) -> int | None:
    """A whole number as the server reads it: decimal, or with 0x, 0o, 0b or a leading 0. None if it can't."""
    try:
        octal = re.fullmatch(r"([+-]?)0([0-7]+)", text)
        return int(f"{octal[1]}0o{octal[2]}", 8) if octal else int(text, 0) if text.isascii() else None
    except ValueError:
        return None


def entropy_per_character(text: str) -> float:
    """The Shannon entropy of a text in bits for each character, as the server computes it (`calculateEntropy`).

    The server divides by the number of bytes.
    """
    if not text:
        return 0.0
    length = len(text.encode("utf-8", "surrogatepass"))
    return -sum(number / length * math.log2(number / length) for number in Counter(text).values())
