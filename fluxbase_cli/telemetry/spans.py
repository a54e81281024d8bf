"""The spans of one command: the command, the steps of a rotation, and the passes of a job."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.trace import Span, StatusCode, Tracer

from fluxbase_cli.engine.events import BatchDone, Event, PassStarted, Waiting
from fluxbase_cli.errors import FluxbaseCliError
from fluxbase_cli.rotation.context import Moment
from fluxbase_cli.store.rotations import RotationStep
from fluxbase_cli.telemetry.listener import Value

_PREFIX = "fluxbase."


class Spans:
    """Opens and ends spans. A pass is a part of the step that runs, or of the command.

    Args:
        tracer: makes the spans.
    """

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._lock = threading.RLock()
        self._command: Span | None = None
        self._step: Span | None = None
        self._pass: Span | None = None
        self._is_used = False
        self._rows = 0
        self._values = 0
        self._waits = 0

    @contextmanager
    def command(self, name: str, attributes: Mapping[str, Value], *, if_used: bool) -> Iterator[None]:
        """The span of the command. Of an error only the type and the exit code are noted, and not its text."""
        with self._lock:
            self._command = self._tracer.start_span(name, attributes=_named(attributes))
            self._is_used, self._waits = not if_used, 0
        try:
            yield
        except BaseException as error:
            self._is_used = True
            self._command.set_attribute("error.type", type(error).__name__)
            if isinstance(error, FluxbaseCliError):
                self._command.set_attribute(f"{_PREFIX}exit_code", int(error.exit_code))
            self._end_all(StatusCode.ERROR)
            raise
        self._end_all(StatusCode.UNSET)

    def add(self, attributes: Mapping[str, Value | None]) -> None:
        """Add attributes to the span of the command."""
        with self._lock:
            if self._command is not None:
                known = {name: value for name, value in attributes.items() if value is not None}
                self._command.set_attributes(_named(known))
                if known.get("job.state") == "failed":
                    self._command.set_status(StatusCode.ERROR)

    def notify(self, event: Event) -> None:
        """Begin a pass, or count what a pass has done."""
        with self._lock:
            if self._command is None:
                return
            if isinstance(event, PassStarted):
                self._end_pass()
                self._pass = self._begin(f"pass {event.number}", {"pass.number": event.number})
                self._rows = self._values = 0
            elif isinstance(event, BatchDone):
                self._rows += event.rows
                self._values += sum(counts.scanned for counts in event.counts.values())
            elif isinstance(event, Waiting):
                # The reason may name hosts and users of the database. It is in the log.
                self._waits += 1

    def step(self, step: RotationStep, moment: Moment) -> None:
        """Begin or end a step."""
        with self._lock:
            if self._command is None:
                return
            if moment is Moment.BEGUN:
                self._end_step(StatusCode.UNSET)
                self._step = self._begin(f"step {step.value}", {"rotation.step": step.value})
            elif moment is Moment.RECORDED:
                self._end_step(StatusCode.UNSET)

    def _begin(self, name: str, attributes: Mapping[str, Value]) -> Span:
        self._is_used = True
        parent = self._step or self._command
        assert parent is not None  # noqa: S101  # there is a command
        context = trace.set_span_in_context(parent)
        return self._tracer.start_span(name, context, attributes=_named(attributes))

    def _end_pass(self) -> None:
        if self._pass is not None:
            self._pass.set_attributes(_named({"pass.rows": self._rows, "pass.values": self._values}))
            self._pass.end()
            self._pass = None

    def _end_step(self, status: StatusCode) -> None:
        self._end_pass()
        if self._step is not None:
            if status is not StatusCode.UNSET:
                self._step.set_status(status)
            self._step.end()
            self._step = None

    def _end_all(self, status: StatusCode) -> None:
        with self._lock:
            # A step that is not recorded by now has failed, or a signal has stopped it.
            self._end_step(StatusCode.ERROR)
            if self._command is not None:
                self._command.set_attribute(f"{_PREFIX}waits", self._waits)
                if status is not StatusCode.UNSET:
                    self._command.set_status(status)
                if self._is_used:
                    self._command.end()
                self._command = None


def _named(attributes: Mapping[str, Value]) -> dict[str, Value]:
    return {f"{_PREFIX}{name}": value for name, value in attributes.items()}
