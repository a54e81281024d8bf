"""The live view of a command that works through the locations: the total, headings, and one line for each location."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fluxbase_cli.printable import printable
from fluxbase_cli.report.progress_state import LocationState, ProgressState

_GAP = 2
#: A column of figures is so wide at least, so that the view does not change its form while they grow.
_LEAST_FIGURE = 9
#: A bar has at least, and at most, so many columns.
_LEAST_BAR, _MOST_BAR = 8, 40
_FULL, _EMPTY = "━", "╌"
_ELLIPSIS = "…"


@dataclass(frozen=True, slots=True)
class ViewRow:
    """A location in a view.

    Attributes:
        name: the location.
        percent: how much of it is done.
        cells: its figures, in the order of their headings.
    """

    name: str
    percent: int
    cells: tuple[str, ...]


def live_lines(state: ProgressState, columns: int, height: int) -> list[str]:
    """The view.

    Args:
        state: how far the command is.
        columns: how many columns there are.
        height: how many lines there are.
    """
    if not state.locations:
        return []
    rows = [
        ViewRow(name, location.percent, (f"{location.values:,}", _rate(state, location)))
        for name, location in sorted(state.locations.items(), key=lambda each: _place(each[1]))
    ]
    total = ", ".join([f"{state.percent}% done", f"{state.values:,} secrets", *state.pace()])
    return [cut(total, columns), *view_table(rows, ("SECRETS", "RATE"), columns, height - 1)]


def _place(location: LocationState) -> int:
    """Where a location stands: those in progress, then those that will come, then those that are done."""
    if location.ended:
        return 2
    return 0 if location.done else 1


def _rate(state: ProgressState, location: LocationState) -> str:
    rate = state.rate_of(location)
    return "" if rate is None else f"{rate:,.0f}/s"


def view_table(
    rows: Sequence[ViewRow],
    headings: Sequence[str],
    columns: int,
    height: int,
    more: Callable[[Sequence[ViewRow]], str] | None = None,
) -> list[str]:
    """A table of locations that is never wider or higher than the view. The first locations are the important ones.

    On a narrow terminal the bars are left out, then the last figures, and at last a name is cut.

    Args:
        rows: the locations.
        headings: the names of their figures.
        columns: how many columns there are.
        height: how many lines there are.
        more: what is said of the locations that have no line.
    """
    room = height - 1
    left = rows[max(room - 1, 0) :] if len(rows) > room else []
    shown = rows[: len(rows) - len(left)]
    names = [printable(row.name) for row in shown]
    name_width = max([len("LOCATION"), *map(len, names)])
    widths = [
        max(len(heading), _LEAST_FIGURE, *(len(row.cells[index]) for row in rows))
        for index, heading in enumerate(headings)
    ]
    figures = len(headings)
    while figures and name_width + _GAP + len("DONE") + sum(_GAP + width for width in widths[:figures]) > columns:
        figures -= 1
    used = _GAP + len("DONE") + sum(_GAP + width for width in widths[:figures])
    name_width = max(1, min(name_width, columns - used))
    bar = columns - name_width - used - _GAP
    bar = min(bar, _MOST_BAR) if bar >= _LEAST_BAR else 0
    lines = [_line("LOCATION", "DONE", "", headings[:figures], (name_width, bar, widths))]
    for row, name in zip(shown, names, strict=True):
        filled = bar * row.percent // 100
        drawn = _FULL * filled + _EMPTY * (bar - filled)
        lines.append(_line(name, f"{row.percent}%", drawn, row.cells[:figures], (name_width, bar, widths)))
    if left:
        lines.append(cut((more or _more)(left), columns))
    return [line.rstrip() for line in lines][: max(height, 0)]


def _more(left: Sequence[ViewRow]) -> str:
    done = sum(row.percent == 100 for row in left)  # noqa: PLR2004  # percent
    return f"… and {len(left)} more {'location' if len(left) == 1 else 'locations'}, {done} of them done"


def _line(name: str, done: str, bar: str, cells: Sequence[str], sizes: tuple[int, int, Sequence[int]]) -> str:
    name_width, bar_width, widths = sizes
    parts = [cut(name, name_width).ljust(name_width), done.rjust(len("DONE"))]
    if bar_width:
        parts.append(bar.ljust(bar_width))
    parts += [cell.rjust(width) for cell, width in zip(cells, widths, strict=False)]
    return (" " * _GAP).join(parts)


def cut(text: str, columns: int) -> str:
    """A text of one line, cut where a view is narrower. The cut is marked."""
    return text if len(text) <= columns else text[: max(columns - 1, 0)] + _ELLIPSIS
