"""The security check as SARIF 2.1.0 (OASIS, https://docs.oasis-open.org/sarif/sarif/v2.1.0/), for code scanning."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

from fluxbase_cli import __version__
from fluxbase_cli.security.finding import Finding, Place, Severity
from fluxbase_cli.security.rule import Rule
from fluxbase_cli.security.run import Report

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {
    Severity.CRITICAL: "error",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "note",
    Severity.INFO: "note",
}
#: GitHub's code scanning shows 9.0 and more as critical, 7.0 as high, 4.0 as medium, and lower ones as low.
_SCORES = {
    Severity.CRITICAL: "9.5",
    Severity.HIGH: "8.0",
    Severity.MEDIUM: "5.5",
    Severity.LOW: "3.0",
    Severity.INFO: "0.0",
}
#: Code scanning shows only results in a file. What is in no file is shown at the configuration.
_NO_FILE = "fluxbase.yaml"
_FINGERPRINT = "fluxbaseSecurityCheck/v1"


def report_sarif(report: Report, *, config_file: str | None) -> dict[str, Any]:
    """A report with one run.

    Args:
        report: the report.
        config_file: the name of the configuration file, for findings that are in no file.
    """
    index = {each.id: number for number, each in enumerate(report.rules)}
    file = config_file or _NO_FILE
    results = [_result(each, index[each.rule], file) for each in report.findings]
    for each in report.accepted:
        result = _result(each.finding, index[each.finding.rule], file)
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": each.reason}]
        results.append(result)
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "fluxbase-cli security check",
                        "version": __version__,
                        "semanticVersion": __version__,
                        "rules": [_rule(each) for each in report.rules],
                    }
                },
                "invocations": [
                    {
                        "executionSuccessful": True,
                        "toolExecutionNotifications": [
                            {
                                "level": "note",
                                "descriptor": {"id": "not-checked"},
                                "associatedRule": {"id": left.rule, "index": index[left.rule]},
                                "message": {"text": f"{left.rule} {left.title}: not checked, {left.reason}"},
                            }
                            for left in report.not_checked
                        ],
                    }
                ],
                "automationDetails": {"id": "fluxbase-cli/security-check/"},
                "columnKind": "unicodeCodePoints",
                "results": results,
            }
        ],
    }


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "name": "".join(word.capitalize() for word in rule.title.replace("-", " ").split() if word.isalnum()),
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.explanation},
        "help": {
            "text": f"{rule.explanation}\n\nWhat to do:\n{rule.remedy}",
            "markdown": f"{rule.explanation}\n\nWhat to do:\n\n```\n{rule.remedy}\n```",
        },
        "helpUri": rule.link,
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        "properties": {
            "security-severity": _SCORES[rule.severity],
            "precision": "high",
            "tags": ["security", rule.point.value],
        },
    }


def _result(finding: Finding, index: int, file: str) -> dict[str, Any]:
    place = finding.place
    return {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": _LEVELS[finding.severity],
        "message": {"text": f"{finding.title}: {place}: {finding.found}.\n\nWhat to do:\n{finding.remedy}"},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": _uri(place.file or file)},
                    "region": {"startLine": place.line or 1},
                },
                "logicalLocations": [_logical(place)],
            }
        ],
        "partialFingerprints": {_FINGERPRINT: finding.fingerprint},
        "properties": {"severity": finding.severity.word},
    }


def _logical(place: Place) -> dict[str, Any]:
    return {"fullyQualifiedName": place.name, "kind": place.kind}


def _uri(file: str) -> str:
    path = Path(file)
    # A path below the working directory is relative, so that it is that of the repository.
    if path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    return path.as_uri() if path.is_absolute() else quote(path.as_posix())
