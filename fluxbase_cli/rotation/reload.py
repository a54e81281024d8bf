"""Runs the operator's command that makes the servers read their configuration again."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fluxbase_cli.config import ServerSettings
from fluxbase_cli.errors import JobFailedError
from fluxbase_cli.server.commands import Command, CommandError, clean_environment

_HINT = "No value was sealed under the new key yet. Run the rotation again: it resumes from here."


def reload_servers(
    words: tuple[str, ...], environ: Mapping[str, str], server: ServerSettings, tell: Callable[[str], None]
) -> float:
    """Run the command. Return how many seconds it took.

    Args:
        words: the program and its arguments.
        environ: our own variables, of which it gets a few.
        server: names the variables that it gets besides.
        tell: called with each line of its output.

    Raises:
        JobFailedError: it can't be run, fails or hangs.
    """
    try:
        end = Command("reload_command", words, clean_environment(environ, server.pass_environment)).run()
    except CommandError as error:
        for line in error.lines:
            tell(f"  {line}")
        raise JobFailedError(error.message, hint=_HINT) from None
    for line in end.lines:
        tell(f"  {line}")
    return end.seconds
