"""Telemetry for a collector, over OTLP with HTTP. The extra `fluxbase-cli[otel]` has what this imports."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime

from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider

from fluxbase_cli import __version__
from fluxbase_cli.engine.events import Event
from fluxbase_cli.rotation.context import Moment
from fluxbase_cli.rotation.figures import JobFigures
from fluxbase_cli.rotation.job_watch import JobWatch
from fluxbase_cli.rotation.metrics import Sample, job_samples
from fluxbase_cli.store.records import JobState
from fluxbase_cli.store.rotations import RotationStep
from fluxbase_cli.telemetry.asked import Asked
from fluxbase_cli.telemetry.listener import Value
from fluxbase_cli.telemetry.sender import Sender
from fluxbase_cli.telemetry.spans import Spans

#: How long a command waits for the collector at its end, in seconds.
_CLOSE_S = 2.0
#: The same after a signal.
_CLOSE_QUICKLY_S = 0.5


class OtlpTelemetry:
    """Sends what a command does to a collector.

    Args:
        asked: what the environment asks for.
        failed: called at the end if the collector did not take everything.

    Raises:
        Exception: an OTEL_… variable can't be used.
    """

    def __init__(self, asked: Asked, failed: Callable[[], None]) -> None:
        ours = Resource({SERVICE_NAME: "fluxbase-cli", SERVICE_VERSION: __version__})
        # Only what the environment says: no detector may add arguments, users or hosts.
        resource = ours.merge(OTELResourceDetector().detect())
        self._failed = failed
        self._sender = Sender(resource, traces=asked.traces, metrics=asked.metrics, interval_s=asked.interval_s)
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(_ToSender(self._sender))
        self._spans = Spans(provider.get_tracer("fluxbase-cli", __version__))
        self._job = JobWatch(lambda: datetime.now(UTC))
        self._is_completed = False
        self._sender.measure(self._job_now)

    def span(
        self, name: str, attributes: Mapping[str, Value], *, if_used: bool = False
    ) -> AbstractContextManager[None]:
        """The span of a command."""
        return self._spans.command(name, attributes, if_used=if_used)

    def add(self, attributes: Mapping[str, Value | None]) -> None:
        """Add attributes to the span of the command."""
        self._is_completed = attributes.get("job.state") == JobState.COMPLETED.value
        self._spans.add(attributes)

    def notify(self, event: Event) -> None:
        """Take an event of the engine."""
        # An error here would end the job.
        with suppress(Exception):
            self._job.notify(event)
            self._spans.notify(event)

    def step(self, step: RotationStep, moment: Moment) -> None:
        """Take a moment of a step."""
        with suppress(Exception):
            self._spans.step(step, moment)

    def measure(self, source: Callable[[], Iterable[Sample]]) -> None:
        """Set where metrics come from."""
        self._sender.measure(source)

    def close(self, *, quickly: bool = False) -> None:
        """Send what is left."""
        self._sender.close(_CLOSE_QUICKLY_S if quickly else _CLOSE_S)
        if self._sender.failed:
            self._failed()

    def _job_now(self) -> Iterable[Sample]:
        job = self._job.figures()
        return () if job is None else job_samples(JobFigures() if self._is_completed else job)


class _ToSender(SpanProcessor):
    """Hands spans that have ended to the sender.

    The processors of the library do not say what was not delivered, and start a thread in a forked process.
    """

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def on_end(self, span: ReadableSpan) -> None:
        self._sender.take(span)
