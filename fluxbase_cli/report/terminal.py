"""What a terminal can show: how large it is, whether views can be drawn on it, and lines that are not cut in a word."""

from __future__ import annotations

import os
import re
from typing import TextIO

from fluxbase_cli.color import may_redraw
from fluxbase_cli.printable import Lines, as_printed, lines
from fluxbase_cli.report.table import paragraph

_COLUMNS, _LINES = 80, 24
#: Narrower than this, a terminal breaks lines anyway.
_LEAST_COLUMNS = 40
_DEEPER = "  "
#: A line of a text of several lines that begins so is something to paste, such as YAML or SQL.
_PASTED = "    "


def draws_views(stream: TextIO) -> bool:
    """Whether a stream is a terminal on which the cursor can be moved. One with `TERM=dumb` is not."""
    return stream.isatty() and os.environ.get("TERM", "") not in {"", "unknown"} and may_redraw(os.environ)


def size_of(stream: TextIO) -> tuple[int, int]:
    """The columns and lines of a terminal; 80 and 24 if they are not known."""
    try:
        columns, rows = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        columns, rows = 0, 0
    return columns or _COLUMNS, rows or _LINES


def as_shown(text: str, stream: TextIO) -> Lines:
    """The form in which a text is printed on a stream (`as_printed`). On a terminal, long lines continue on the next.

    Elsewhere a line stays one line, so that `grep` finds it. What an operator pastes is not broken either.

    Args:
        text: the text.
        stream: where it is printed.
    """
    printed = as_printed(text).split("\n")
    if not stream.isatty():
        return lines(printed)
    columns = max(size_of(stream)[0], _LEAST_COLUMNS)
    pasted = _PASTED if len(printed) > 1 else None
    return lines(
        part for line in printed for part in ([line] if pasted and line.startswith(pasted) else _fitted(line, columns))
    )


def _fitted(line: str, columns: int) -> list[str]:
    if len(line) <= columns:
        return [line]
    mark = re.match(r" *(?:[✓✗!-] )?", line)
    indent = "" if mark is None else mark[0]
    hanging = " " * len(indent) if indent.strip() else f"{indent}{_DEEPER}"
    return list(paragraph(line[len(indent) :], indent, hanging, columns))
