"""What `security check`, `security rules` and `security explain` print. No line is wider than 80 columns.

Only a word that is longer, and a line to paste, may be wider.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from fluxbase_cli.counts import worded
from fluxbase_cli.printable import printable
from fluxbase_cli.report.columns import Column, Listing
from fluxbase_cli.report.table import WIDTH, paragraph, table
from fluxbase_cli.security.finding import Finding, Severity
from fluxbase_cli.security.rule import Rule
from fluxbase_cli.security.run import PointResult, PointStatus, Report


def report_lines(report: Report, *, release: str, looked_at: Sequence[str], accepted: bool) -> Iterator[str]:
    """A report.

    Args:
        report: the report.
        release: the release whose settings count.
        looked_at: what was read.
        accepted: whether to list the findings that do not count.
    """
    yield from paragraph(f"Looked at: {printable(', '.join(looked_at) or 'nothing')}")
    yield ""
    yield f"Security checklist of the server's documentation (release {release}):"
    yield from table(("POINT", "STATUS"), [(each.point.value, _status(each)) for each in report.checklist])
    yield ""
    if report.findings:
        yield from FINDINGS.table(report.findings)
        for each in report.findings:
            yield ""
            yield from _finding(each)
    else:
        yield "No findings in what was checked."
    yield from _not_checked(report)
    if accepted and report.accepted:
        yield ""
        yield "Accepted:"
        for known in report.accepted:
            until = "" if known.until is None else f", until {known.until}"
            place = printable(str(known.finding.place))
            yield from paragraph(f"{known.finding.rule} {place}: {printable(known.reason)}{until}", "  ")
    yield ""
    yield from paragraph(_summary(report))


def _status(result: PointResult) -> str:
    if result.status is PointStatus.FINDINGS:
        left = f", {_number(result.not_checked, 'rule')} not checked" if result.not_checked else ""
        return _number(result.findings, "finding") + left
    return result.status.value


def _number(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _finding(finding: Finding) -> Iterator[str]:
    yield from paragraph(f"{finding.rule} ({finding.severity.word}) {finding.title}")
    yield from paragraph(f"{printable(str(finding.place))}: {printable(finding.found)}", "  ")
    yield from remedy_lines(finding.remedy)


def remedy_lines(remedy: str) -> Iterator[str]:
    """What to paste, indented. Comments are wrapped, and stand above the line if they are too long beside it."""
    for line in remedy.splitlines():
        shown = f"    {printable(line)}".rstrip()
        if len(shown) <= WIDTH:
            yield shown
            continue
        command, mark, comment = _comment(printable(line))
        if mark:
            yield from paragraph(comment, f"    {mark} ")
        if command:
            yield f"    {command}"


def _comment(line: str) -> tuple[str, str, str]:
    """A line without its comment, the mark of the comment, and the comment."""
    for mark in ("#", "--"):
        if line.startswith(f"{mark} "):
            return "", mark, line.removeprefix(f"{mark} ")
        command, separator, comment = line.partition(f"  {mark} ")
        if separator:
            return command.rstrip(), mark, comment
    return line, "", ""


def _not_checked(report: Report) -> Iterator[str]:
    by_reason: dict[str, list[str]] = defaultdict(list)
    for each in report.not_checked:
        if each.rule not in by_reason[each.reason]:
            by_reason[each.reason].append(each.rule)
    if by_reason:
        yield ""
        yield "Not checked:"
    for reason, rules in by_reason.items():
        yield from paragraph(f"{printable(reason)}:", "  ")
        yield from paragraph(", ".join(rules), "    ")


def _summary(report: Report) -> str:
    numbers = Counter(each.severity for each in report.findings)
    parts = [f"{numbers[each]} {each.word}" for each in sorted(Severity, reverse=True) if numbers[each]]
    left_out = len(report.rules) - report.checked
    accepted = f", {len(report.accepted)} accepted" if report.accepted else ""
    findings = f"{', '.join(parts) or 'no'} {'finding' if len(report.findings) == 1 else 'findings'}"
    return f"{findings}{accepted}. {report.checked} of {worded(len(report.rules), 'rule', 'rules')} checked" + (
        f", {left_out} not, or only in part." if left_out else "."
    )


RULES: Listing[Rule] = Listing(
    (
        Column("rule", lambda each: each.id),
        Column("severity", lambda each: each.severity.word),
        Column("title", lambda each: each.title),
        Column("point", lambda each: each.point.value, shown=False),
        Column("link", lambda each: each.link, shown=False),
    ),
    lambda each: each.id,
)


FINDINGS: Listing[Finding] = Listing(
    (
        Column("severity", lambda each: each.severity.word),
        Column("rule", lambda each: each.rule),
        Column("title", lambda each: each.title, heading="FINDING"),
        Column("where", lambda each: str(each.place), shown=False),
        Column("found", lambda each: each.found, shown=False),
        Column("remedy", lambda each: each.remedy, shown=False),
        Column("fingerprint", lambda each: each.fingerprint, shown=False),
    ),
    lambda each: each.rule,
)


def rule_lines(rule: Rule) -> Iterator[str]:
    """One rule."""
    yield f"{rule.id} {rule.title}"
    yield ""
    yield f"Severity:  {rule.severity.word}, if a finding does not say otherwise"
    yield f"Checklist: {rule.point.value}"
    if rule.quote is not None:
        yield from paragraph(f'The documentation says: "{rule.quote}"')
    else:
        yield "It goes beyond the documentation."
    yield ""
    yield from paragraph(rule.explanation)
    yield ""
    yield "What to do:"
    yield from remedy_lines(rule.remedy)
    yield ""
    yield f"More: {rule.link}"
