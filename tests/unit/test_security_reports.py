"""The outputs of the security check: SARIF and JUnit by their schemas, the table within 80 columns, and the rules."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import xmlschema
from jsonschema import Draft4Validator

from fluxbase_cli.report.security.data import report_data, rule_data
from fluxbase_cli.report.security.junit import report_junit
from fluxbase_cli.report.security.sarif import report_sarif
from fluxbase_cli.report.security.text import RULES, report_lines, rule_lines
from fluxbase_cli.security.exceptions import RuleException
from fluxbase_cli.security.finding import Finding, Place, Severity
from fluxbase_cli.security.registry import all_rules, find_rule
from fluxbase_cli.security.rule import Point, Rule
from fluxbase_cli.security.run import Report
from tests.fixtures.security import GOOD, check, configuration_of

SCHEMAS = Path(__file__).parents[1] / "data" / "security" / "schemas"
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
FAULTS = """\
public_base_url: http://api.example.com
auth:
  jwt_expiry: 48h
  jwt: {secret: x}
cors:
  allowed_origins: ["*"]
email:
  smtp_password: kJ3bVq8s
"""


@pytest.fixture
def report(tmp_path: Path) -> Report:
    """A report with findings, an accepted one, and rules that could not be checked."""
    place = Place("exception", "x")
    accepted = RuleException("FB-CORS-001", "cors.*", "the API is public", date(2027, 3, 1), place)
    return check(
        configuration=configuration_of(
            tmp_path, FAULTS, {**GOOD, "FLUXBASE_CORS_ALLOWED_ORIGINS": "", "FLUXBASE_PUBLIC_BASE_URL": ""}
        ),
        exceptions=(accepted,),
    )


# --- rules ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", all_rules(), ids=lambda rule: rule.id)
def test_a_rule_says_all_that_it_must(rule: Rule) -> None:
    assert re.fullmatch(r"FB-[A-Z]+-[0-9]{3}", rule.id)
    # The columns before it take 22 of 80.
    assert 0 < len(rule.title) <= 57
    assert len(rule.explanation) > 80
    assert rule.remedy
    assert rule.quote is None or rule.quote.strip()
    assert rule.check.__doc__


def test_every_point_of_the_checklist_has_a_rule_or_none_is_passed() -> None:
    without = {point for point in Point if all(rule.point is not point for rule in all_rules())}
    results = {each.point: each.status.value for each in check().checklist}

    assert all(results[point] == "not checked" for point in without)


def test_a_rule_is_found_in_any_case_of_letters() -> None:
    assert find_rule(" fb-jwt-001 ") is find_rule("FB-JWT-001")
    assert find_rule("FB-NOT-999") is None


# --- for programs -----------------------------------------------------------------------------------------------------


def test_sarif_is_valid_and_names_every_rule_file_and_fingerprint(report: Report) -> None:
    data = report_sarif(report, config_file="fluxbase.yaml")
    schema = json.loads((SCHEMAS / "sarif-schema-2.1.0.json").read_text(encoding="utf-8"))
    run = data["runs"][0]
    results = run["results"]

    assert [error.message for error in Draft4Validator(schema).iter_errors(data)] == []
    assert len(run["tool"]["driver"]["rules"]) == len(all_rules())
    assert {each["ruleId"] for each in results} >= {"FB-TLS-001", "FB-JWT-003", "FB-CORS-001"}
    for each in results:
        assert run["tool"]["driver"]["rules"][each["ruleIndex"]]["id"] == each["ruleId"]
        location = each["locations"][0]["physicalLocation"]
        assert location["artifactLocation"]["uri"] == "fluxbase.yaml"
        assert location["region"]["startLine"] >= 1
        assert len(each["partialFingerprints"]["fluxbaseSecurityCheck/v1"]) == 32
    assert [each["ruleId"] for each in results if "suppressions" in each] == ["FB-CORS-001"]
    assert any("FB-RLS-001" in each["message"]["text"] for each in run["invocations"][0]["toolExecutionNotifications"])


def test_sarif_shows_what_is_in_no_file_at_the_first_line_of_the_configuration() -> None:
    finding = Finding("FB-RLS-001", Severity.HIGH, "Title", Place("table", "public.x"), "found", "do")
    base = check("FB-RLS-001")
    report = Report(base.rules, (finding,), (), (), base.checklist)

    (result,) = report_sarif(report, config_file="deploy/fluxbase.yaml")["runs"][0]["results"]

    assert result["locations"] == [
        {
            "physicalLocation": {
                "artifactLocation": {"uri": "deploy/fluxbase.yaml"},
                "region": {"startLine": 1},
            },
            "logicalLocations": [{"fullyQualifiedName": "public.x", "kind": "table"}],
        }
    ]


@pytest.mark.parametrize(
    ("file", "uri"),
    [
        ("deploy/my server.yaml", "deploy/my%20server.yaml"),
        ("{here}/deploy/my server.yaml", "deploy/my%20server.yaml"),
        ("/etc/my server.yaml", "file:///etc/my%20server.yaml"),
    ],
)
def test_sarif_escapes_the_paths_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, uri: str) -> None:
    monkeypatch.chdir(tmp_path)
    finding = Finding("FB-RLS-001", Severity.HIGH, "Title", Place("table", "public.x"), "found", "do")
    base = check("FB-RLS-001")
    report = Report(base.rules, (finding,), (), (), base.checklist)

    (result,) = report_sarif(report, config_file=file.format(here=tmp_path))["runs"][0]["results"]

    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == uri


def test_sarif_of_nothing_is_valid() -> None:
    schema = json.loads((SCHEMAS / "sarif-schema-2.1.0.json").read_text(encoding="utf-8"))

    assert list(Draft4Validator(schema).iter_errors(report_sarif(check(), config_file=None))) == []


def test_junit_is_valid_and_skips_what_was_not_checked(report: Report) -> None:
    text = report_junit(report, NOW)
    xmlschema.XMLSchema(str(SCHEMAS / "JUnit.xsd")).validate(text)

    failed = [each for each in report.findings if each.severity > Severity.INFO]
    assert text.count("<failure ") == len(failed) > 0
    assert text.count("<skipped>") == len(report.not_checked) > 0
    assert f'failures="{len(failed)}"' in text


def test_junit_and_the_table_hold_no_control_characters() -> None:
    place = Place("table", "public.x", "table public.\x1b[2J\nx")
    finding = Finding("FB-RLS-001", Severity.HIGH, "Title", place, "found \x07 it", "DROP TABLE \x1b;")
    base = check("FB-JWT-001")
    report = Report(base.rules, (finding,), (), base.not_checked, base.checklist)

    text = report_junit(report, NOW)
    xmlschema.XMLSchema(str(SCHEMAS / "JUnit.xsd")).validate(text)
    lines = list(report_lines(report, release="main", looked_at=(), accepted=False))

    assert not re.search(r"[\x00-\x08\x0b-\x1f]", text)
    assert not any(re.search(r"[\x00-\x1f]", line) for line in lines)


def test_the_object_has_the_documented_fields(report: Report) -> None:
    data = report_data(report, release="2026.3.6", looked_at=("fluxbase.yaml",))

    assert list(data) == ["release", "looked_at", "checklist", "findings", "not_checked", "accepted"]
    assert list(data["findings"][0]) == ["rule", "severity", "title", "where", "found", "remedy", "fingerprint"]
    assert list(data["not_checked"][0]) == ["rule", "title", "reason"]
    assert data["accepted"][0]["reason"] == "the API is public"
    assert data["accepted"][0]["until"] == "2027-03-01"
    assert len(data["checklist"]) == 10
    assert {each["status"] for each in data["checklist"]} <= {"pass", "findings", "not checked", "manual"}
    assert "kJ3bVq8s" not in json.dumps(data)
    names = ["rule", "title", "severity", "point", "quote", "explanation", "remedy", "link"]
    assert list(rule_data(all_rules()[0])) == names


# --- for people -------------------------------------------------------------------------------------------------------


def test_the_table_fits_80_columns_and_cuts_no_word(report: Report) -> None:
    lines = list(report_lines(report, release="2026.3.6", looked_at=("fluxbase.yaml",), accepted=True))

    assert [line for line in lines if len(line) > 80] == []
    text = " ".join(" ".join(lines).split())
    assert all(each.found in text and each.title in text for each in report.findings)
    assert "the API is public, until 2027-03-01" in text


def test_rules_and_explanations_fit_80_columns() -> None:
    assert max(len(line) for line in RULES.table(all_rules())) <= 80
    for rule in all_rules():
        assert max(len(line) for line in rule_lines(rule)) <= 80


def test_the_worst_is_first_and_the_order_is_stable(report: Report) -> None:
    severities = [each.severity for each in report.findings]

    assert severities == sorted(severities, reverse=True)


def test_a_fingerprint_does_not_change_with_line_or_wording() -> None:
    one = Finding("FB-X-001", Severity.LOW, "a", Place("setting", "auth.x", "f:1", "f", 1), "found 3", "do")
    two = Finding("FB-X-001", Severity.HIGH, "b", Place("setting", "auth.x", "f:9", "f", 9), "found 4", "do it")
    other = Finding("FB-X-001", Severity.LOW, "a", Place("setting", "auth.y", "f:1", "f", 1), "found 3", "do")

    assert one.fingerprint == two.fingerprint != other.fingerprint


@pytest.mark.parametrize(("number", "text"), [(0, "No findings"), (1, "1 low finding. "), (2, "2 low findings. ")])
def test_the_findings_are_counted_in_the_singular_and_the_plural(number: int, text: str, report: Report) -> None:
    found = tuple(Finding("FB-CORS-001", Severity.LOW, "t", Place("p", str(each)), "f", "r") for each in range(number))
    counted = Report(report.rules, found, (), report.not_checked, report.checklist)
    lines = "\n".join(report_lines(counted, release="x", looked_at="x", accepted=False))
    assert text in lines
    assert "1 low findings" not in lines
