"""The files in `examples/rotation/`: they are valid for the programs that read them, and their commands work."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import yaml

from fluxbase_cli.config import load_settings
from fluxbase_cli.rotation.policy import read_policy
from fluxbase_cli.rotation.schedule import parse_schedule
from tests.fixtures.programs import program
from tests.fixtures.rotating import Rotating

_EXAMPLES = Path(__file__).parents[2] / "examples" / "rotation"


def _crontab() -> Iterator[tuple[str, str]]:
    for line in (_EXAMPLES / "crontab").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#") and "=" not in line.split()[0]:
            fields = line.split(maxsplit=5)
            yield " ".join(fields[:5]), fields[5]


def _unit(name: str) -> Mapping[str, list[str]]:
    settings: dict[str, list[str]] = {}
    for line in (_EXAMPLES / "systemd" / name).read_text(encoding="utf-8").splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            settings.setdefault(key, []).append(value)
    return settings


def _ci_scripts() -> dict[str, list[str]]:
    github = yaml.safe_load((_EXAMPLES / "ci" / "github-actions.yml").read_text(encoding="utf-8"))
    gitlab = yaml.safe_load((_EXAMPLES / "ci" / "gitlab-ci.yml").read_text(encoding="utf-8"))
    scripts = {f"github {name}": [step["run"] for step in job["steps"]] for name, job in github["jobs"].items()}
    scripts |= {f"gitlab {name}": gitlab[name]["script"] for name in ("plan", "rotate")}
    return scripts


@pytest.fixture
def shell(rotating: Rotating, tmp_path: Path) -> Mapping[str, str]:
    """The variables of a shell that has `fluxbase-cli` in its PATH, and the configuration of the test."""
    program = tmp_path / "bin" / "fluxbase-cli"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m fluxbase_cli "$@"\n')
    program.chmod(0o755)
    return {
        **rotating.command.variables(),
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "FLUXBASE_CLI_CONFIG": str(rotating.directory / "fluxbase.yaml"),
        "FLUXBASE_CLI_METRICS_FILE": str(tmp_path / "fluxbase.prom"),
        "GITHUB_OUTPUT": str(tmp_path / "github-output"),
    }


def _run(line: str, shell: Mapping[str, str], directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-e", "-c", line], cwd=directory, env=shell, capture_output=True, text=True, check=False
    )


def test_the_lines_of_the_crontab_have_valid_dates_and_commands_that_work(
    rotating: Rotating, shell: Mapping[str, str]
) -> None:
    lines = list(_crontab())
    assert len(lines) == 2
    for expression, command in lines:
        assert parse_schedule(expression, ZoneInfo("UTC"), "crontab").next_after(datetime.now(UTC))
        assert _run(command, shell, rotating.directory).returncode == 0

    assert set(rotating.keys()) == {1, 2}
    assert "fluxbase_rotation_last_run_success 1.0" in Path(shell["FLUXBASE_CLI_METRICS_FILE"]).read_text()


def test_the_pipelines_plan_rotate_and_prove(rotating: Rotating, shell: Mapping[str, str]) -> None:
    scripts = _ci_scripts()

    plan = [_run(line, shell, rotating.directory) for line in scripts["github plan"]]
    due = [_run(line, shell, rotating.directory).returncode for line in scripts["gitlab plan"]]
    rotate = [_run(line, shell, rotating.directory) for line in scripts["github rotate"]]

    assert [each.returncode for each in plan] == [0, 0], plan
    assert Path(shell["GITHUB_OUTPUT"]).read_text() == "due=true\n"
    assert due == [0, 3]
    assert [each.returncode for each in rotate] == [0, 0], rotate
    assert scripts["gitlab rotate"] == scripts["github rotate"]
    assert set(rotating.keys()) == {1, 2}


@pytest.mark.parametrize(
    ("file", "schema"),
    [("github-actions.yml", "vendor.github-workflows"), ("gitlab-ci.yml", "vendor.gitlab-ci")],
)
def test_the_pipelines_have_the_form_that_their_servers_need(file: str, schema: str, tmp_path: Path) -> None:
    line = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema]
    options = ("--data-transform", "gitlab-ci") if "gitlab" in schema else ()

    done = subprocess.run(
        [*line, *options, str(_EXAMPLES / "ci" / file)], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    for unit in (_EXAMPLES / "systemd").iterdir():
        # systemd checks that the program exists.
        (tmp_path / unit.name).write_text(unit.read_text().replace("/usr/local/bin/fluxbase-cli", sys.executable))

    done = subprocess.run(
        [program("systemd-analyze"), "verify", "--man=no", *(str(each) for each in sorted(tmp_path.iterdir()))],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "SYSTEMD_LOG_LEVEL": "warning"},
    )

    # systemd also looks at units of the machine. This test does not check those.
    complaints = [line for line in done.stderr.splitlines() if "fluxbase-rotation" in line]
    assert (done.returncode, complaints) == (0, []), done.stderr


def test_the_units_run_commands_that_exist() -> None:
    commands = {
        name: shlex.split(_unit(name)["ExecStart"][0])[1:]
        for name in ("fluxbase-rotation.service", "fluxbase-rotation-daemon.service")
    }

    assert commands == {
        "fluxbase-rotation.service": ["rotation", "run"],
        "fluxbase-rotation-daemon.service": ["rotation", "daemon", "--listen", "127.0.0.1:9821"],
    }


@pytest.mark.parametrize("provider", ["env", "vault", "aws_kms"])
def test_the_configuration_of_each_provider_is_read_as_it_says(provider: str) -> None:
    path = _EXAMPLES / "config" / f"{provider}.yaml"
    names = re.findall(r"\$\{(\w+)\}", path.read_text(encoding="utf-8"))
    variables = {name: f"{number:064d}" for number, name in enumerate(names)} | {
        "SLACK_WEBHOOK": "https://hooks.slack.com/services/T/B/X"
    }

    settings = load_settings(config=path, directory=path.parent, environ=variables)
    policy = read_policy(settings.encryption.key_rotation)

    assert settings.encryption.provider == provider
    assert policy.enabled
    assert policy.auto_reencrypt
    assert policy.reload_command
    assert policy.webhook is not None
    assert settings.warnings == ()
