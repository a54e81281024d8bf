"""Runs rules over facts, takes out what is accepted, and says how each point of the checklist stands."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from fluxbase_cli.security.exceptions import Accepted, RuleException, accept, faulty
from fluxbase_cli.security.facts import Facts
from fluxbase_cli.security.finding import Finding, NotChecked, NotCheckedError, Severity, Unchecked
from fluxbase_cli.security.rule import Point, Rule

#: The rules on exceptions are checked after all others.
_AFTER = ("FB-CHK-001", "FB-CHK-002")
#: No program can say whether somebody does this.
_MANUAL = {
    Point.AUDITS: "whether somebody looks at these reports regularly",
    Point.LOGS: "whether somebody reads the logs",
}


class PointStatus(StrEnum):
    """How a point of the checklist stands."""

    FINDINGS = "findings"
    NOT_CHECKED = "not checked"
    MANUAL = "manual"
    PASS = "pass"  # noqa: S105  # no password


@dataclass(frozen=True, slots=True)
class PointResult:
    """How one point of the checklist stands.

    Attributes:
        point: the point.
        status: `findings` if there is one above info, otherwise `not checked` if a rule could not be checked, otherwise
            `manual` if only a person can check the rest, otherwise `pass`.
        findings: the number of its findings above info.
        not_checked: the number of its rules that could not be checked, or only in part.
        manual: what only a person can check; None if there is nothing.
    """

    point: Point
    status: PointStatus
    findings: int
    not_checked: int
    manual: str | None


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a security check.

    Attributes:
        rules: the rules that were run.
        findings: what counts: the worst first, then by rule and place.
        accepted: findings that do not count, by an exception or a baseline.
        not_checked: what could not be checked.
        checklist: the ten points of the documentation.
    """

    rules: tuple[Rule, ...]
    findings: tuple[Finding, ...]
    accepted: tuple[Accepted, ...]
    not_checked: tuple[NotChecked, ...]
    checklist: tuple[PointResult, ...]

    def at_least(self, severity: Severity) -> tuple[Finding, ...]:
        """The findings of this severity or a higher one."""
        return tuple(each for each in self.findings if each.severity >= severity)

    @property
    def checked(self) -> int:
        """The number of rules of which nothing was left out."""
        return len(self.rules) - len({each.rule for each in self.not_checked})


def run_rules(
    facts: Facts,
    rules: Iterable[Rule],
    exceptions: tuple[RuleException, ...] = (),
    baseline: frozenset[str] = frozenset(),
) -> Report:
    """Check all rules.

    Args:
        facts: what they read.
        rules: the rules.
        exceptions: findings that the operator accepts.
        baseline: the fingerprints of findings that are known.
    """
    run = tuple(rules)
    findings, not_checked = _run(facts, [each for each in run if each.id not in _AFTER])
    left, accepted, used = accept(findings, exceptions, baseline, facts.today)
    # A rule that was not run, or not as a whole, may have had the finding.
    seen = {each.id for each in run} - {each.rule for each in not_checked}
    bad = tuple(faulty(exceptions, facts.today))
    unmatched = tuple(each for each in exceptions if each not in used and each.rule in seen)
    after = replace(facts, faulty_exceptions=bad, unmatched_exceptions=unmatched)
    more, _ = _run(after, [each for each in run if each.id in _AFTER])
    left_after, accepted_after, _ = accept(more, (), baseline, facts.today)
    ordered = sorted((*left, *left_after), key=_order)
    return Report(
        run,
        tuple(ordered),
        (*accepted, *accepted_after),
        tuple(not_checked),
        tuple(_point(each, run, ordered, not_checked) for each in Point),
    )


def _run(facts: Facts, rules: Iterable[Rule]) -> tuple[list[Finding], list[NotChecked]]:
    findings: list[Finding] = []
    not_checked: list[NotChecked] = []
    for rule in rules:
        try:
            for each in rule.check(facts):
                if isinstance(each, Unchecked):
                    not_checked.append(NotChecked(rule.id, rule.title, each.reason))
                    continue
                severity = rule.severity if each.severity is None else each.severity
                remedy = rule.remedy if each.remedy is None else each.remedy
                findings.append(Finding(rule.id, severity, rule.title, each.place, each.text, remedy))
        except NotCheckedError as error:
            not_checked.append(NotChecked(rule.id, rule.title, error.reason))
    findings.sort(key=_order)
    return findings, not_checked


def _order(finding: Finding) -> tuple[int, str, str, str, str]:
    return -finding.severity, finding.rule, finding.place.kind, finding.place.name, finding.found


def _point(
    point: Point, rules: Iterable[Rule], findings: Iterable[Finding], not_checked: Iterable[NotChecked]
) -> PointResult:
    own = {each.id for each in rules if each.point is point}
    number = sum(each.rule in own and each.severity > Severity.INFO for each in findings)
    left_out = len({each.rule for each in not_checked if each.rule in own})
    manual = _MANUAL.get(point)
    if number:
        status = PointStatus.FINDINGS
    elif left_out or not own:
        status = PointStatus.NOT_CHECKED
    else:
        status = PointStatus.PASS if manual is None else PointStatus.MANUAL
    return PointResult(point, status, number, left_out, manual)
