"""Completion: which words can follow on a command line."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from typer.main import get_command

from fluxbase_cli.cli.app import make_app
from fluxbase_cli.cli.completion.answer import lines_of
from fluxbase_cli.cli.completion.scripts import SCRIPTS
from fluxbase_cli.cli.completion.values import VALUES
from fluxbase_cli.cli.completion.words import Answer, Word, complete
from tests.fixtures.programs import program

_ROOT = get_command(make_app())


def _found(*words: str) -> list[str]:
    return [word for word, _ in complete(_ROOT, "zsh", words, VALUES).words]


def _in_bash(*words: str) -> list[str]:
    return [word for word, _ in complete(_ROOT, "bash", words, VALUES).words]


@pytest.mark.parametrize(
    ("words", "some"),
    [
        ((), "secrets"),
        (("",), "completion"),
        (("secrets", "re-"), "re-encrypt"),
        (("-q", "--log-format", "json", "secrets", "st"), "status"),
        (("help", "secrets", "au"), "audit"),
        (("secrets", "re-encrypt", "--dry"), "--dry-run"),
        (("secrets", "re-encrypt", "--no-n"), "--no-notify"),
        (("secrets", "re-encrypt", "--dry-run", "--from"), "--from-version"),
        (("secrets", "audit", "--databases", "t"), "tenants"),
        (("secrets", "audit", "--databases=t"), "--databases=tenants"),
        (("secrets", "audit", "-o", ""), "yaml"),
        (("keys", "generate", "--encoding", "b"), "base64"),
        (("completion", "f"), "fish"),
        (("secrets", "report", "--fo"), "--format"),
        (("secrets", "report", "--format", "h"), "html"),
        (("secrets", "report", "v"), "verify"),
        (("report", "verify", "--da"), "--database"),
        (("security", "explain", "FB-RLS"), "FB-RLS-001"),
        (("secrets", "list", "--location", "auth.u"), "auth.users.totp_secret"),
        (("help", ""), "exit-codes"),
        (("help", ""), "secrets"),
        (("secrets", "list", "--columns", "lo"), "location"),
        (("secrets", "list", "--columns", "id,na"), "id,name"),
        (("secrets", "list", "--columns=id,na"), "--columns=id,name"),
        (("secrets", "status", "--columns", "eta"), "eta_seconds"),
        (("secrets", "status", "7", "--columns", "loc"), "location"),
        (("keys", "list", "--columns", "fing"), "fingerprint"),
        (("security", "check", "--columns", "rem"), "remedy"),
        (("security", "rules", "--columns", "po"), "point"),
        (("secrets", "re-encrypt", "--fleet", "f.yaml", "--columns", "inst"), "instance"),
        (("secrets", "audit", "--fleet", "f.yaml", "--columns", "inst"), "instance"),
        (("secrets", "audit", "--columns", "loc"), "location"),
        (("secrets", "re-encrypt", "--fleet", "f.yaml", "-o", ""), "csv"),
    ],
)
def test_what_fits_is_found(words: tuple[str, ...], some: str) -> None:
    assert some in _found(*words)


@pytest.mark.parametrize(
    ("words", "none"),
    [
        # Given already.
        (("secrets", "audit", "--deep", "--de"), "--deep"),
        # Hidden from this command, although the type has it.
        (("secrets", "pause", "-o", ""), "sarif"),
        # Only with --fleet.
        (("secrets", "re-encrypt", "-o", ""), "csv"),
        # Named already.
        (("secrets", "list", "--columns", "id,"), "id,id"),
        (("help", "secrets", ""), "exit-codes"),
        # After `--` everything is an argument.
        (("secrets", "status", "--", "-"), "--watch"),
        (("no-such-command", ""), "re-encrypt"),
        (("secrets", "re-encrypt", "--no-such-option="), "1"),
        ((), "__complete"),
    ],
)
def test_what_does_not_fit_is_not_found(words: tuple[str, ...], none: str) -> None:
    assert none not in _found(*words)


@pytest.mark.parametrize("words", [("--config", ""), ("secrets", "audit", "--locations", "x"), ("--config=",)])
def test_files_are_left_to_the_shell(words: tuple[str, ...]) -> None:
    assert complete(_ROOT, "zsh", words, VALUES) == Answer(files=True)


def test_bash_makes_three_words_of_an_option_with_its_value() -> None:
    assert _in_bash("secrets", "audit", "--databases", "=", "ten") == ["tenants"]
    assert "main" in _in_bash("secrets", "audit", "--databases", "=")
    assert _in_bash("'secrets'", '"au') == ["audit"]


def test_values_get_the_options_that_stand_before_them() -> None:
    seen: list[Mapping[str, str]] = []

    def values(options: Mapping[str, str]) -> Sequence[Word]:
        seen.append(dict(options))
        return [("1", "env"), ("2", "env, active"), ("12", "env")]

    words = ("--config=a.yaml", "secrets", "audit", "--database-url", "u", "--key-version", "1")
    assert complete(_ROOT, "zsh", words, {"--key-version": values}).words == (("1", "env"), ("12", "env"))
    assert seen == [{"--config": "a.yaml", "--database-url": "u"}]


def test_an_answer_is_a_kind_and_a_line_for_each_word() -> None:
    assert lines_of(Answer((("1", "a\x1b[31mb"), ("2", "")))) == "words\n1\ta\\x1b[31mb\n2\t\n"
    assert lines_of(Answer(files=True)) == "files\n"


@pytest.mark.parametrize("shell", SCRIPTS)
def test_the_shell_can_read_its_script(shell: str, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(SCRIPTS[shell], encoding="utf-8")
    subprocess.run([program(shell), "-n", script], check=True)
