"""Exceptions and baselines of the security check."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from fluxbase_cli.config.document import Value, read_document
from fluxbase_cli.config.files import SourceFile
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.report.security.data import report_data
from fluxbase_cli.security.exceptions import read_baseline, read_exceptions
from fluxbase_cli.security.run import Report
from tests.fixtures.security import GOOD, check, configuration_of


def document(folder: Path, text: str) -> Value:
    path = folder / "fluxbase.yaml"
    path.write_text(text, encoding="utf-8")
    return read_document(SourceFile(path, "fluxbase.yaml"))


def run(folder: Path, entry: str, *, fault: str = "cors:\n  allowed_origins: ['*']\n") -> Report:
    """A check of a configuration with a fault and this exception."""
    text = f"{fault}security:\n  check:\n    exceptions:\n      - {entry}\n"
    exceptions = read_exceptions(document(folder, text))
    variables = {**GOOD, "FLUXBASE_CORS_ALLOWED_ORIGINS": ""}
    return check(configuration=configuration_of(folder, text, variables), exceptions=exceptions)


def rules(report: Report) -> set[str]:
    return {each.rule for each in report.findings if each.severity.word != "info"} - {
        "FB-RATE-001",
        "FB-RATE-003",
    }


def test_an_exception_takes_a_finding_out_and_is_shown(tmp_path: Path) -> None:
    report = run(tmp_path, "{rule: fb-cors-001, where: cors.*, reason: a public API, until: 2027-01-31}")

    assert rules(report) == set()
    assert [(each.finding.rule, each.reason, each.until) for each in report.accepted] == [
        ("FB-CORS-001", "a public API", date(2027, 1, 31))
    ]


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ("{rule: FB-CORS-001, reason: a public API, until: 2026-11-25}", "it has expired on 2026-11-25"),
        ("{rule: FB-CORS-001, until: 2027-01-31}", "it has no reason"),
        ("{rule: FB-CORS-001, reason: ' ', until: 2027-01-31}", "it has no reason"),
        ("{rule: FB-CORS-001, reason: a public API}", "it has no date of expiry (until)"),
        ("{rule: FB-CORS-001, reason: a public API, until: 2028-01-31}", "its date of expiry is more than a year away"),
    ],
)
def test_an_exception_that_does_not_count_is_told_and_the_finding_counts(
    tmp_path: Path, entry: str, fault: str
) -> None:
    report = run(tmp_path, entry)

    assert rules(report) == {"FB-CORS-001", "FB-CHK-002"}
    assert [each.found for each in report.findings if each.rule == "FB-CHK-002"] == [fault]


def test_an_exception_counts_on_its_last_day(tmp_path: Path) -> None:
    assert rules(run(tmp_path, "{rule: FB-CORS-001, reason: a public API, until: 2026-11-26}")) == set()


def test_an_exception_that_matches_nothing_is_told(tmp_path: Path) -> None:
    report = run(tmp_path, "{rule: FB-CORS-001, where: cors.origins, reason: a typo, until: 2027-01-31}")

    assert rules(report) == {"FB-CORS-001", "FB-CHK-001"}


def test_an_exception_of_a_rule_that_was_not_checked_is_not_told(tmp_path: Path) -> None:
    report = run(tmp_path, "{rule: FB-RLS-001, where: public.x, reason: a lookup table, until: 2027-01-31}", fault="")

    assert rules(report) == set()


@pytest.mark.parametrize(
    "entry",
    [
        "{rule: FB-NOT-001, reason: x, until: 2027-01-31}",
        "{rule: FB-CORS-001, reason: x, until: next year}",
        "{rule: FB-CORS-001, reason: x, until: 2027-01-31, severity: low}",
        "FB-CORS-001",
    ],
)
def test_an_exception_that_can_t_be_read_is_refused(tmp_path: Path, entry: str) -> None:
    with pytest.raises(ConfigurationError, match=r"security.check.exceptions\[0\]"):
        run(tmp_path, entry)


def test_a_baseline_leaves_out_what_it_has_and_nothing_else(tmp_path: Path) -> None:
    variables = {**GOOD, "FLUXBASE_CORS_ALLOWED_ORIGINS": "*"}
    before = check(configuration=configuration_of(tmp_path, None, variables))
    file = tmp_path / "baseline.json"
    file.write_text(json.dumps(report_data(before, release="main", looked_at=())), encoding="utf-8")

    after = check(
        configuration=configuration_of(tmp_path, None, {**variables, "FLUXBASE_DEBUG": "true"}),
        baseline=read_baseline(Path("baseline.json"), tmp_path),
    )

    assert rules(before) == {"FB-CORS-001"}
    assert rules(after) == {"FB-ENV-001"}
    assert {each.finding.rule for each in after.accepted} >= {"FB-CORS-001"}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"findings": [1]}', "no json"])
def test_what_is_no_baseline_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "baseline.json").write_text(text, encoding="utf-8")

    with pytest.raises(ConfigurationError, match=r"baseline.json is no report"):
        read_baseline(Path("baseline.json"), tmp_path)
