"""`security check` as a process: exit codes, forms of output, and the examples for CI."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.fixtures.command import Command
from tests.fixtures.security import GOOD

_EXAMPLES = Path(__file__).parents[2] / "examples" / "security"
_GOOD_FILE = "public_base_url: https://api.example.com\ncors:\n  allowed_origins: [https://app.example.com]\n"
_PUBLISHED = "haEae1GZfKa/lzMHyNFIR5iL0FZFIMMxMN3pb2jqCRc="


def _env(**more: str) -> str:
    return "".join(f"{name}='{value}'\n" for name, value in {**GOOD, **more}.items())


# --- exit codes -------------------------------------------------------------------------------------------------------


def test_a_good_configuration_ends_with_0_and_a_fault_with_3(command: Command) -> None:
    command.write("server.env", _env())
    good = command("security", "check", "--no-database", "--env-file", "server.env")
    command.write("server.env", _env(FLUXBASE_AUTH_JWT_SECRET=_PUBLISHED))
    bad = command("security", "check", "--no-database", "--env-file", "server.env", "-o", "json")
    tolerated = command("security", "check", "--no-database", "--env-file", "server.env", "--fail-on", "never")

    assert (good.code, bad.code, tolerated.code) == (0, 3, 0), good.all
    assert [(each["rule"], each["where"]) for each in bad.json["findings"] if each["severity"] == "critical"] == [
        ("FB-JWT-001", "server.env:1: FLUXBASE_AUTH_JWT_SECRET")
    ]
    assert _PUBLISHED not in bad.all + tolerated.all
    assert not any(
        value in bad.all + tolerated.all for value in GOOD.values() if "example" not in value and len(value) > 9
    )


def test_what_can_t_be_looked_at_ends_with_1_and_is_told(command: Command, closed_port: str) -> None:
    command.write("fluxbase.yaml", _GOOD_FILE)
    unreachable = command("security", "check", FLUXBASE_DATABASE_URL=closed_port)
    strict = command("security", "check", "--no-database", "--strict")
    nothing = command("security", "check", "--no-database", "--config", "none.yaml")

    assert (unreachable.code, strict.code) == (1, 1), unreachable.all
    assert "can't connect to somebody@127.0.0.1:1/nowhere" in " ".join(unreachable.stdout.split())
    assert "database-password-marker" not in unreachable.all
    assert nothing.code == 2
    assert "none.yaml can't be read" in nothing.stderr


def test_without_anything_to_look_at_it_ends_with_1(command: Command) -> None:
    outcome = command("security", "check", "--no-database")

    assert outcome.code == 1
    assert "no fluxbase.yaml and no variable of the server was found" in " ".join(outcome.stdout.split())


@pytest.mark.parametrize(
    "arguments",
    [("--url", "example.com"), ("--release", "2020.1"), ("--baseline", "none.json"), ("--fail-on", "often")],
    ids=str,
)
def test_wrong_usage_ends_with_2(command: Command, arguments: tuple[str, ...]) -> None:
    assert command("security", "check", "--no-database", *arguments).code == 2


def test_sarif_is_only_for_this_command(command: Command) -> None:
    outcome = command("keys", "list", "-o", "sarif")

    assert outcome.code == 2
    assert "--output sarif is for `security check`" in outcome.stderr


def test_rules_and_explain(command: Command) -> None:
    listed = command("security", "rules")
    told = command("security", "explain", "fb-jwt-001")

    assert listed.code == told.code == 0
    assert "FB-RLS-001" in listed.stdout
    assert told.stdout.startswith("FB-JWT-001 JWT secret is published\n")
    assert command("security", "explain", "FB-NOT-001").code == 2


# --- the examples for CI ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "schema"),
    [("github-actions.yml", "vendor.github-workflows"), ("gitlab-ci.yml", "vendor.gitlab-ci")],
)
def test_the_examples_are_valid(file: str, schema: str) -> None:
    line = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(_EXAMPLES / file)]
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 0, done.stdout + done.stderr


def _scripts() -> dict[str, list[str]]:
    github = yaml.safe_load((_EXAMPLES / "github-actions.yml").read_text(encoding="utf-8"))
    gitlab = yaml.safe_load((_EXAMPLES / "gitlab-ci.yml").read_text(encoding="utf-8"))
    steps = github["jobs"]["configuration"]["steps"]
    return {
        "github": [step["run"] for step in steps if "fluxbase-cli security" in step.get("run", "")],
        "gitlab": gitlab["configuration"]["script"],
    }


@pytest.mark.parametrize("name", ["github", "gitlab"])
@pytest.mark.parametrize(("text", "code"), [(_GOOD_FILE, 0), (_GOOD_FILE + "debug: true\n", 3)])
def test_the_check_of_the_file_alone_does_what_the_example_says(
    command: Command, name: str, text: str, code: int
) -> None:
    (command.directory / "deploy").mkdir()
    command.write("deploy/fluxbase.yaml", text)
    program = command.directory / "bin" / "fluxbase-cli"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m fluxbase_cli "$@"\n')
    program.chmod(0o755)
    variables = command.variables(PATH=f"{program.parent}{os.pathsep}{os.environ['PATH']}")

    codes = [
        subprocess.run(["bash", "-e", "-c", script], cwd=command.directory, env=variables, check=False).returncode
        for script in _scripts()[name]
    ]

    assert codes[-1] == code
    (report,) = command.directory.glob("*.sarif")
    results = json.loads(report.read_text(encoding="utf-8"))["runs"][0]["results"]
    uris = {each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for each in results}
    assert ("FB-ENV-001" in {each["ruleId"] for each in results}) == (code == 3)
    assert uris <= {"deploy/fluxbase.yaml"}


def test_every_command_of_the_examples_has_options_that_exist(command: Command) -> None:
    known = command("security", "check", "--help").stdout
    for file in _EXAMPLES.iterdir():
        for option in re.findall(r"(?<=\s)--[a-z-]+", file.read_text(encoding="utf-8")):
            assert option in known, (file.name, option)
