"""Only the command group that is called is built, and it is the same as in the whole program."""

from __future__ import annotations

from typing import Any

import pytest
import typer

from fluxbase_cli.cli import app


def commands(program: Any) -> dict[str, Any]:
    """The names and options of all commands below a group."""
    return {
        name: commands(command) if hasattr(command, "commands") else [param.opts for param in command.params]
        for name, command in program.commands.items()
    }


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    return commands(typer.main.get_command(app.make_app()))


@pytest.mark.parametrize("group", app._GROUPS)
def test_a_group_that_is_built_alone_has_all_its_commands(group: str, whole: dict[str, Any]) -> None:
    alone = commands(typer.main.get_command(app.make_app(group)))
    assert alone[group] == whole[group]
    assert set(app._GROUPS) & set(alone) == {group}
    assert whole[group]


@pytest.mark.parametrize("first", [None, "--help", "--config", "secret", "help", "demo", ""])
def test_with_any_other_first_word_all_groups_are_there(first: str | None, whole: dict[str, Any]) -> None:
    assert commands(typer.main.get_command(app.make_app(first))) == whole
    assert set(app._GROUPS) < set(whole)
