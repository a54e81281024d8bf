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
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from fluxbase_cli.printable import printable_text

_STDIN, _STDOUT, _STDERR = range(3)


class _Target:
    """The stream that Python made, until it fails. After that, everything written is dropped."""

    def __init__(self, stream: TextIO, number: int, failure: OSError | None) -> None:
        self.stream = stream
        self.number = number
        self.failure = failure
        self.lost_something = False

    def write(self, text: str) -> None:
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
    out, err = (
        _guarded(stream, number, OSError(errno.EBADF, "it is closed") if number in closed else None)
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


def _guarded(stream: TextIO | None, number: int, failure: OSError | None) -> Stream:
    if stream is None:
        stream = open(number, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  # a descriptor
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        # A terminal that can't show ✓ shows a question mark. Without this the job would end with an error.
        reconfigure(errors="replace")
    target = _Target(stream, number, failure)
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
