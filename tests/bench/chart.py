"""The ratios as a chart: a bar for the median, a whisker for the spread, and a line at 1. An SVG is written as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

from tests.bench.contest import Results

_WIDTH, _LABELS, _ROW, _TOP = 760, 210, 28, 44
_STYLE = (
    "text{font:13px sans-serif;fill:#333}.t{font-size:15px;font-weight:bold}"
    ".b{fill:#4c78a8}.w{stroke:#222;stroke-width:2}.o{stroke:#b33;stroke-dasharray:4 3}"
)


def draw(contests: Sequence[Results]) -> str:
    """An SVG document with the ratios of each contest."""
    most = max(1.2, *(max(each.values) for results in contests for each in results.ratios)) * 1.08
    scale = (_WIDTH - _LABELS - 70) / most
    height = sum(_height(results) for results in contests) + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" role="img">',
        f"<style>{_STYLE}</style>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
    ]
    top = 0
    for results in contests:
        parts += _contest(results, top, scale)
        top += _height(results)
    parts += [f'<text x="{_LABELS + scale - 60:.1f}" y="{top + 20}">1 = as fast as PostgreSQL</text>', "</svg>"]
    return "\n".join(parts) + "\n"


def _height(results: Results) -> int:
    return _TOP + _ROW * len(results.ratios)


def _contest(results: Results, top: int, scale: float) -> Iterator[str]:
    contest, one = results.contest, _LABELS + scale
    title = f"{contest.title}; {contest.concurrency} workers, {contest.rounds} rounds"
    yield f'<text class="t" x="12" y="{top + 30}">{escape(title)}</text>'
    for number, each in enumerate(results.ratios):
        y = top + _TOP + _ROW * number
        low, middle, high = (_LABELS + scale * value for value in (min(each.values), each.median, max(each.values)))
        yield f'<text x="12" y="{y + 15}">{escape(each.name)}</text>'
        yield f'<rect class="b" x="{_LABELS}" y="{y}" width="{middle - _LABELS:.1f}" height="20"/>'
        yield f'<line class="w" x1="{low:.1f}" x2="{high:.1f}" y1="{y + 10}" y2="{y + 10}"/>'
        yield f'<text x="{max(high, middle) + 8:.1f}" y="{y + 15}">{each.median:.2f}</text>'
    bottom = top + _height(results)
    yield f'<line class="o" x1="{one:.1f}" x2="{one:.1f}" y1="{top + _TOP - 6}" y2="{bottom}"/>'
