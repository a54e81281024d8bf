"""Runs rules over facts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fluxbase_cli.security.facts import Facts
from fluxbase_cli.security.finding import Finding, NotChecked, NotCheckedError, Severity, Unchecked
from fluxbase_cli.security.rule import Rule


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a security check.

    Attributes:
        rules: the rules that were run.
        findings: what they found: the worst first, then by rule and place.
        not_checked: what could not be checked.
    """

    rules: tuple[Rule, ...]
    findings: tuple[Finding, ...]
    not_checked: tuple[NotChecked, ...]

    def at_least(self, severity: Severity) -> tuple[Finding, ...]:
        """The findings of this severity or a higher one."""
        return tuple(each for each in self.findings if each.severity >= severity)


def run_rules(facts: Facts, rules: Iterable[Rule]) -> Report:
    """Check all rules."""
    run = tuple(rules)
    findings: list[Finding] = []
    not_checked: list[NotChecked] = []
    for rule in run:
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
    findings.sort(key=lambda each: (-each.severity, each.rule, each.place.kind, each.place.name, each.found))
    return Report(run, tuple(findings), tuple(not_checked))
