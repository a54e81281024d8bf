"""Progress on stderr: a live view on a terminal, otherwise a line every few seconds."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from fluxbase_cli.engine.events import BatchDone, Event, Message, PassStarted, Waiting
from fluxbase_cli.log_events import LogEvent
from fluxbase_cli.report.live_area import LiveArea
from fluxbase_cli.report.live_table import live_lines
from fluxbase_cli.report.messages import Messages
from fluxbase_cli.report.progress_state import ProgressState
from fluxbase_cli.report.style import styled, width_of
from fluxbase_cli.report.terminal import draws_views
from fluxbase_cli.report.waits import WaitMessages

_LINE_EVERY_S = 5.0


class LineProgress:
    """A line every few seconds, for pipes and logs."""

    def __init__(
        self, messages: Messages, *, every_s: float = _LINE_EVERY_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._messages = messages
        self._waits = WaitMessages(messages, clock)
        self._every_s = every_s
        self._clock = clock
        self._state = ProgressState(clock)
        self._lock = threading.Lock()
        self._written_at = clock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        """Nothing is left behind."""

    def notify(self, event: Event) -> None:
        """Take note of an event."""
        with self._lock:
            self._state.apply(event)
        if _write_message(self._messages, self._waits, event) or not isinstance(event, BatchDone):
            return
        with self._lock:
            now = self._clock()
            if now - self._written_at < self._every_s:
                return
            self._written_at = now
            state = self._state
            self._messages.tell(
                LogEvent.JOB_PROGRESS,
                ", ".join([f"{state.percent}% done", f"{state.values} secrets", *state.pace()]),
                percent=state.percent,
                secrets=state.values,
                rate_per_second=round(state.rate_per_s or 0.0, 1),
            )


class TableProgress:
    """A live view on a terminal: the total, and one line for each location. It begins with the first pass.

    Until then nothing is drawn, so that a question can be asked.
    """

    def __init__(self, messages: Messages, *, color: bool) -> None:
        self._messages = messages
        self._waits = WaitMessages(messages)
        self._color = color
        self._state = ProgressState()
        # Reentrant: a signal handler may write a message, which draws the view again, while this thread has the lock.
        self._lock = threading.RLock()
        self._area = LiveArea(self._drawn, (sys.stderr, sys.stdout), width_of=width_of)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._area.stop(erase=True)

    def notify(self, event: Event) -> None:
        """Take note of an event."""
        with self._lock:
            self._state.apply(event)
        _write_message(self._messages, self._waits, event)
        if isinstance(event, PassStarted):
            self._area.start()

    def _drawn(self, columns: int, lines: int) -> Sequence[str]:
        with self._lock:
            return styled(live_lines(self._state, columns, lines), color=self._color)


def _write_message(messages: Messages, waits: WaitMessages, event: Event) -> bool:
    """Write the event if it is a message. Return whether it was one."""
    if isinstance(event, Message):
        (messages.warn if event.warning else messages.tell)(event.event, event.message, **event.fields)
        return True
    if isinstance(event, Waiting):
        waits.write(event)
        return True
    return False


class MessagesOnly:
    """Writes the messages and waits of a command that has no progress to show.

    Args:
        messages: where to.
    """

    def __init__(self, messages: Messages) -> None:
        self._messages = messages
        self._waits = WaitMessages(messages)

    def notify(self, event: Event) -> None:
        """Write the event if it is a message."""
        _write_message(self._messages, self._waits, event)


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
    if draws_views(sys.stderr) and not messages.as_json:
        return TableProgress(messages, color=color)
    return LineProgress(messages)
