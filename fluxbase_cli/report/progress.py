"""Progress on stderr: a table on a terminal, otherwise a line every few seconds."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

from fluxbase_cli.color import may_redraw
from fluxbase_cli.engine.events import BatchDone, Event, Message, PassStarted, Waiting
from fluxbase_cli.log_events import LogEvent
from fluxbase_cli.printable import printable
from fluxbase_cli.report.messages import Messages
from fluxbase_cli.streams import own

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn, TaskID

_LINE_EVERY_S = 5.0


@dataclass(slots=True)
class _Row:
    """One location: the rows of its table, how many are done, and the sealed values seen in them."""

    rows: int
    done: int
    values: int = 0


class ProgressState:
    """The progress of all locations. Events update it, and displays read it."""

    def __init__(self) -> None:
        self.locations: dict[str, _Row] = {}
        self.started = time.monotonic()
        self._rows_at_start = 0

    def apply(self, event: PassStarted | BatchDone) -> None:
        """Update the progress. Catch-up passes are quick and do not change it."""
        if isinstance(event, PassStarted):
            if event.number == 0:
                self.locations = {name: _Row(rows, event.done.get(name, 0)) for name, rows in event.rows.items()}
                self.started = time.monotonic()
                self._rows_at_start = self.rows_done
            return
        if event.pass_number != 0:
            return
        for column, counts in event.counts.items():
            row = self.locations.get(f"{event.table}.{column}")
            if row is not None:
                row.done += event.rows
                row.values += counts.scanned

    @property
    def rows_done(self) -> int:
        """Rows done in all locations."""
        return sum(row.done for row in self.locations.values())

    @property
    def rows(self) -> int:
        """Rows in all locations."""
        return sum(row.rows for row in self.locations.values())

    @property
    def values(self) -> int:
        """Sealed values seen by this run."""
        return sum(row.values for row in self.locations.values())

    @property
    def rate_per_s(self) -> float:
        """Values per second since the start."""
        elapsed = time.monotonic() - self.started
        return self.values / elapsed if elapsed > 0 else 0.0

    @property
    def eta_s(self) -> float | None:
        """Seconds to the end at this rate. None as long as that is unknown."""
        moved = self.rows_done - self._rows_at_start
        if moved <= 0:
            return None
        return (time.monotonic() - self.started) / moved * max(self.rows - self.rows_done, 0)

    @property
    def percent(self) -> int:
        """How much is done, in percent; never 100 before the end."""
        return min(99, 100 * self.rows_done // self.rows) if self.rows else 99


class LineProgress:
    """A line every few seconds, for pipes and logs."""

    def __init__(
        self, messages: Messages, *, every_s: float = _LINE_EVERY_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._messages = messages
        self._every_s = every_s
        self._clock = clock
        self._state = ProgressState()
        self._lock = threading.Lock()
        self._written_at = clock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        """Nothing is left behind."""

    def notify(self, event: Event) -> None:
        """Take note of an event."""
        if _write_message(self._messages, event) or not isinstance(event, (PassStarted, BatchDone)):
            return
        with self._lock:
            self._state.apply(event)
            now = self._clock()
            if now - self._written_at < self._every_s or isinstance(event, PassStarted):
                return
            self._written_at = now
            state = self._state
            eta = state.eta_s
            text = f"{state.percent}% done, {state.values} secrets, {state.rate_per_s:,.0f}/s"
            if eta is not None:
                text += f", {eta:.0f}s left"
            self._messages.tell(
                LogEvent.JOB_PROGRESS,
                text,
                percent=state.percent,
                secrets=state.values,
                rate_per_second=round(state.rate_per_s, 1),
            )


class TableProgress:
    """A live table on a terminal: one row for each location, with rate and time left."""

    def __init__(self, messages: Messages, *, color: bool) -> None:
        self._messages = messages
        self._state = ProgressState()
        self._lock = threading.Lock()
        self._tasks: dict[str, TaskID] = {}
        self._progress = _make_progress(color=color)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def notify(self, event: Event) -> None:
        """Take note of an event."""
        if isinstance(event, (Message, Waiting)):
            _write_message(self._messages, event)
            return
        if not isinstance(event, (PassStarted, BatchDone)):
            return
        with self._lock:
            self._state.apply(event)
            if isinstance(event, PassStarted):
                self._begin(event)
                return
            for column in event.counts:
                name = f"{event.table}.{column}"
                if name in self._tasks and event.pass_number == 0:
                    row = self._state.locations[name]
                    self._progress.update(self._tasks[name], completed=row.done, values=f"{row.values:,}")

    def _begin(self, event: PassStarted) -> None:
        if event.number > 0:
            return
        for name, row in self._state.locations.items():
            if name not in self._tasks:
                self._tasks[name] = self._progress.add_task(printable(name), total=row.rows, values="0")
            self._progress.update(self._tasks[name], completed=row.done)


def _make_progress(*, color: bool) -> Progress:
    from rich.console import Console  # noqa: PLC0415  # start-up time
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415
    from rich.table import Column  # noqa: PLC0415

    # Names may look like Rich's markup. They are printed as they are.
    console = Console(file=own(sys.stderr), no_color=not color, markup=False, emoji=False, highlight=False)
    return Progress(
        TextColumn("{task.description}", markup=False, table_column=Column(overflow="ellipsis", no_wrap=True, ratio=3)),
        BarColumn(bar_width=None, table_column=Column(ratio=2, min_width=4)),
        TextColumn("{task.percentage:>3.0f}%", table_column=Column(no_wrap=True)),
        TextColumn("{task.fields[values]}", justify="right", table_column=Column(no_wrap=True)),
        _rate_column(),
        TimeRemainingColumn(compact=True),
        console=console,
        expand=console.width < 120,  # noqa: PLR2004  # wide terminals need no stretching
        transient=True,
    )


def _rate_column() -> ProgressColumn:
    from rich.progress import ProgressColumn, Task  # noqa: PLC0415  # start-up time
    from rich.text import Text  # noqa: PLC0415

    class Rate(ProgressColumn):
        """Rows per second; blank as long as that is unknown."""

        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{speed:,.0f}/s" if speed else "", justify="right")

    return Rate()


def _write_message(messages: Messages, event: Event) -> bool:
    """Write the event if it is a message. Return whether it was one."""
    if isinstance(event, Message):
        (messages.warn if event.warning else messages.tell)(event.event, event.message, **event.fields)
        return True
    if isinstance(event, Waiting):
        how_long = "" if event.seconds is None else f" {event.seconds:.1f}s"
        messages.warn(
            LogEvent.JOB_WAITING,
            f"waiting{how_long}: {event.reason}",
            waiting_seconds=None if event.seconds is None else round(event.seconds, 3),
        )
        return True
    return False


class MessagesOnly:
    """Writes the messages and waits of a command that has no progress to show.

    Args:
        messages: where to.
    """

    def __init__(self, messages: Messages) -> None:
        self._messages = messages

    def notify(self, event: Event) -> None:
        """Write the event if it is a message."""
        _write_message(self._messages, event)


class QuietProgress:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        """Nothing is left behind."""

    def notify(self, event: Event) -> None:
        """Ignore the event."""


def progress_for(messages: Messages, *, color: bool) -> TableProgress | LineProgress | QuietProgress:
    """Choose the display: none, a table on a terminal, or lines."""
    if messages.quiet:
        return QuietProgress()
    if sys.stderr.isatty() and not messages.as_json and may_redraw(os.environ):
        return TableProgress(messages, color=color)
    return LineProgress(messages)
