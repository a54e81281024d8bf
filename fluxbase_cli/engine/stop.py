"""How a run is asked to stop: the batches in hand are finished and recorded, no new one is begun."""

from __future__ import annotations

import threading


class Stop:
    """A request to stop, from a signal or a failed worker, that all threads look at."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._signal: int | None = None

    @property
    def signal(self) -> int | None:
        """The signal's number, where one was the cause."""
        return self._signal

    @property
    def requested(self) -> bool:
        """Whether to stop."""
        return self._event.is_set()

    @property
    def event(self) -> threading.Event:
        """The event behind it, to wait on."""
        return self._event

    def request(self, signal: int | None = None) -> None:
        """Ask all threads to stop."""
        if signal is not None and self._signal is None:
            self._signal = signal
        self._event.set()

    def wait(self, seconds: float) -> bool:
        """Wait, but not longer than until a stop is asked for; tell whether it is."""
        return self._event.wait(seconds)
