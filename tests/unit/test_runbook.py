"""The commands on the pages exist. `acceptance/test_documented_output.py` checks that their output is real."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from fluxbase_cli.cli.app import make_app

_ROOT = Path(__file__).parents[2]
_PAGES = "".join(page.read_text("utf-8") for page in [_ROOT / "README.md", *(_ROOT / "docs").rglob("*.md")])
_BLOCKS = re.findall(r"```console\n(.*?)```", _PAGES, re.DOTALL)
_COMMANDS = re.findall(r"^\$ fluxbase-cli (.+?)(?:  # exit \d+)?$", "".join(_BLOCKS), re.MULTILINE)
#: Where a pipe or a redirection begins.
_END = re.compile(r" (2?>|\|) ")


def test_the_pages_have_commands_with_their_output() -> None:
    assert len(_COMMANDS) > 40
    for block in _BLOCKS:
        # Some commands print nothing.
        silent = not re.search(r"^\$ fluxbase-cli", block, re.MULTILINE)
        assert silent or any(not line.startswith("$ ") for line in block.splitlines()), block


@pytest.mark.parametrize("line", sorted(set(_COMMANDS)))
def test_each_command_of_the_pages_is_accepted(line: str) -> None:
    group, name, *rest = shlex.split(_END.split(line)[0])
    program: Any = typer.main.get_command(make_app())
    context = program.context_class(program)
    commands = program.get_command(context, group)
    command = commands.get_command(context, name)
    assert command is not None
    # Raises an error if an option or its value is not understood.
    command.make_context(name, rest, parent=context)
