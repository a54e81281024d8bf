"""Prints results on stdout, in the form that `--output` names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fluxbase_cli.cli.options import Options, Output

if TYPE_CHECKING:
    from fluxbase_cli.report.messages import Messages
    from fluxbase_cli.store.records import QuarantineEntry


def print_result(options: Options, data: Mapping[str, Any], lines: Iterable[str]) -> None:
    """Print a result: the data for JSON or YAML, otherwise the lines."""
    from fluxbase_cli.report.json_report import to_json, to_yaml  # noqa: PLC0415  # start-up time

    if options.output is Output.JSON:
        write(to_json(data))
    elif options.output is Output.YAML:
        write(to_yaml(data))
    else:
        for line in lines:
            write(line)


def write(line: str) -> None:
    """Write a line to stdout at once. So the reader of a pipe sees the title while the job runs."""
    print(line, flush=True)  # noqa: T201


def print_quarantine(messages: Messages, entries: Sequence[QuarantineEntry], job: int | None) -> None:
    """Print the undecryptable values as warnings."""
    from fluxbase_cli.report.json_report import quarantine  # noqa: PLC0415  # start-up time
    from fluxbase_cli.report.text import quarantine_lines  # noqa: PLC0415

    if messages.as_json:
        for entry, fields in zip(entries, quarantine(entries), strict=True):
            messages.warn(entry.reason, **fields)
        return
    messages.warn("\n".join(quarantine_lines(entries, job)))
