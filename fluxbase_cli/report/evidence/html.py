"""Writes a report as one HTML file: no script, nothing from elsewhere, for screens and paper, light and dark.

Jinja escapes every text. Before that, control characters and invisible characters are written as escapes.
"""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined

from fluxbase_cli.evidence.collect import title
from fluxbase_cli.printable import Lines, printable
from fluxbase_cli.report.evidence import charts
from fluxbase_cli.report.evidence.blocks import Block, Code, Text
from fluxbase_cli.report.evidence.sections import report_sections

_TEMPLATE = "report.html"
_NOT_IN_ANCHORS = re.compile(r"[^a-z0-9]+")


def to_html(report: dict[str, Any]) -> Lines:
    """A report as one HTML document."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(shown=_shown, is_code=lambda text: isinstance(text, Code), kind=_kind, anchor=_anchor)
    template = environment.from_string(files(__package__).joinpath(_TEMPLATE).read_text(encoding="utf-8"))
    text = template.render(
        title=title(report),
        sections=report_sections(report),
        draw_curve=charts.draw_curve,
        draw_locations=charts.draw_locations,
        width=charts.WIDTH,
        height=charts.HEIGHT,
    )
    return Lines(text.rstrip("\n"))


def _shown(text: Text) -> str:
    return printable(text.text if isinstance(text, Code) else text)


def _kind(block: Block) -> str:
    return type(block).__name__


def _anchor(text: str) -> str:
    return _NOT_IN_ANCHORS.sub("-", text.lower()).strip("-")
