"""The ratios as a chart: a bar for the median, a whisker for the spread, and a line at 1. An SVG is written as text."""

from __future__ import annotations

from xml.sax.saxutils import escape

from tests.bench.contest import Results

_WIDTH, _LABELS, _ROW, _TOP = 760, 210, 44, 56
_STYLE = (
    "text{font:13px sans-serif;fill:#333}.t{font-size:15px;font-weight:bold}"
    ".b{fill:#4c78a8}.w{stroke:#222;stroke-width:2}.o{stroke:#b33;stroke-dasharray:4 3}"
)


def draw(results: Results) -> str:
    """An SVG document."""
    contest, ratios = results.contest, results.ratios
    most = max(1.2, *(max(each.values) for each in ratios)) * 1.08
    scale = (_WIDTH - _LABELS - 70) / most
    height = _TOP + _ROW * len(ratios) + 40
    one = _LABELS + scale
    title = f"{contest.rows:,} rows of {contest.value_bytes:,} bytes, {contest.concurrency} workers, "
    title += f"median and spread of {contest.rounds} rounds"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" role="img">',
        f"<style>{_STYLE}</style>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
        f'<text class="t" x="12" y="26">{escape(title)}</text>',
    ]
    for number, each in enumerate(ratios):
        y = _TOP + _ROW * number
        low, middle, high = (_LABELS + scale * value for value in (min(each.values), each.median, max(each.values)))
        parts += [
            f'<text x="12" y="{y + 18}">{escape(each.name)}</text>',
            f'<rect class="b" x="{_LABELS}" y="{y}" width="{middle - _LABELS:.1f}" height="26"/>',
            f'<line class="w" x1="{low:.1f}" x2="{high:.1f}" y1="{y + 13}" y2="{y + 13}"/>',
            f'<text x="{max(high, middle) + 8:.1f}" y="{y + 18}">{each.median:.2f}</text>',
        ]
    bottom = _TOP + _ROW * len(ratios)
    parts += [
        f'<line class="o" x1="{one:.1f}" x2="{one:.1f}" y1="{_TOP - 8}" y2="{bottom}"/>',
        f'<text x="{one - 60:.1f}" y="{bottom + 20}">1 = as fast as PostgreSQL</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"
