"""Prints results on stdout, in the form that `--output` names."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from fluxbase_cli.cli.options import Options, Output, current_options
from fluxbase_cli.log_events import LogEvent
from fluxbase_cli.printable import as_printed, lines
from fluxbase_cli.streams import Stream

if TYPE_CHECKING:
    from fluxbase_cli.report.messages import Messages
    from fluxbase_cli.store.quarantine import Quarantine


def print_result(options: Options, data: Mapping[str, Any], text: Iterable[str]) -> None:
    """Print a result: the data for JSON or YAML, otherwise the lines of the text."""
    from fluxbase_cli.report.json_report import to_json, to_yaml  # noqa: PLC0415  # start-up time

    if options.output is Output.JSON:
        write(to_json(data))
    elif options.output is Output.YAML:
        write(to_yaml(data))
    else:
        from fluxbase_cli.report.terminal import as_shown  # noqa: PLC0415  # start-up time

        for line in text:
            write(as_shown(line, sys.stdout))


def write(text: str) -> None:
    """Write a text to stdout at once. So the reader of a pipe sees the title while the job runs."""
    print(as_printed(text), flush=True)  # noqa: T201


def was_printed() -> bool:
    """Whether all that was written to stdout until now has arrived."""
    sys.stdout.flush()
    return not isinstance(sys.stdout, Stream) or sys.stdout.failure is None


def say_what_was_lost(out: Stream, err: Stream) -> None:
    """Say on the one stream that the other could not be written. The exit code stays that of the command."""
    out.flush()
    err.flush()
    options = current_options()
    if out.is_lost:
        from fluxbase_cli.report.messages import Messages  # noqa: PLC0415  # start-up time

        messages = Messages(as_json=options.json_messages, color=options.color)
        messages.warn(
            LogEvent.OUTPUT_LOST, f"standard output could not be written, so the result is incomplete: {_why(out)}"
        )
    if err.is_lost and err.failure is not None and options.output in (None, Output.TABLE):
        write(f"Warning: standard error could not be written, so messages are missing: {_why(err)}")


def _why(stream: Stream) -> str:
    return "unknown" if stream.failure is None else stream.failure.strerror or type(stream.failure).__name__


def print_quarantine(messages: Messages, left: Quarantine, job: int | None) -> None:
    """Print the undecryptable values as warnings."""
    from fluxbase_cli.report.json_report import quarantine  # noqa: PLC0415  # start-up time
    from fluxbase_cli.report.left_values import left_lines, unlisted_lines  # noqa: PLC0415

    if messages.as_json:
        for entry, fields in zip(left, quarantine(left), strict=True):
            messages.warn(LogEvent.VALUE_LEFT, entry.reason, **fields)
        for line in unlisted_lines(left, job):
            messages.warn(LogEvent.VALUES_UNLISTED, line.strip(), unlisted=left.unlisted)
        return
    messages.warn(LogEvent.VALUE_LEFT, lines(left_lines(left, job)))
