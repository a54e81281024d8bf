"""Sends spans and metrics to the collector from a thread of its own, so that nothing else waits for it."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics.export import (
    Gauge,
    Metric,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from fluxbase_cli import __version__
from fluxbase_cli.rotation.metrics import Sample

_SPANS_EVERY_S = 5.0
#: A command has some dozen spans. If the collector takes none for a long time, the oldest are dropped.
_MOST_SPANS = 2048
_NAME = "fluxbase-cli"


class Sender:
    """The thread that sends.

    Args:
        resource: what all spans and metrics are of.
        traces, metrics: whether they are sent.
        interval_s: how often metrics are sent.

    Raises:
        Exception: an OTEL_… variable can't be used.
    """

    def __init__(self, resource: Resource, *, traces: bool, metrics: bool, interval_s: float) -> None:
        # Its messages have addresses and texts of other systems. What failed is told by `failed`.
        logger = logging.getLogger("opentelemetry")
        logger.addHandler(logging.NullHandler())
        logger.propagate = False
        self._resource = resource
        self._spans: deque[ReadableSpan] = deque(maxlen=_MOST_SPANS)
        self._span_exporter = OTLPSpanExporter() if traces else None
        self._metric_exporter = OTLPMetricExporter() if metrics else None
        self._interval_s = interval_s
        self._source: Callable[[], Iterable[Sample]] | None = None
        self._closing = threading.Event()
        self._given_up = False
        self.failed = False
        # If the collector hangs, this thread must not keep the program from ending.
        self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)
        self._thread.start()

    def take(self, span: ReadableSpan) -> None:
        """Take a span that has ended."""
        self._spans.append(span)

    def measure(self, source: Callable[[], Iterable[Sample]]) -> None:
        """Set where metrics come from."""
        self._source = source

    def close(self, limit_s: float) -> None:
        """Send what is left, for this time at most. Then the collector has failed."""
        self._closing.set()
        self._thread.join(limit_s)
        if self._thread.is_alive():
            self._given_up = self.failed = True

    def _run(self) -> None:
        metrics_at = time.monotonic() + self._interval_s
        every = min(_SPANS_EVERY_S, self._interval_s)
        while not self._closing.wait(every):
            self._send_spans()
            if time.monotonic() >= metrics_at:
                metrics_at = time.monotonic() + self._interval_s
                self._send_metrics()
        self._send_spans()
        self._send_metrics()

    def _send_spans(self) -> None:
        batch = []
        while self._spans:
            batch.append(self._spans.popleft())
        if batch and self._span_exporter is not None:
            exporter = self._span_exporter
            self._try(lambda: exporter.export(batch) is SpanExportResult.SUCCESS)

    def _send_metrics(self) -> None:
        if self._metric_exporter is None or self._source is None or self._given_up:
            return
        exporter, samples = self._metric_exporter, tuple(self._source())
        if samples:
            self._try(lambda: exporter.export(self._data(samples)) is MetricExportResult.SUCCESS)

    def _try(self, send: Callable[[], bool]) -> None:
        try:
            self.failed = not send() or self.failed
        except Exception:  # noqa: BLE001  # no error of a library or a collector may reach the command
            self.failed = True

    def _data(self, samples: Sequence[Sample]) -> MetricsData:
        now = time.time_ns()
        points: dict[str, list[NumberDataPoint]] = {}
        texts = {sample.name: sample.text for sample in samples}
        for sample in samples:
            points.setdefault(sample.name, []).append(NumberDataPoint(dict(sample.labels), 0, now, sample.value))
        metrics = [Metric(name, texts[name], "", Gauge(of_name)) for name, of_name in points.items()]
        scope = ScopeMetrics(InstrumentationScope(_NAME, __version__), metrics, "")
        return MetricsData([ResourceMetrics(self._resource, [scope], "")])
