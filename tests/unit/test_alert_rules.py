"""The alert rules for Prometheus: `promtool` runs their tests, and checks that every metric of a rule exists."""

from __future__ import annotations

import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from fluxbase_cli.rotation.figures import Figures, JobFigures
from fluxbase_cli.rotation.metrics import Metrics, samples_of
from tests.fixtures.programs import program

ROOT = Path(__file__).parents[2]
RULES = ROOT / "examples/monitoring/alerts.yml"
TESTS = ROOT / "tests/data/monitoring/alerts_test.yml"
DASHBOARD = ROOT / "examples/monitoring/dashboard.json"
PAGE = ROOT / "docs/operators/monitoring.md"
NOW = datetime(2026, 11, 1, 2, 5, tzinfo=UTC)
#: Figures of which nothing is unknown.
EVERYTHING = Figures(
    NOW,
    succeeded=True,
    last_success=NOW,
    active_version=2,
    active_since=NOW,
    by_version={1: 0, 2: 10},
    undecryptable=0,
    duration_s=1.5,
    rate_per_second=10.0,
    next_date=NOW,
    due_since=NOW,
    job=JobFigures(unfinished=True, progress_at=NOW, ratio=0.5, values=5),
)


@pytest.fixture(scope="module")
def promtool() -> str:
    return program("promtool")


@pytest.mark.slow
def test_each_alert_fires_and_stays_quiet(promtool: str, tmp_path: Path) -> None:
    for path in (RULES, TESTS):
        shutil.copy(path, tmp_path)

    checked = subprocess.run([promtool, "check", "rules", RULES], capture_output=True, text=True, check=False)
    tested = subprocess.run(
        [promtool, "test", "rules", tmp_path / TESTS.name], capture_output=True, text=True, check=False
    )

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_is_quiet() -> None:
    alerts = {rule["alert"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]}
    cases = [case for test in yaml.safe_load(TESTS.read_text())["tests"] for case in test["alert_rule_test"]]

    assert {case["alertname"] for case in cases if case["exp_alerts"]} == alerts
    assert {case["alertname"] for case in cases if not case["exp_alerts"]} == alerts
    assert alerts == set(re.findall(r"^\| `(Fluxbase\w+)`", PAGE.read_text(encoding="utf-8"), re.MULTILINE))


def test_the_sample_configuration_is_one_that_prometheus_takes(promtool: str) -> None:
    path = RULES.parent / "prometheus.yml"

    checked = subprocess.run([promtool, "check", "config", path], capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_promtool_finds_no_fault_in_the_metrics(promtool: str) -> None:
    metrics = Metrics()
    metrics.update(EVERYTHING)

    checked = subprocess.run([promtool, "check", "metrics"], input=metrics.as_text(), capture_output=True, check=False)

    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")


def test_rules_dashboard_and_page_name_the_metrics_that_there_are() -> None:
    exported = {sample.name for sample in samples_of(EVERYTHING)}
    used = {
        name
        for path in (RULES, DASHBOARD)
        for name in re.findall(r"fluxbase_(?:rotation|cli)_\w+", path.read_text(encoding="utf-8"))
    }
    documented = set(re.findall(r"^\| `(fluxbase_\w+)", PAGE.read_text(encoding="utf-8"), re.MULTILINE))

    assert used <= exported
    assert documented == exported
