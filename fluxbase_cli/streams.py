"""Standard output and standard error: nothing on them reaches a terminal unescaped, and losing them ends no job.

A stream can be closed before the program starts (`>&-`), be full (a full disk, `/dev/full`), or lose its reader
(`| head -1`). What is written then is lost; the job goes on, and its own outcome decides the exit code. What was lost
is known here, so that it can be said on the other stream.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from fluxbase_cli.printable import printable_text

_STDIN, _STDOUT, _STDERR = range(3)
#: So many pieces of text are kept, which is more than a screen of lines.
_RECENT = 200


#: Puts whole lines above a view: takes a function that writes a text, and the text.
Above = Callable[[Callable[[str], None], str], None]


class _Target:
    """The stream that Python made, until it fails. After that, everything written is dropped."""

    def __init__(self, stream: TextIO, number: int, failure: OSError | None, recent: deque[str]) -> None:
        self.stream = stream
        self.recent = recent
        self.number = number
        self.failure = failure
        self.lost_something = False
        self.above: Above | None = None
        self._partial = ""

    def write(self, text: str) -> None:
        self.recent.append(text)
        if self.above is None:
            self.put(text)
            return
        # `print` writes the last end of a line separately. Only whole texts go above a view.
        self._partial += text
        if self._partial.endswith("\n"):
            whole, self._partial = self._partial, ""
            self.above(self.put, whole)

    def put_partial(self) -> None:
        partial, self._partial = self._partial, ""
        if partial:
            self.put(partial)

    def put(self, text: str) -> None:
        if self.failure is not None:
            self.lost_something = True
            return
        try:
            self.stream.write(text)
        except OSError as error:
            self._fail(error)

    def flush(self) -> None:
        # Since Python 3.13 an error here is reported also when this object is removed, after its stream was closed.
        if self.failure is None and not self.stream.closed:
            try:
                self.stream.flush()
            except OSError as error:
                self._fail(error)

    def _fail(self, error: OSError) -> None:
        self.failure = error
        self.lost_something = True
        # What is left in Python's buffer must not fail again when the process ends.
        _open_null(self.number)


class Stream(io.TextIOBase):
    """Takes the place of `sys.stdout` or `sys.stderr`.

    Attributes:
        own: the same stream for text that is safe already and has escape sequences of our own: colours, and a table
            that is drawn again.
    """

    def __init__(self, target: _Target, own: Stream | None = None) -> None:
        super().__init__()
        self._target = target
        self._escapes = own is not None
        self.own: Stream = self if own is None else own

    @property
    def failure(self) -> OSError | None:
        """Why nothing can be written any more; None if it can."""
        return self._target.failure

    @property
    def is_lost(self) -> bool:
        """Whether something was lost that somebody may have wanted. A reader that ends early wants no more."""
        return self._target.lost_something and self.failure is not None and self.failure.errno != errno.EPIPE

    @property
    def encoding(self) -> str:  # type: ignore[override]  # read-only
        """Of the stream underneath."""
        return self._target.stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]  # read-only
        """Of the stream underneath."""
        return self._target.stream.errors

    def write(self, text: str, /) -> int:
        """Write a text. Control characters in it are escaped, except in `own`."""
        self._target.write(printable_text(text) if self._escapes else text)
        return len(text)

    def draw(self, text: str) -> None:
        """Write a part of a view: safe already, and not above any view."""
        self._target.put(text)
        self._target.flush()

    @property
    def recent_lines(self) -> list[str]:
        """The last lines that were written to the standard streams, without views."""
        return "".join(self._target.recent).removesuffix("\n").split("\n")

    def note_typed(self, text: str) -> None:
        """Take note of what somebody has typed, which the terminal shows too."""
        self._target.recent.append(text)

    def write_above(self, above: Above | None) -> None:
        """From now on, whole lines are written by this function, which puts them above a view. None ends that."""
        self._target.above = above
        if above is None:
            self._target.put_partial()

    def flush(self) -> None:
        """Flush it."""
        self._target.flush()

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._target.stream.isatty()

    def fileno(self) -> int:
        """The number of its descriptor."""
        return self._target.stream.fileno()


@contextmanager
def guarded_streams() -> Iterator[tuple[Stream, Stream]]:
    """Inside the block, `sys.stdout` and `sys.stderr` are guarded, and no standard stream is missing.

    Otherwise the first file or connection that is opened would get the number of a closed stream, and everything that
    is printed.
    """
    closed = [number for number in (_STDIN, _STDOUT, _STDERR) if not _is_open(number)]
    for number in closed:
        _open_null(number)
    before = sys.stdin, sys.stdout, sys.stderr
    if sys.stdin is None:
        # Python leaves it out if its descriptor is closed.
        sys.stdin = open(_STDIN, encoding="utf-8", closefd=False)  # noqa: SIM115  # a descriptor
    recent: deque[str] = deque(maxlen=_RECENT)
    out, err = (
        _guarded(stream, number, OSError(errno.EBADF, "it is closed") if number in closed else None, recent)
        for stream, number in ((sys.stdout, _STDOUT), (sys.stderr, _STDERR))
    )
    sys.stdout, sys.stderr = out, err
    try:
        yield out, err
    finally:
        out.flush()
        err.flush()
        sys.stdin, sys.stdout, sys.stderr = before


def own(stream: TextIO) -> TextIO:
    """Where text with our own escape sequences is written: `Stream.own`, or the stream itself if it is not guarded."""
    return stream.own if isinstance(stream, Stream) else stream  # type: ignore[return-value]  # as TextIO asks


def _guarded(stream: TextIO | None, number: int, failure: OSError | None, recent: deque[str]) -> Stream:
    if stream is None:
        stream = open(number, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  # a descriptor
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        # A terminal that can't show ✓ shows a question mark. Without this the job would end with an error.
        reconfigure(errors="replace")
    target = _Target(stream, number, failure, recent)
    return Stream(target, Stream(target))


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _open_null(number: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    if null != number:
        os.dup2(null, number)
        os.close(null)
    else:
        # Programs that we start get it too, as they get any standard stream.
        os.set_inheritable(number, True)  # noqa: FBT003  # the function has no keyword
