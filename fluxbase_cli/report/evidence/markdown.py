"""Writes a report as Markdown (GitHub's: with tables)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from fluxbase_cli.evidence.collect import title
from fluxbase_cli.printable import Lines, printable
from fluxbase_cli.report.evidence.blocks import (
    Block,
    Code,
    Facts,
    LocationsChart,
    ProgressChart,
    Sentence,
    Table,
    Text,
)
from fluxbase_cli.report.evidence.sections import report_sections

#: What means something in Markdown in the middle of a line. `://`, `www.` and `@` make links of addresses.
_MARKS = re.compile(r"([\\`*_\[\]<>#!|~&@$]|:(?=//)|(?<=www)\.)")
_PLAIN = re.compile(r"[^`|\\]+")


def to_markdown(report: dict[str, Any]) -> Lines:
    """A report as one Markdown document."""
    return Lines("\n".join(_lines(report)))


def _lines(report: dict[str, Any]) -> Iterator[str]:
    yield f"# {_escaped(f'fluxbase-cli report. {title(report)}')}"
    for section in report_sections(report):
        yield ""
        yield f"## {_escaped(section.title)}"
        for block in section.blocks:
            yield ""
            yield from _block(block)


def _block(block: Block) -> Iterator[str]:
    match block:
        case Sentence(text):
            yield _escaped(text)
        case Facts(rows):
            yield from (f"- **{_escaped(name)}**: {_cell(value)}" for name, value in rows)
        case Table(caption, header, rows, numbers):
            yield f"{_escaped(caption)}:"
            yield ""
            yield _row(map(_escaped, header))
            yield _row("---:" if place in numbers else "---" for place in range(len(header)))
            yield from (_row(map(_cell, each)) for each in rows)
        case ProgressChart() | LocationsChart():
            # The tables beside the charts have the same figures.
            yield _escaped(block.description)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value: Text) -> str:
    if isinstance(value, Code):
        shown = printable(value.text)
        return f"`{shown}`" if _PLAIN.fullmatch(shown) and shown.strip() == shown else _escaped(value.text)
    return _escaped(value)


def _escaped(text: str) -> str:
    """A text that Markdown shows as it is, on one line."""
    return _MARKS.sub(r"\\\1", printable(text))
