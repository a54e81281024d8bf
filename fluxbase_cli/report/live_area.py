"""The lower part of a terminal, in which a view is drawn again and again. Messages appear above it.

The cursor stays visible, on the line below the view. So there is nothing to restore, however the process ends. Rich's
live display hides the cursor, and it can't know how many lines its last drawing takes after the window was made
narrower; what it draws then stands over old lines.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import TextIO

from fluxbase_cli.report.terminal import size_of
from fluxbase_cli.streams import Stream

#: Draws a view: takes the columns and the lines that there are, and returns at most so many lines.
Draw = Callable[[int, int], Sequence[str]]
#: How often the view is drawn again, in seconds.
_EVERY_S = 0.5
_UP = "\x1b[{}A"
_HOME = "\x1b[H"
_CLEAR_LINE = "\x1b[2K"
_CLEAR_REST = "\x1b[K"


class LiveArea:
    """Shows a view until it is stopped.

    Args:
        draw: returns the lines of the view, without their line ends. Escape sequences for colours are counted by
            `width_of`.
        streams: the standard streams. The view is drawn on the first one. What is written to them meanwhile appears
            above it.
        width_of: how many columns a line takes.
    """

    def __init__(self, draw: Draw, streams: Sequence[TextIO], *, width_of: Callable[[str], int] = len) -> None:
        self._draw = draw
        self._streams = [stream for stream in streams if isinstance(stream, Stream) and stream.isatty()]
        self._out = streams[0]
        self._width_of = width_of
        # Reentrant: a signal handler may write a message while the main thread writes one.
        self._lock = threading.RLock()
        self._drawn: Sequence[str] = ()
        self._size = size_of(self._out)
        self._repaints = 0
        self._active = False
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._process = os.getpid()

    def start(self, *, every_s: float | None = _EVERY_S) -> None:
        """Draw the view, and draw it again from time to time.

        Args:
            every_s: seconds between two drawings; None if only `refresh` draws it.
        """
        if self._active:
            return
        self._active = True
        for stream in self._streams:
            stream.write_above(self._above)
        self.refresh()
        if every_s is not None:
            self._thread = threading.Thread(target=self._run, args=(every_s,), name="live-view", daemon=True)
            self._thread.start()

    def stop(self, *, erase: bool) -> None:
        """Draw the view no more.

        Args:
            erase: whether to remove it. Otherwise it stays where it is.
        """
        if not self._active:
            return
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        with self._lock:
            self._active = False
            for stream in self._streams:
                stream.write_above(None)
            if erase:
                self._note_size()
                if self._repaints:
                    self._repaint()
                self._write(self._erased())

    def refresh(self) -> None:
        """Draw the view again."""
        with self._lock:
            self._note_size()
            if self._repaints:
                self._repaint()
                return
            lines = self._lines()
            text = self._up(len(self._drawn)) if len(lines) >= len(self._drawn) else self._erased()
            self._drawn = lines
            self._write(text + "".join(f"{line}{_CLEAR_REST}\n" for line in lines))

    def _note_size(self) -> None:
        """Find out whether the window was made narrower than the view."""
        before, self._size = self._size, size_of(self._out)
        if self._size[0] < before[0] and any(self._width_of(line) > self._size[0] for line in self._drawn):
            # Twice, since a drawing may have been under way while the window changed.
            self._repaints = 2

    def _repaint(self) -> None:
        """Write the whole screen: the last messages, and the view below them.

        In a narrower window each long line takes several lines, also of what a drawing wrote shortly before that. How
        many is not known, so that nothing on the screen can be told from an old line of the view.
        """
        self._repaints -= 1
        columns, height = self._size
        self._drawn = self._lines()
        shown: list[str] = []
        room = height - 1 - len(self._drawn)
        for line in reversed(self._recent()):
            room -= max(1, -(-self._width_of(line) // columns))
            if room < 0:
                break
            shown.insert(0, line)
        # Line by line: some terminals keep a copy of a screen that is erased as a whole.
        cleared = _HOME + "\n".join([_CLEAR_LINE] * height) + _HOME
        self._write(cleared + "".join(f"{line}\n" for line in [*shown, *self._drawn]))

    def _recent(self) -> list[str]:
        return self._streams[0].recent_lines if self._streams else []

    def _run(self, every_s: float) -> None:
        while not self._ended.wait(every_s):
            self.refresh()

    def _above(self, write: Callable[[str], None], text: str) -> None:
        """Write a text of whole lines above the view."""
        if os.getpid() != self._process:
            # A process that was forked: the lock may be held for ever there, and it does not draw.
            write(text)
            return
        with self._lock:
            self._note_size()
            if self._repaints:
                # The text is one of the last messages already.
                self._repaint()
                return
            before = self._erased()
            lines = self._lines()
            self._drawn = lines
            self._write(before)
            write(text)
            self._write("".join(f"{line}\n" for line in lines))

    def _lines(self) -> Sequence[str]:
        columns, lines = self._size
        # A line that fills the last column leaves the cursor where it would be cut. The last line is the cursor's, and
        # the first one is that of the last message: a view from the top to the bottom would have to be erased as a
        # whole screen, and some terminals keep a copy of that.
        height = max(1, lines - 2)
        return self._draw(max(1, columns - 1), height)[:height]

    @staticmethod
    def _up(lines: int) -> str:
        return "\r" + (_UP.format(lines) if lines else "")

    def _erased(self) -> str:
        """What removes the view."""
        taken = min(len(self._drawn), self._size[1] - 1)
        self._drawn = ()
        return self._up(taken) + "\n".join([_CLEAR_LINE] * (taken + 1)) + self._up(taken)

    def _write(self, text: str) -> None:
        if isinstance(self._out, Stream):
            self._out.draw(text)
        else:
            self._out.write(text)
            self._out.flush()
