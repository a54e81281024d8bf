"""A request to stop a run. The batches in progress are finished and recorded, and no new batch begins."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fluxbase_cli.store.records import StopRequest


class Stop:
    """A request to stop, from a signal, from `secrets stop` or after a failed worker. All threads check it."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._signal: int | None = None
        self._order: StopRequest | None = None
        self._children: list[Stop] = []
        self._finishing = 0

    @property
    def signal(self) -> int | None:
        """The number of the signal that requested the stop; None if no signal did."""
        return self._signal

    @property
    def order(self) -> StopRequest | None:
        """The request of `secrets stop`; None if there was none."""
        return self._order

    @property
    def requested(self) -> bool:
        """Whether to stop."""
        return self._event.is_set()

    @property
    def event(self) -> threading.Event:
        """The event that is set by the request, to wait for."""
        return self._event

    def request(self, signal: int | None = None, *, order: StopRequest | None = None) -> None:
        """Request that all threads stop."""
        if signal is not None and self._signal is None:
            self._signal = signal
        if order is not None and self._order is None:
            self._order = order
        self._event.set()
        for child in tuple(self._children):
            child.request(signal, order=order)

    def wait(self, seconds: float) -> bool:
        """Wait for this time, or until a stop is requested. Return whether a stop is requested."""
        return self._event.wait(seconds)

    @property
    def finishing(self) -> bool:
        """Whether something must be done to its end, also if a signal has requested a stop."""
        return self._finishing > 0

    @contextmanager
    def to_the_end(self) -> Iterator[None]:
        """Inside the block, a signal does not end the process: a server that was stopped must be started again."""
        self._finishing += 1
        try:
            yield
        finally:
            self._finishing -= 1

    @contextmanager
    def child(self) -> Iterator[Stop]:
        """A stop for a part of the run: this one requests it too, but it does not request this one."""
        child = Stop()
        self._children.append(child)
        try:
            if self.requested:
                child.request(self._signal, order=self._order)
            yield child
        finally:
            self._children.remove(child)
