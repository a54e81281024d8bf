"""How commands and groups of commands write their help."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand


class Command(TyperCommand):
    """A command whose usage names required arguments as usual: `FILE`, not `{FILE}`.

    Attributes:
        group: the group whose default command this is; its other commands are listed in the help. None: there is none.
    """

    group: Any = None

    def collect_usage_pieces(self, ctx: Any) -> list[str]:  # noqa: ANN401  # of a library whose types are private
        """The words of the usage after the command's name."""
        pieces = super().collect_usage_pieces(ctx)
        # A list of choices is a name too: `bash|zsh|fish`.
        return [each[1:-1] if each.startswith("{") and each.endswith("}") else each for each in pieces]

    def format_options(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401  # as above
        """Write the options, and the commands that can follow."""
        super().format_options(ctx, formatter)
        if self.group is not None:
            self.group.format_commands(ctx, formatter)


class Commands(typer.Typer):
    """Commands, each of which is a `Command`."""

    def command(self, *args: Any, **more: Any) -> Any:  # noqa: ANN401  # the many arguments of Typer
        """Add a command, as Typer does."""
        more.setdefault("cls", Command)
        return super().command(*args, **more)
