"""The security check as JUnit XML, in the form of Apache Ant's JUnit tasks, which CI servers read.

A finding above info is a failed test, a rule that could not be checked a skipped one, and any other rule a passed one.
"""

from __future__ import annotations

from datetime import UTC, datetime
from xml.etree import ElementTree as ET

from fluxbase_cli.printable import printable
from fluxbase_cli.security.finding import Severity
from fluxbase_cli.security.run import Report

_SUITE = "fluxbase-cli security check"


def report_junit(report: Report, now: datetime) -> str:
    """A report as text.

    Args:
        report: the report.
        now: when it was made.
    """
    failures = [each for each in report.findings if each.severity > Severity.INFO]
    quiet = {each.rule for each in failures} | {each.rule for each in report.not_checked}
    passed = [each for each in report.rules if each.id not in quiet]
    root = ET.Element("testsuites")
    suite = ET.SubElement(
        root,
        "testsuite",
        {
            "name": _SUITE,
            "package": "fluxbase_cli",
            "id": "0",
            "timestamp": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
            "hostname": "localhost",
            "tests": str(len(failures) + len(report.not_checked) + len(passed)),
            "failures": str(len(failures)),
            "errors": "0",
            "skipped": str(len(report.not_checked)),
            "time": "0",
        },
    )
    ET.SubElement(suite, "properties")
    for finding in failures:
        case = _case(suite, finding.rule, f"{finding.title}: {finding.place}")
        failure = ET.SubElement(case, "failure", {"message": printable(finding.found), "type": finding.severity.word})
        remedy = "\n".join(printable(line) for line in finding.remedy.splitlines())
        failure.text = f"{printable(str(finding.place))}: {printable(finding.found)}\n\nWhat to do:\n{remedy}\n"
    for left in report.not_checked:
        skipped = ET.SubElement(_case(suite, left.rule, left.title), "skipped")
        skipped.text = f"not checked: {printable(left.reason)}"
    for rule in passed:
        _case(suite, rule.id, rule.title)
    ET.SubElement(suite, "system-out")
    ET.SubElement(suite, "system-err")
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True)


def _case(suite: ET.Element, rule: str, name: str) -> ET.Element:
    return ET.SubElement(suite, "testcase", {"classname": rule, "name": printable(name), "time": "0"})
