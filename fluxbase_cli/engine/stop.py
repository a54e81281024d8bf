"""A request to stop a run. The batches in progress are finished and recorded, and no new batch begins."""

from __future__ import annotations

import threading


class Stop:
    """A request to stop, from a signal or a failed worker. All threads check it."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._signal: int | None = None

    @property
    def signal(self) -> int | None:
        """The number of the signal that requested the stop; None if no signal did."""
        return self._signal

    @property
    def requested(self) -> bool:
        """Whether to stop."""
        return self._event.is_set()

    @property
    def event(self) -> threading.Event:
        """The event that is set by the request, to wait for."""
        return self._event

    def request(self, signal: int | None = None) -> None:
        """Request that all threads stop."""
        if signal is not None and self._signal is None:
            self._signal = signal
        self._event.set()

    def wait(self, seconds: float) -> bool:
        """Wait for this time, or until a stop is requested. Return whether a stop is requested."""
        return self._event.wait(seconds)
