"""`fluxbase-cli demo`: the whole story on an embedded PostgreSQL."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

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
    """The names of `SchemaRelease`, which would cost start-up time here."""

    STABLE = "2026.3.6"
    MAIN = "main"


def add_to(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("demo", epilog=_EXAMPLES)(command(demo))


def demo(
    options: Options,  # noqa: ARG001  # every command takes them
    *,
    # What most people run.
    release: Annotated[
        _Release,
        typer.Option(
            "--release",
            help="Whose tables to make: those of the newest stable release of Fluxbase, or those of its main branch.",
        ),
    ] = _Release.STABLE,
    secrets: Annotated[
        int,
        typer.Option(
            "--secrets",
            min=10,
            max=10_000_000,
            help="How many values to seal; 85% of them under the old key.",
        ),
    ] = 1000,
    keep: Annotated[
        bool,
        typer.Option(
            "--keep",
            help="Leave the server running, and say how to connect.",
        ),
    ] = False,
) -> int:
    """Show a whole rotation on an embedded PostgreSQL.

    Each command is shown as it would be typed, with what it prints.

    Needs nothing but this program, installed with its extra `demo`; works as root and not, and leaves nothing behind.
    """
    from fluxbase_cli.demo.story import run_demo  # noqa: PLC0415  # start-up time
    from fluxbase_cli.demo.tables import SchemaRelease  # noqa: PLC0415

    run_demo(release=SchemaRelease(release), count=secrets, keep=keep, say=write)
    return ExitCode.DONE
