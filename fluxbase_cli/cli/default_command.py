"""A command that has a subcommand too: `secrets report 7`, and `secrets report verify FILE`."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from fluxbase_cli.cli.options import command_group

#: The common options that are followed by a value. They may stand before the subcommand.
_WITH_VALUE = frozenset({"--config", "--database-url", "-o", "--output", "--log-format"})


def group_with_default(text: str, *, default: str) -> typer.Typer:
    """A group of commands. Where none is named, the default one runs, as if it were the group.

    Args:
        text: the help of the group.
        default: the name of the default command. It can't be called by that name.
    """

    class Group(TyperGroup):
        """The group.

        Attributes:
            default_command: the command that runs where none is named.
        """

        def __init__(self, **settings: Any) -> None:  # noqa: ANN401  # the many settings of Typer
            super().__init__(**settings)
            command: Any = self.commands[default]
            command.group = self
            self.default_command = command

        def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:  # noqa: ANN401  # types of Typer, whose place changes with its versions
            if _first_word(args) in set(self.list_commands(None)) - {default}:  # type: ignore[arg-type]
                return super().make_context(info_name, args, parent, **extra)
            return self.default_command.make_context(info_name, args, parent, **extra)

        def get_help(self, ctx: Any) -> str:  # noqa: ANN401  # as above
            command = self.default_command
            return str(command.get_help(type(ctx)(command, info_name=ctx.info_name, parent=ctx.parent)))

    return command_group(text, cls=Group)


def _first_word(arguments: list[str]) -> str | None:
    """The first argument that is neither a common option nor its value."""
    words = iter(arguments)
    for word in words:
        if word in _WITH_VALUE:
            next(words, None)
        elif not word.startswith("-"):
            return word
    return None
