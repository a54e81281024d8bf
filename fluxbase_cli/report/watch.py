"""The output of `secrets status --watch`: a live table on a terminal, otherwise one text for each reading."""

from __future__ import annotations

import os
import sys
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from fluxbase_cli.color import may_redraw
from fluxbase_cli.engine.observe.status import JobDetails
from fluxbase_cli.printable import Lines, as_printed, lines, printable, to_printable_json
from fluxbase_cli.report.json_report import to_yaml
from fluxbase_cli.report.status import details_data, details_lines, headline, last_heard_of
from fluxbase_cli.report.text import quarantine_line, quarantine_titles
from fluxbase_cli.streams import own

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live
    from rich.table import Table

#: At most so many values are listed, so that the locations stay on the screen. `secrets status JOB` lists all.
_LISTED = 5


class Display(Protocol):
    """Shows one reading after the other. It is a context manager."""

    def __enter__(self) -> Self:
        """Begin."""
        ...

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        """Restore the terminal."""
        ...

    def show(self, details: JobDetails) -> None:
        """Show a reading."""
        ...


class LinesDisplay:
    """Writes a text for each reading.

    Args:
        form: `table` for one line for each reading, and all details at the end; `json` for one line with an object;
            `yaml` for one document.
    """

    def __init__(self, form: str) -> None:
        self._form = form

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        """Nothing is left behind."""

    def show(self, details: JobDetails) -> None:
        """Write a reading."""
        if self._form == "json":
            text: str = Lines(to_printable_json(details_data(details)))
        elif self._form == "yaml":
            text = lines(("---", to_yaml(details_data(details))))
        elif details.summary.ended:
            text = lines(details_lines(details))
        else:
            text = f"{details.now.astimezone():%H:%M:%S}  {headline(details)}"
        print(as_printed(text), flush=True)  # noqa: T201


class TableDisplay:
    """A table on a terminal. It is drawn again for each reading. The last table stays on the screen."""

    def __init__(self, *, color: bool) -> None:
        self._live = _make_live(color=color)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, details: JobDetails) -> None:
        """Draw a reading."""
        self._live.update(_drawn(details), refresh=True)


def display_for(form: str, *, color: bool) -> Display:
    """Choose the display for the output form, and for a terminal or a pipe."""
    if form == "table" and sys.stdout.isatty() and may_redraw(os.environ):
        return TableDisplay(color=color)
    return LinesDisplay(form)


def _make_live(*, color: bool) -> Live:
    from rich.console import Console  # noqa: PLC0415  # start-up time
    from rich.live import Live  # noqa: PLC0415

    # Names and reasons may look like Rich's markup. They are printed as they are.
    console = Console(file=own(sys.stdout), no_color=not color, markup=False, emoji=False, highlight=False)
    return Live(console=console, auto_refresh=False)


def _drawn(details: JobDetails) -> RenderableType:
    from rich.console import Group  # noqa: PLC0415  # start-up time
    from rich.text import Text  # noqa: PLC0415

    job = details.summary.job
    parts: list[RenderableType] = [Text(printable(headline(details)), style="bold")]
    parts += [Text(printable(f"Reason: {job.reason}"))] if job.reason else []
    parts += [Text(printable(f"Error: {job.error}"), style="red")] if job.error else []
    parts.append(_locations(details))
    if any(runner.ended_at is None for runner in details.runners):
        parts.append(_runners(details))
    if details.quarantine:
        parts.extend(map(Text, quarantine_titles(details.quarantine)))
        for entry in details.quarantine[:_LISTED]:
            parts.append(Text(printable(quarantine_line(entry)), no_wrap=True))
        if details.quarantine.total > _LISTED:
            more = details.quarantine.total - _LISTED
            parts.append(Text(f"  … and {more} more; `fluxbase-cli secrets status {job.id}` lists more"))
    return Group(*parts)


def _locations(details: JobDetails) -> Table:
    from rich.progress_bar import ProgressBar  # noqa: PLC0415  # start-up time

    table = _table(
        ("LOCATION", False), ("DONE", True), ("", False), ("SCANNED", True), ("RE-ENCRYPTED", True), ("/S", True)
    )
    for name, progress in details.locations.items():
        rate = progress.rate_per_s
        table.add_row(
            printable(name),
            f"{progress.percent}%",
            ProgressBar(total=100, completed=progress.percent, width=12),
            f"{progress.counts.scanned:,}",
            f"{progress.counts.re_encrypted:,}",
            f"{rate:,.0f}" if rate else "",
        )
    return table


def _runners(details: JobDetails) -> Table:
    table = _table(("RUNNER", False), ("HOST", False), ("PROCESS", True), ("WORKERS", True), ("LAST HEARD OF", False))
    for runner in details.runners:
        if runner.ended_at is None:
            table.add_row(
                "alive" if runner.alive else "gone",
                printable(runner.host),
                str(runner.pid),
                str(runner.workers),
                last_heard_of(runner, details.now),
            )
    return table


def _table(*columns: tuple[str, bool]) -> Table:
    """Make a table. Each column has a name, and whether it holds numbers. Long names are cut on a narrow terminal."""
    from rich.table import Table  # noqa: PLC0415  # start-up time

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name, number in columns:
        table.add_column(name, justify="right" if number else "left", overflow="ellipsis", no_wrap=True)
    return table
