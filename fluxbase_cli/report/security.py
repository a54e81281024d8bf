"""What `security check` prints."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap
from typing import Any

from fluxbase_cli.report.text import table
from fluxbase_cli.security.finding import Finding
from fluxbase_cli.security.run import Report

_WIDTH = 80


def report_data(report: Report) -> dict[str, Any]:
    """The report as one object."""
    return {
        "findings": [_finding(each) for each in report.findings],
        "not_checked": [{"rule": each.rule, "title": each.title, "reason": each.reason} for each in report.not_checked],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "rule": finding.rule,
        "severity": finding.severity.word,
        "title": finding.title,
        "where": str(finding.place),
        "found": finding.found,
        "remedy": finding.remedy,
        "fingerprint": finding.fingerprint,
    }


def report_lines(report: Report) -> Iterator[str]:
    """The report for people. No line is longer than 80 columns, except for a single word or a line to paste."""
    yield from table(
        ("SEVERITY", "RULE", "TITLE"), [(each.severity.word, each.rule, each.title) for each in report.findings]
    )
    for each in report.findings:
        yield ""
        yield from wrap(f"{each.rule} {each.title}", _WIDTH, break_long_words=False, break_on_hyphens=False)
        yield from _indented(f"{each.place}: {each.found}")
        yield from (f"    {line}" for line in each.remedy.splitlines())
    if report.not_checked:
        yield ""
        yield "Not checked:"
        for left in report.not_checked:
            yield from _indented(f"{left.rule} {left.title}: {left.reason}")


def _indented(text: str) -> Iterator[str]:
    yield from wrap(
        text, _WIDTH, initial_indent="  ", subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )
