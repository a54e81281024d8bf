"""The command `fluxbase-cli completion`: prints the script of a shell."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class Shell(StrEnum):
    """The shells for which there is a script."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


_EXAMPLES = """\b
Examples:
  source <(fluxbase-cli completion bash)
  fluxbase-cli completion bash \\
    > ~/.local/share/bash-completion/completions/fluxbase-cli
  fluxbase-cli completion zsh > ~/.zfunc/_fluxbase-cli
  fluxbase-cli completion fish > ~/.config/fish/completions/fluxbase-cli.fish
"""


def add_to(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("completion", epilog=_EXAMPLES)(completion)


def completion(
    shell: Annotated[Shell, typer.Argument(metavar="bash|zsh|fish", help="The shell.", show_default=False)],
) -> None:
    """Print a script for the Tab key, for bash, zsh or fish.

    With it the Tab key completes commands, options and values.

    Key versions come from the configuration, and jobs from the database, if it answers within two seconds. No key is
    fetched, nothing is asked, and no error is shown.
    """
    from fluxbase_cli.cli.completion.scripts import SCRIPTS  # noqa: PLC0415  # start-up time

    print(SCRIPTS[shell.value], end="")  # noqa: T201
