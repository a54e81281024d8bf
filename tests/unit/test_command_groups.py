"""Only the command group that is called is built, and it is the same as in the whole program. So is the help."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import typer

from fluxbase_cli.cli import app
from fluxbase_cli.cli.groups import GROUPS


def commands(program: Any) -> dict[str, Any]:
    """The names and options of all commands below a group."""
    return {
        name: commands(command) if hasattr(command, "commands") else [param.opts for param in command.params]
        for name, command in program.commands.items()
    }


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    return commands(typer.main.get_command(app.make_app()))


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_that_is_built_alone_has_all_its_commands(group: str, whole: dict[str, Any]) -> None:
    alone = commands(typer.main.get_command(app.make_app(group)))
    assert alone[group] == whole[group]
    assert set(GROUPS) & set(alone) == {group}
    assert whole[group]


@pytest.mark.parametrize("first", [None, "--config", "secret", "help", "demo", ""])
def test_with_any_other_first_word_all_groups_are_there(first: str | None, whole: dict[str, Any]) -> None:
    assert commands(typer.main.get_command(app.make_app(first))) == whole
    assert set(GROUPS) < set(whole)


def test_a_command_that_is_built_alone_is_the_same(whole: dict[str, Any]) -> None:
    for name, options in whole["secrets"].items():
        alone = commands(typer.main.get_command(app.make_app("secrets", name)))
        assert alone["secrets"][name] == options
        assert len(alone["secrets"]) < len(whole["secrets"])


@pytest.mark.parametrize("second", [None, "re-encypt", "--help", ""])
def test_with_any_other_second_word_all_commands_of_the_group_are_there(
    second: str | None, whole: dict[str, Any]
) -> None:
    alone = commands(typer.main.get_command(app.make_app("secrets", second)))
    assert alone["secrets"] == whole["secrets"]


def test_the_second_word_counts_only_after_the_name_of_a_group(whole: dict[str, Any]) -> None:
    assert commands(typer.main.get_command(app.make_app("--debug", "audit"))) == whole


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_the_help_of_the_program_is_the_same_without_the_commands_of_the_groups(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = []
    for first in (None, option):
        with pytest.raises(SystemExit):
            app.make_app(first)([option], prog_name="fluxbase-cli")
        printed.append(capsys.readouterr().out)

    assert printed[0] == printed[1]
    assert all(group.help[:40] in printed[0] for group in GROUPS.values())


def test_the_help_of_the_program_imports_no_group() -> None:
    code = "import sys; from fluxbase_cli.cli.app import make_app; make_app('--help'); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert {f"fluxbase_cli.cli.{group.module}" for group in GROUPS.values()}.isdisjoint(done.stdout.split())
