"""The program `fluxbase-cli`: its command groups and its entry point."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from importlib import import_module
from typing import Annotated

import typer

from fluxbase_cli import __version__
from fluxbase_cli.cli import demo
from fluxbase_cli.cli.commands import Commands
from fluxbase_cli.cli.completion import command as completion
from fluxbase_cli.cli.exit_codes import exit_code_lines
from fluxbase_cli.cli.groups import GROUPS
from fluxbase_cli.cli.options import root_options, wants_json
from fluxbase_cli.cli.output import say_what_was_lost
from fluxbase_cli.cli.signals import ends_in_time, take_signals
from fluxbase_cli.cli.suggest import Program, did_you_mean
from fluxbase_cli.errors import ExitCode
from fluxbase_cli.log_events import LogEvent
from fluxbase_cli.streams import guarded_streams

_HELP = """Change the key that seals the secrets of a Fluxbase database.

Every sealed value is opened, sealed under the new key, opened again to check it, and only then written. `secrets audit`
proves that no value is left under the old key. Start with `fluxbase-cli demo`, then `fluxbase-cli config check`.

You can write the options below before or after the command's name. You can also set every option by an environment
variable: --batch-size by FLUXBASE_CLI_BATCH_SIZE, and so on. The command line overrides the variable.

`fluxbase-cli help exit-codes` explains the exit codes.
"""


def _version(value: bool) -> None:  # noqa: FBT001  # Typer's callback
    if value:
        _print_version()
        raise typer.Exit


def _root(
    *,
    version: Annotated[  # acts through its callback
        bool, typer.Option("--version", "-V", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """The root of all commands. Its help text is `_HELP`."""


#: The arguments that print the help of the program.
_HELP_OPTIONS = ("-h", "--help")


def make_app(first: str | None = None, second: str | None = None) -> typer.Typer:
    """Build the program from its commands.

    Args:
        first: the first argument, if it is known. If it names a group, the others are left out: they can't be meant,
            and to build them takes a fifth of the time of a short command. If it asks for help, the groups are without
            their commands.
        second: the second argument, if it is known. After the name of a group, it may name a command of it.
    """
    app = Commands(
        name="fluxbase-cli",
        cls=Program,
        help=_HELP,
        no_args_is_help=True,
        # Typer's own tracebacks show the values of variables, so they would show keys.
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": [*_HELP_OPTIONS]},
        rich_markup_mode=None,
    )
    app.callback()(root_options(_root))
    command = second if first in GROUPS else None
    for name in (first,) if first in GROUPS else GROUPS:
        group = GROUPS[name]
        if first in _HELP_OPTIONS:
            app.add_typer(typer.Typer(help=group.help), name=name)
        else:
            build = import_module(f"fluxbase_cli.cli.{group.module}").make_app
            app.add_typer(build(command) if group.by_command else build(), name=name)
    demo.add_to(app)
    app.command("help")(_help)
    app.command("version")(_print_version)
    completion.add_to(app)
    return app


def _help(
    ctx: typer.Context,
    words: Annotated[list[str] | None, typer.Argument(metavar="[COMMAND]...", help="The command's words.")] = None,
) -> None:
    """Show the help of a command, as --help does, or the exit codes.

    `help exit-codes` explains the exit codes.
    """
    if words == ["exit-codes"]:
        print("\n".join(exit_code_lines()))  # noqa: T201
        return
    context = ctx.find_root()
    for word in words or ():
        found = getattr(context.command, "get_command", lambda _context, _word: None)(context, word)
        if found is None:
            sentence = did_you_mean(word, getattr(context.command, "commands", {}))
            text = f"there is no command '{' '.join(words or ())}'" + (f". {sentence}" if sentence else "")
            raise typer.BadParameter(text, ctx=ctx)
        context = type(ctx)(found, info_name=word, parent=context)
    print(context.command.get_help(context))  # noqa: T201


def _print_version() -> None:
    """Show the version, as --version does."""
    print(f"fluxbase-cli {__version__}")  # noqa: T201


#: How many objects are made before Python looks for reference cycles; by default 700. The modules of a job hold 88,000
#: objects. To look at them again and again, and once more at the end, took a seventh of the processor time of a small
#: job.
_OBJECTS_BEFORE_COLLECTION = 50_000


def main() -> None:
    """Run the command line."""
    gc.set_threshold(_OBJECTS_BEFORE_COLLECTION, *gc.get_threshold()[1:])
    # At its end the process would look for cycles in all modules once more. Their memory is given back in any case.
    atexit.register(gc.freeze)
    if sys.argv[1:2] == ["__complete"]:
        from fluxbase_cli.cli.completion.answer import answer  # noqa: PLC0415  # start-up time

        answer(sys.argv[2:])
    take_signals()
    with guarded_streams() as (out, err):
        try:
            with ends_in_time(_tell):
                if wants_json(sys.argv[1:], os.environ):
                    sys.exit(_run_with_json_errors())
                _app()(prog_name="fluxbase-cli")
        finally:
            say_what_was_lost(out, err)


def _app() -> typer.Typer:
    first, second, *_ = [*sys.argv[1:3], None, None]
    return make_app(first, second)


def _tell(event: LogEvent, text: str) -> None:
    from fluxbase_cli.report.messages import Messages  # noqa: PLC0415  # start-up time

    Messages(as_json=wants_json(sys.argv[1:], os.environ)).tell(event, text)


def _run_with_json_errors() -> int:
    """Run the command line. Wrong usage is told as JSON, which the library that reads the options can't do."""
    from fluxbase_cli.report.messages import Messages  # noqa: PLC0415  # start-up time

    try:
        return int(_app()(prog_name="fluxbase-cli", standalone_mode=False) or 0)
    except typer.Abort:
        Messages(as_json=True).fail(LogEvent.COMMAND_DECLINED, "Aborted!", exit_code=int(ExitCode.FAILED))
        return ExitCode.FAILED
    except Exception as error:
        # Errors of a command do not come here (see `command`). These are of the library, which has its own copy of
        # click's classes, under a name that changes with its versions.
        text = getattr(error, "format_message", None)
        if text is None:
            raise
        code = int(getattr(error, "exit_code", ExitCode.USAGE))
        context = getattr(error, "ctx", None)
        hint = None if context is None else f"Try '{context.command_path} -h' for help."
        Messages(as_json=True).fail(LogEvent.USAGE_WRONG, text(), hint, exit_code=code)
        return code
