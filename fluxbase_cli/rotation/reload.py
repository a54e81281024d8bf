"""Runs the operator's command that makes the servers read their configuration again."""

from __future__ import annotations

from fluxbase_cli.config import ServerSettings
from fluxbase_cli.config.command_environment import clean_environment
from fluxbase_cli.errors import JobFailedError
from fluxbase_cli.log_events import LogEvent
from fluxbase_cli.rotation.context import RotationContext
from fluxbase_cli.rotation.endings import StoppedError
from fluxbase_cli.server.commands import Command, CommandError

_HINT = "No value was sealed under the new key yet. Run the rotation again: it resumes from here."


def reload_servers(words: tuple[str, ...], context: RotationContext, server: ServerSettings) -> float:
    """Run the command. Return how many seconds it took.

    Args:
        words: the program and its arguments.
        context: has our own variables, of which the command gets a few; is told each line of its output; and has the
            stop that ends it.
        server: names the variables that it gets besides.

    Raises:
        StoppedError: a signal requested a stop, and the command was ended.
        JobFailedError: it can't be run, fails or hangs.
    """
    command = Command("reload_command", words, clean_environment(context.environ, server.pass_environment))
    try:
        end = command.run(stop=context.stop)
    except CommandError as error:
        for line in error.lines:
            context.tell(LogEvent.COMMAND_OUTPUT, f"  {line}")
        if context.stop.requested:
            context.tell(LogEvent.COMMAND_OUTPUT, error.message)
            raise StoppedError from None
        raise JobFailedError(error.message, hint=_HINT) from None
    for line in end.lines:
        context.tell(LogEvent.COMMAND_OUTPUT, f"  {line}")
    return end.seconds
