"""The geometry of the charts in a report: numbers for SVG, no text of anybody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fluxbase_cli.report.evidence.blocks import LocationsChart, ProgressChart, duration, number

#: The drawing of the progress, in units of SVG. Letters must be readable on a telephone, so the drawing is small.
WIDTH, HEIGHT = 360, 180
_LEFT, _RIGHT, _TOP, _BOTTOM = 8, 352, 22, 154
_DECIMALS = 1
_WHOLE = 100.0


@dataclass(frozen=True, slots=True)
class Curve:
    """The progress of a job as a curve.

    Attributes:
        line: the points of the line, as SVG wants them.
        area: the same, closed at the bottom.
        most: the label of the highest value.
        end: the label of the last moment.
    """

    line: str
    area: str
    most: str
    end: str


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a bar, from 0 to 100.

    Attributes:
        part: its place in the legend.
        start, width: where it is.
    """

    part: int
    start: float
    width: float


@dataclass(frozen=True, slots=True)
class DrawnBar:
    """A bar: what it says, and its pieces."""

    label: str
    pieces: Sequence[Piece]


@dataclass(frozen=True, slots=True)
class DrawnLocation:
    """A location with its two bars."""

    name: str
    bars: Sequence[DrawnBar]


def draw_curve(chart: ProgressChart) -> Curve:
    """The curve of a job's progress."""
    seconds = max(chart.points[-1][0], 1e-9)
    most = max(*(done for _, done in chart.points), 1)
    places = [
        (
            round(_LEFT + (_RIGHT - _LEFT) * at / seconds, _DECIMALS),
            round(_BOTTOM - (_BOTTOM - _TOP) * done / most, _DECIMALS),
        )
        for at, done in chart.points
    ]
    line = " ".join(f"{x},{y}" for x, y in places)
    area = f"{places[0][0]},{_BOTTOM} {line} {places[-1][0]},{_BOTTOM}"
    return Curve(line, area, f"{number(most)} values", duration(chart.points[-1][0]))


def draw_locations(chart: LocationsChart) -> Sequence[DrawnLocation]:
    """The bars of all locations."""
    return [
        DrawnLocation(bar.name, [_draw("before", bar.before, chart.legend), _draw("after", bar.after, chart.legend)])
        for bar in chart.bars
    ]


def _draw(when: str, parts: Sequence[int], legend: Sequence[str]) -> DrawnBar:
    total = sum(parts)
    pieces, start = [], 0.0
    for place, part in enumerate(parts):
        if part:
            width = _WHOLE * part / total
            pieces.append(Piece(place, round(start, 3), round(width, 3)))
            start += width
    said = ", ".join(f"{number(part)} {name}" for part, name in zip(parts, legend, strict=True) if part)
    return DrawnBar(f"{when}: {said or 'nothing'}", pieces)
