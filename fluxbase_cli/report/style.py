"""The colours of a live view."""

from __future__ import annotations

import re
from collections.abc import Sequence

_CODE = re.compile(r"\x1b\[[0-9;]*m")
_BOLD, _DIM, _GREEN, _PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[32m", "\x1b[0m"
_BAR = re.compile("(━+)")


def styled(lines: Sequence[str], *, color: bool) -> list[str]:
    """A view with colours: its first line is important, its headings are not.

    Args:
        lines: the view.
        color: whether colour may be used.
    """
    if not color:
        return list(lines)
    return [
        f"{_BOLD}{line}{_PLAIN}"
        if number == 0
        else f"{_DIM}{line}{_PLAIN}"
        if line.startswith("LOCATION")
        else _BAR.sub(rf"{_GREEN}\1{_PLAIN}", line)
        for number, line in enumerate(lines)
    ]


def width_of(line: str) -> int:
    """How many columns a line takes."""
    return len(_CODE.sub("", line))
