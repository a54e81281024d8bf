"""What a command tells telemetry, and the listener that does nothing, for commands without it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    # A command without telemetry imports none of these for it.
    from fluxbase_cli.engine.events import Event
    from fluxbase_cli.rotation.context import Moment
    from fluxbase_cli.rotation.metrics import Sample
    from fluxbase_cli.store.rotations import RotationStep

#: What an attribute may be. No text of a user, a server or an error: names, numbers and states of our own only.
Value = str | int | float | bool


class Telemetry(Protocol):
    """Receives what a command does. It never raises, and never waits for a collector, except some time in `close`."""

    def span(
        self, name: str, attributes: Mapping[str, Value], *, if_used: bool = False
    ) -> AbstractContextManager[None]:
        """The span of a command: open inside the block.

        Args:
            name: its name.
            attributes: what is known at its beginning.
            if_used: whether it is only sent if it has a part, or ends with an error.
        """
        ...

    def add(self, attributes: Mapping[str, Value | None]) -> None:
        """Add attributes to the span of the command. None is left out."""
        ...

    def notify(self, event: Event) -> None:
        """Take an event of the engine. Any thread may call it."""
        ...

    def step(self, step: RotationStep, moment: Moment) -> None:
        """Take a moment of a step of a rotation."""
        ...

    def measure(self, source: Callable[[], Iterable[Sample]]) -> None:
        """Set where metrics come from, instead of the events of a job. A thread calls it often."""
        ...

    def close(self, *, quickly: bool = False) -> None:
        """Send what is left, for some seconds at most; `quickly`: for half a second, after a signal."""
        ...


class NullTelemetry:
    """No telemetry was asked for."""

    def span(
        self, name: str, attributes: Mapping[str, Value], *, if_used: bool = False
    ) -> AbstractContextManager[None]:
        """Open no span."""
        del name, attributes, if_used
        return nullcontext()

    def add(self, attributes: Mapping[str, Value | None]) -> None:
        """Drop them."""

    def notify(self, event: Event) -> None:
        """Drop the event."""

    def step(self, step: RotationStep, moment: Moment) -> None:
        """Drop it."""

    def measure(self, source: Callable[[], Iterable[Sample]]) -> None:
        """Ask for no metrics."""

    def close(self, *, quickly: bool = False) -> None:
        """Return at once."""
