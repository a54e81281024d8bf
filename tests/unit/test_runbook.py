"""The commands of the runbook exist. `make runbook` checks that their output is real."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from fluxbase_cli.cli.app import make_app

_PAGE = (Path(__file__).parents[2] / "docs" / "operators" / "runbook.md").read_text(encoding="utf-8")
_COMMANDS = re.findall(r"^\$ fluxbase-cli (.+?)(?:  # exit \d+)?$", _PAGE, re.MULTILINE)


def test_the_runbook_has_commands_with_their_output() -> None:
    assert len(_COMMANDS) > 20
    for block in re.findall(r"```console\n(.*?)```", _PAGE, re.DOTALL):
        assert any(not line.startswith("$ ") for line in block.splitlines()), block


@pytest.mark.parametrize("line", sorted(set(_COMMANDS)))
def test_each_command_of_the_runbook_is_accepted(line: str) -> None:
    group, name, *rest = shlex.split(line.partition(" 2>")[0])
    program: Any = typer.main.get_command(make_app())
    context = program.context_class(program)
    commands = program.get_command(context, group)
    command = commands.get_command(context, name)
    assert command is not None
    # Raises an error if an option or its value is not understood.
    command.make_context(name, rest, parent=context)
