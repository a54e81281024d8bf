"""The command `fluxbase-cli secrets status`: shows jobs and their progress."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fluxbase_cli.cli.context import load, messages_for
from fluxbase_cli.cli.durations import TIME, seconds
from fluxbase_cli.cli.listing import ColumnNames, chosen_columns, print_list
from fluxbase_cli.cli.option_types import whole_number
from fluxbase_cli.cli.options import LIST_OUTPUTS, Options, Output, command
from fluxbase_cli.cli.output import was_printed
from fluxbase_cli.errors import ConfigurationError, ExitCode, interrupted_code
from fluxbase_cli.log_events import no_message

if TYPE_CHECKING:
    from fluxbase_cli.config import DatabaseSettings


def add_to(app: typer.Typer) -> None:
    """Add the command to the group `secrets`."""
    app.command("status", epilog=_STATUS_EXAMPLES)(command(status, outputs=LIST_OUTPUTS))


_STATUS_EXAMPLES = """\b
Examples:
  fluxbase-cli secrets status
  fluxbase-cli secrets status 7 -o json
  fluxbase-cli secrets status --columns job,state,remaining,reason
  fluxbase-cli secrets status 7 -o csv > locations.csv
  fluxbase-cli secrets status --watch
  fluxbase-cli secrets status --watch --interval 10 -o json | jq -r .percent
"""


def status(
    options: Options,
    *,
    job: Annotated[
        int | None, typer.Argument(parser=whole_number(least=1), metavar="[JOB]", help="Show this job in full.")
    ] = None,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            "-w",
            help="Watch the unfinished job, or this job, until it ends. On a terminal: a live table. Otherwise: one "
            "line each time (with -o json, one object on a line).",
        ),
    ] = False,
    interval: Annotated[
        float,
        typer.Option(
            "--interval",
            parser=seconds("--interval", least=0.1, most=3600.0),
            metavar=TIME,
            help="With --watch: look again after this time.",
        ),
    ] = 2.0,
    columns: ColumnNames = None,
) -> int:
    """Show jobs and their progress.

    Shows how far and how fast each job is, its processes, and the values that it could not open. --columns, -o csv and
    -o name are about the list of jobs. With a job's number, they are about its locations.
    """
    from fluxbase_cli.engine.observe.status import job_details, recent_jobs  # noqa: PLC0415  # start-up time
    from fluxbase_cli.report.status import (  # noqa: PLC0415
        JOBS,
        LOCATIONS,
        details_data,
        details_lines,
        jobs_data,
        jobs_lines,
    )

    if watch and (columns is not None or options.output in (Output.CSV, Output.NAME)):
        raise ConfigurationError(
            "--watch has no columns, no -o csv and no -o name",
            hint="Leave --watch out, or use -o json: one object on a line each time.",
        )
    of_jobs = chosen_columns(options, JOBS, columns) if job is None else None
    of_locations = chosen_columns(options, LOCATIONS, columns) if job is not None else None
    settings = load(options)
    if job is not None:
        details = job_details(settings.database, job)
        if not watch:
            rows = details.locations.items()
            print_list(options, details_data(details), LOCATIONS, rows, of_locations, details_lines(details))
            return ExitCode.DONE
    if watch:
        code = _watch(options, settings.database, job, interval)
        if code is not None:
            return code
    summaries = recent_jobs(settings.database)
    print_list(options, jobs_data(summaries), JOBS, summaries, of_jobs, jobs_lines(summaries))
    return ExitCode.DONE


def _watch(options: Options, database: DatabaseSettings, job: int | None, interval: float) -> int | None:
    """Watch a job and return the exit code. Return None if there is no job to watch."""
    from fluxbase_cli.cli.signals import stop_on_signals  # noqa: PLC0415  # start-up time
    from fluxbase_cli.engine.observe.watch import watch  # noqa: PLC0415
    from fluxbase_cli.engine.stop import Stop  # noqa: PLC0415
    from fluxbase_cli.report.progress import LineProgress  # noqa: PLC0415
    from fluxbase_cli.report.watch import display_for  # noqa: PLC0415

    form = (options.output or Output.TABLE).value
    stop, seen = Stop(), False
    display = display_for(form, color=options.color)
    with stop_on_signals(stop, no_message), display:
        waits = LineProgress(messages_for(options))
        for details in watch(database, job, every_s=interval, stop=stop, observer=waits):
            display.show(details)
            seen = True
            if not was_printed():
                # Nobody reads it any more.
                break
    if stop.requested:
        return interrupted_code(stop.signal)
    return ExitCode.DONE if seen else None
