"""The security check as one object. docs/operators/scripting.md lists the fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fluxbase_cli.security.finding import Finding
from fluxbase_cli.security.rule import Rule
from fluxbase_cli.security.run import Report


def report_data(report: Report, *, release: str, looked_at: Sequence[str]) -> dict[str, Any]:
    """A report.

    Args:
        report: the report.
        release: the release whose settings count.
        looked_at: what was read.
    """
    return {
        "release": release,
        "looked_at": list(looked_at),
        "checklist": [
            {
                "point": each.point.value,
                "status": each.status.value,
                "findings": each.findings,
                "not_checked": each.not_checked,
                "manual": each.manual,
            }
            for each in report.checklist
        ],
        "findings": [_finding(each) for each in report.findings],
        "not_checked": [{"rule": each.rule, "title": each.title, "reason": each.reason} for each in report.not_checked],
        "accepted": [
            {
                **_finding(each.finding),
                "reason": each.reason,
                "until": None if each.until is None else each.until.isoformat(),
            }
            for each in report.accepted
        ],
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


def rule_data(rule: Rule) -> dict[str, Any]:
    """A rule."""
    return {
        "rule": rule.id,
        "title": rule.title,
        "severity": rule.severity.word,
        "point": rule.point.value,
        "quote": rule.quote,
        "explanation": rule.explanation,
        "remedy": rule.remedy,
        "link": rule.link,
    }
