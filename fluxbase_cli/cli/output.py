"""Printing results on stdout, in the form that was asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fluxbase_cli.cli.options import Options, Output


def print_result(options: Options, data: Mapping[str, Any], lines: Iterable[str]) -> None:
    """Print a result: as JSON or YAML the data, else the lines."""
    from fluxbase_cli.report.json_report import to_json, to_yaml  # noqa: PLC0415  # start-up time

    if options.output is Output.JSON:
        write(to_json(data))
    elif options.output is Output.YAML:
        write(to_yaml(data))
    else:
        for line in lines:
            write(line)


def write(line: str) -> None:
    """Write a line to stdout, at once: a pipe's reader sees the title while the job runs."""
    print(line, flush=True)  # noqa: T201
