"""The output of `secrets status --watch`: a live view on a terminal, otherwise one text for each reading."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Protocol, Self

from fluxbase_cli.counts import worded
from fluxbase_cli.engine.observe.status import JobDetails, LocationProgress
from fluxbase_cli.moments import clock_text
from fluxbase_cli.printable import Lines, as_printed, lines, printable, to_printable_json
from fluxbase_cli.report.json_report import to_yaml
from fluxbase_cli.report.left_values import left_titles
from fluxbase_cli.report.live_area import LiveArea
from fluxbase_cli.report.live_table import ViewRow, cut, view_table
from fluxbase_cli.report.status import (
    details_data,
    details_lines,
    headline,
    last_heard_of,
    pace_parts,
    state_remarks,
    title,
)
from fluxbase_cli.report.style import styled, width_of
from fluxbase_cli.report.table import paragraph
from fluxbase_cli.report.terminal import draws_views

#: At most so many processes are listed, so that the locations stay on the screen. `secrets status JOB` lists all.
_RUNNERS = 4
_LEAST_LINES = 3


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
            text = f"{clock_text(details.now)}  {headline(details)}"
        print(as_printed(text), flush=True)  # noqa: T201


class TableDisplay:
    """A view on a terminal. It is drawn again for each reading. The last one stays on the screen.

    Args:
        color: whether colour may be used.
    """

    def __init__(self, *, color: bool) -> None:
        self._color = color
        self._details: JobDetails | None = None
        self._area = LiveArea(self._drawn, (sys.stdout, sys.stderr), width_of=width_of)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._area.stop(erase=False)

    def show(self, details: JobDetails) -> None:
        """Draw a reading."""
        first, self._details = self._details is None, details
        if first:
            self._area.start()
        else:
            self._area.refresh()

    def _drawn(self, columns: int, height: int) -> Sequence[str]:
        details = self._details
        return [] if details is None else styled(view_lines(details, columns, height), color=self._color)


def display_for(form: str, *, color: bool) -> Display:
    """Choose the display for the output form, and for a terminal or a pipe."""
    if form == "table" and draws_views(sys.stdout):
        return TableDisplay(color=color)
    return LinesDisplay(form)


def view_lines(details: JobDetails, columns: int, height: int) -> list[str]:
    """A job as a view: what it is and how far, its runners, the values that were left, and its locations.

    Args:
        details: the job.
        columns: how many columns there are.
        height: how many lines there are.
    """
    number = details.summary.job.id
    top = list(paragraph(title(details), hanging="  ", width=columns))
    pace = ", ".join(pace_parts(details))
    top += paragraph(pace, "  ", width=columns) if pace else ()
    for remark in state_remarks(details):
        top += paragraph(remark, hanging="  ", width=columns)
    bottom = [f"  {runner}" for runner in _runners(details)]
    bottom += [f"  {left.removesuffix(':')}" for left in left_titles(details.quarantine)]
    if details.quarantine:
        bottom.append(f"  `fluxbase-cli secrets status {number}` lists them")
    bottom = [cut(printable(line), columns) for line in bottom]
    # The locations have at least these lines: the headings, one location, and how many more there are.
    top = top[: max(height - _LEAST_LINES, 1)]
    bottom = bottom[: max(height - _LEAST_LINES - len(top), 0)]
    return [*top, *_locations(details, columns, height - len(top) - len(bottom)), *bottom]


def _locations(details: JobDetails, columns: int, height: int) -> list[str]:
    places = sorted(details.locations.items(), key=lambda each: _place(each[1]))
    rows = [
        ViewRow(
            name,
            progress.percent,
            (
                f"{progress.counts.re_encrypted:,}",
                f"{progress.rate_per_s:,.0f}/s" if progress.rate_per_s else "",
                f"{progress.counts.scanned:,}",
            ),
        )
        for name, progress in places
    ]
    return view_table(rows, ("RE-ENCRYPTED", "RATE", "SCANNED"), columns, height)


def _place(progress: LocationProgress) -> int:
    """Where a location stands: those in progress, then those that will come, then those that are done."""
    if progress.done:
        return 2
    return 0 if progress.rows_done else 1


def _runners(details: JobDetails) -> Iterator[str]:
    """The runners that have not ended. A job on many machines has many of them."""
    alive = [runner for runner in details.runners if runner.ended_at is None]
    for runner in alive[:_RUNNERS]:
        state = "alive" if runner.alive else "gone"
        workers = f"{runner.workers} {'worker' if runner.workers == 1 else 'workers'}"
        heard = last_heard_of(runner, details.now)
        yield f"Process {runner.pid} on {runner.host}: {state}, {workers}, last heard of {heard}"
    if len(alive) > _RUNNERS:
        yield f"… and {worded(len(alive) - _RUNNERS, 'more process', 'more processes')}"
