"""Only what is needed is imported: that keeps the start fast, and a provider's libraries can be missing."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.fixtures.command import Command, Rotation


def _imported(command: Command, *arguments: str) -> set[str]:
    """The top-level packages that a run imports."""
    return {name.partition(".")[0] for name in _modules(command, *arguments)}


def _modules(command: Command, *arguments: str) -> set[str]:
    """The modules that a run imports. Without a measurement of coverage, which imports modules too."""
    variables = command.variables()
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *command.line(*arguments)[1:]],
        capture_output=True,
        text=True,
        cwd=command.directory,
        env={name: value for name, value in variables.items() if not name.startswith("COVERAGE_")},
        check=True,
        timeout=60,
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines}


@pytest.mark.parametrize("arguments", [("--help",), ("secrets", "re-encrypt", "--help"), ("--version",)])
def test_help_imports_neither_a_driver_nor_cryptography(command: Command, arguments: tuple[str, ...]) -> None:
    imported = _imported(command, *arguments)

    assert "fluxbase_cli" in imported
    assert imported.isdisjoint({"boto3", "botocore", "hvac", "requests", "psycopg", "cryptography", "tenacity", "yaml"})


def test_generating_a_key_imports_no_driver(command: Command) -> None:
    assert _imported(command, "keys", "generate").isdisjoint({"boto3", "hvac", "psycopg"})


def test_keys_of_the_environment_import_no_library_of_another_provider(rotation: Rotation) -> None:
    rotation.seed(20)
    # An import of one of these packages finds these files, because the working directory is first in the path.
    for name in ("boto3", "botocore", "hvac"):
        rotation.command.write(f"{name}.py", f"raise AssertionError('{name} was imported')\n")

    for arguments in (
        ("keys", "list"),
        ("secrets", "audit"),
        ("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2"),
        ("secrets", "rollback", "--to-version", "1", "--reason", "test"),
        ("config", "check"),
    ):
        outcome = rotation.command(*arguments)
        assert outcome.code == 0, outcome.stderr
    assert _imported(rotation.command, "secrets", "audit").isdisjoint(
        {"boto3", "botocore", "hvac", "opentelemetry", "prometheus_client", "pydantic", "tenacity"}
    )


def test_an_audit_of_small_tables_imports_neither_what_jobs_need_nor_what_other_commands_need(
    rotation: Rotation,
) -> None:
    rotation.seed(20)
    modules = _modules(rotation.command, "secrets", "audit")
    assert "fluxbase_cli.engine.read.full_read" in modules
    assert modules.isdisjoint(
        {
            "fluxbase_cli.engine.run.job_run",
            "fluxbase_cli.engine.prepare.prepare",
            "fluxbase_cli.proof.columns",
            "fluxbase_cli.cli.rotation",
            "multiprocessing",
        }
    )


@pytest.mark.parametrize("provider", ["vault", "aws_kms"])
def test_a_command_that_needs_no_key_imports_no_library_of_its_provider(rotation: Rotation, provider: str) -> None:
    rotation.seed(20)
    rotation.command.write(
        "fluxbase.yaml",
        f"security:\n  encryption:\n    provider: {provider}\n    keys:\n      - version: 1\n"
        "        key: '{{ vault `secret/fluxbase/keys/v1` }}'\n",
    )
    assert _imported(rotation.command, "secrets", "status").isdisjoint({"boto3", "botocore", "hvac", "requests"})
