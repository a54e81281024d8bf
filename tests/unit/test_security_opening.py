"""What the security check reads: each file once, and from the right folder."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest

from fluxbase_cli.security.finding import Severity
from fluxbase_cli.security.opening import Asked, open_facts
from fluxbase_cli.security.registry import all_rules
from fluxbase_cli.security.run import Report, run_rules
from tests.fixtures.security import JWT_SECRET, configuration_of

TODAY = date(2026, 11, 26)
DEBUG = "debug: true\n"
#: Supabase's, whose tokens the server accepts.
SAMPLE = "super-secret-jwt-token-with-at-least-32-characters-long"


def check(directory: Path, **asked: object) -> Report:
    """Check without a database."""
    with open_facts(Asked(database=False, **asked), directory=directory, environ={}, today=TODAY) as opened:  # type: ignore[arg-type]
        return run_rules(opened.facts, all_rules())


def found(report: Report, rule: str) -> list[str]:
    """Where the rule found something."""
    return [str(each.place) for each in report.findings if each.rule == rule]


@contextmanager
def piped(path: Path, text: str) -> Iterator[Path]:
    """A pipe that somebody writes once, as `<(…)` of a shell."""
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=(text,), daemon=True)
    writer.start()
    yield path
    writer.join(10.0)


def test_a_configuration_from_a_pipe_is_checked_like_a_file(tmp_path: Path) -> None:
    text = f"{DEBUG}security:\n  encryption:\n    keys:\n      - {{version: 1, key: '{'0123456789abcdef' * 4}'}}\n"
    (tmp_path / "file.yaml").write_text(text, encoding="utf-8")
    by_file = check(tmp_path, config=Path("file.yaml"))
    with piped(tmp_path / "pipe.yaml", text) as pipe:
        by_pipe = check(tmp_path, config=pipe)

    assert [each.rule for each in by_pipe.findings] == [each.rule for each in by_file.findings] != []
    assert [each.rule for each in by_pipe.not_checked] == [each.rule for each in by_file.not_checked]


def test_the_servers_own_file_is_beside_its_configuration(tmp_path: Path) -> None:
    (tmp_path / "deploy").mkdir()
    text = "security:\n  encryption:\n    server:\n      env_file: .env\n"
    (tmp_path / "deploy" / "fluxbase.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "deploy" / ".env").write_text(
        f"\n# comment\nFLUXBASE_AUTH_JWT_SECRET={SAMPLE}\n",
        encoding="utf-8",
    )

    report = check(tmp_path, config=Path("deploy/fluxbase.yaml"))

    assert found(report, "FB-JWT-001") == [f"{tmp_path}/deploy/.env:3: FLUXBASE_AUTH_JWT_SECRET"]


@pytest.mark.parametrize("absolute", [False, True], ids=["relative", "absolute"])
def test_a_configuration_in_another_folder_is_compared(tmp_path: Path, *, absolute: bool) -> None:
    (tmp_path / "staging").mkdir()
    for folder in (tmp_path, tmp_path / "staging"):
        (folder / "fluxbase.yaml").write_text(f"auth:\n  jwt_secret: {JWT_SECRET}\n", encoding="utf-8")
    other = Path("staging/fluxbase.yaml")

    report = check(tmp_path, compare=((tmp_path / other) if absolute else other,))

    (finding,) = [each for each in report.findings if each.rule == "FB-SEC-003"]
    assert finding.severity is Severity.HIGH
    assert finding.found.endswith("staging/fluxbase.yaml")


def test_a_variable_in_quotes_of_several_lines_is_found_at_its_own_line(tmp_path: Path) -> None:
    text = f'A="1\nFLUXBASE_AUTH_JWT_SECRET=no\n"\nFLUXBASE_AUTH_JWT_SECRET={SAMPLE}\n'
    (tmp_path / ".env").write_text(text, encoding="utf-8")

    assert found(check(tmp_path), "FB-JWT-001") == [".env:4: FLUXBASE_AUTH_JWT_SECRET"]


@pytest.mark.parametrize(
    ("text", "readable"), [("900000000000", True), ("15m", True), ("²", False), ("٣m", False), ("9" * 5000, False)]
)
def test_digits_of_other_scripts_and_endless_numbers_are_no_durations(
    tmp_path: Path, text: str, *, readable: bool
) -> None:
    configuration = configuration_of(tmp_path, f"auth:\n  jwt_expiry: '{text}'\n")

    assert (configuration.duration("auth.jwt_expiry") is not None) is readable
