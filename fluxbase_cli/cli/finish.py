"""How a command ends: with its exit code, and with one line where it fails."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

from fluxbase_cli.cli.ask import CancelledError
from fluxbase_cli.errors import ExitCode, FluxbaseCliError
from fluxbase_cli.log_events import LogEvent
from fluxbase_cli.printable import to_printable_json

if TYPE_CHECKING:
    from fluxbase_cli.cli.options import Options
    from fluxbase_cli.report.messages import Messages

_REPORT = "Run it again with --debug, and please report what it prints."


def _words_of_the_system(error: OSError) -> str | None:
    """What the operating system refused, in its own words. None if the error's text is not the system's."""
    if "No usable temporary directory" in str(error):
        return "there is no folder for temporary files that can be written; set TMPDIR"
    if error.errno is None or error.strerror != os.strerror(error.errno):
        return None
    where = f"{error.filename}: " if isinstance(error.filename, str) else ""
    return f"{where}{error.strerror}"


def finish(function: Callable[..., int | None], options: Options, arguments: dict[str, Any], first: str) -> None:
    """Run a command, and end the process with its exit code. An error becomes one line.

    Args:
        function: the command.
        options: the common options.
        arguments: its other arguments.
        first: the name of the parameter that takes the common options.

    Raises:
        typer.Exit: always.
    """
    try:
        code = function(**{first: options}, **arguments)
    except FluxbaseCliError as error:
        _print_error(options, error.message, error.hint, LogEvent.COMMAND_FAILED, error.exit_code)
        _print_traceback(error, options)
        raise typer.Exit(int(error.exit_code)) from None
    except CancelledError:
        _messages(options).tell(LogEvent.COMMAND_DECLINED, "Cancelled. Nothing was changed.")
        raise typer.Exit(int(ExitCode.SIGINT)) from None
    except KeyboardInterrupt:
        _print_error(options, "interrupted; nothing was begun", None, LogEvent.COMMAND_INTERRUPTED, ExitCode.SIGINT)
        raise typer.Exit(int(ExitCode.SIGINT)) from None
    except typer.Exit:
        raise
    except Exception as error:  # noqa: BLE001  # reported without a traceback, which could quote values
        # Only the words of the operating system are shown. The text of any other error may quote anything, even a
        # sealed value; the name of its type can't.
        what = _words_of_the_system(error) if isinstance(error, OSError) else None
        hint = None if what or options.debug else _REPORT
        what = what or f"unexpected {type(error).__name__}"
        _print_error(options, what, hint, LogEvent.COMMAND_FAILED, ExitCode.FAILED)
        _print_traceback(error, options)
        raise typer.Exit(int(ExitCode.FAILED)) from None
    raise typer.Exit(int(code or 0))


def _print_error(options: Options, message: str, hint: str | None, event: LogEvent, code: ExitCode) -> None:
    _messages(options).fail(event, message, hint, exit_code=int(code))


def _messages(options: Options) -> Messages:
    from fluxbase_cli.report.messages import Messages  # noqa: PLC0415  # start-up time

    return Messages(as_json=options.json_messages, color=options.color)


def _print_traceback(error: BaseException, options: Options) -> None:
    if not options.debug:
        return
    import traceback  # noqa: PLC0415  # start-up time

    # Print frames only. Variables and the texts of chained errors can quote values.
    lines: list[str] = []
    current: BaseException | None = error
    while current is not None:
        lines.append(f"{type(current).__module__}.{type(current).__qualname__} at:")
        lines.append("".join(traceback.format_tb(current.__traceback__)).rstrip())
        current = current.__cause__ or current.__context__
    text = "\n".join(lines)
    if options.json_messages:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        text = to_printable_json({"time": now, "level": "debug", "event": LogEvent.TRACEBACK.value, "message": text})
    print(text, file=sys.stderr)  # noqa: T201
