"""Metrics of the rotation for Prometheus: in a file for the node exporter, or at `/metrics` of the daemon."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from fluxbase_cli import __version__
from fluxbase_cli.rotation.figures import Figures, JobFigures

_PREFIX = "fluxbase_rotation_"


@dataclass(frozen=True, slots=True)
class Sample:
    """One figure as it is exported.

    Attributes:
        name: the name of the metric.
        text: what it means.
        value: the figure.
        labels: the labels that tell it from other samples of the metric.
    """

    name: str
    text: str
    value: float
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def samples_of(figures: Figures) -> Iterator[Sample]:
    """The figures that are known, as samples. docs/operators/monitoring.md lists all names."""
    age = None if figures.active_since is None else (figures.ran_at - figures.active_since).total_seconds()
    for name, text, value in (
        ("last_run_timestamp_seconds", "When `rotation run` last ended.", figures.ran_at.timestamp()),
        ("last_run_success", "Whether that run succeeded (1) or failed (0).", float(figures.succeeded)),
        ("last_success_timestamp_seconds", "When a rotation was last finished.", _seconds(figures.last_success)),
        ("active_key_version", "The version under which servers seal.", figures.active_version),
        (
            "active_key_activated_timestamp_seconds",
            "When the active key became active.",
            _seconds(figures.active_since),
        ),
        ("active_key_age_seconds", "How long the key had been active when the last run ended.", age),
        ("undecryptable_values", "Values that no key opens, by the newest audit.", figures.undecryptable),
        ("duration_seconds", "How long the last rotation took.", figures.duration_s),
        ("rate_values_per_second", "Values a second in the last rotation.", figures.rate_per_second),
        ("next_timestamp_seconds", "When the next rotation is due.", _seconds(figures.next_date)),
        (
            "due_timestamp_seconds",
            "Since when a rotation is due or unfinished; missing if none is.",
            _seconds(figures.due_since),
        ),
        ("undelivered_notifications", "Notifications of the last run not delivered.", figures.undelivered),
    ):
        if value is not None:
            yield Sample(f"{_PREFIX}{name}", text, value)
    for version, number in figures.by_version.items():
        text = "Values that need the key of a version, by the newest audit."
        yield Sample(f"{_PREFIX}values", text, number, {"key_version": str(version)})
    if figures.job is not None:
        yield from job_samples(figures.job)
    yield Sample("fluxbase_cli_build_info", "The version of fluxbase-cli; always 1.", 1, {"version": __version__})


def job_samples(job: JobFigures) -> Iterator[Sample]:
    """The figures of a job, as samples."""
    for name, text, value in (
        ("job_unfinished", "Whether there is an unfinished job (1) or not (0).", float(job.unfinished)),
        ("job_paused", "Whether somebody has paused the unfinished job (1) or not (0).", float(job.paused)),
        ("job_progress_ratio", "How much of the main pass is done; 1 if there is no unfinished job.", job.ratio),
        ("job_handled_values", "Values that the unfinished job has handled.", job.values),
        (
            "job_progress_timestamp_seconds",
            "When the unfinished job last committed a batch; missing if there is none.",
            _seconds(job.progress_at),
        ),
    ):
        if value is not None:
            yield Sample(f"{_PREFIX}{name}", text, value)


class Metrics:
    """The figures in the form of Prometheus. Unknown figures are left out."""

    def __init__(self) -> None:
        self._figures: Figures | None = None
        self._earlier: Mapping[str, tuple[Sample, ...]] = MappingProxyType({})
        self._live: Callable[[], JobFigures | None] = _no_job

    def update(self, figures: Figures) -> None:
        """Show these figures instead of earlier ones. If nothing is known but the failure, the others stay."""
        earlier = self._figures
        if not figures.known and earlier is not None:
            figures = replace(
                earlier, ran_at=figures.ran_at, succeeded=figures.succeeded, undelivered=figures.undelivered
            )
        self._figures = figures

    def read(self, text: str) -> None:
        """Take what an earlier process has exported, for metrics that are unknown now.

        Raises:
            ValueError: it is not text of metrics.
        """
        self._earlier = {
            family.name: tuple(
                Sample(sample.name, family.documentation, sample.value, sample.labels) for sample in family.samples
            )
            for family in text_string_to_metric_families(text)
            if family.name.startswith(_PREFIX)
        }

    @contextmanager
    def live(self, job: Callable[[], JobFigures | None]) -> Iterator[None]:
        """Inside the block, show this job as it is at each moment, when there is one."""
        self._live = job
        try:
            yield
        finally:
            self._live = _no_job

    @property
    def samples(self) -> tuple[Sample, ...]:
        """The samples at this moment. Any thread may ask for them."""
        figures, job = self._figures, self._live()
        if figures is None:
            return () if job is None else tuple(job_samples(job))
        now = tuple(samples_of(figures if job is None else replace(figures, job=job)))
        if figures.known:
            return now
        names = {sample.name for sample in now}
        return (*now, *(each for name, samples in self._earlier.items() if name not in names for each in samples))

    def as_text(self) -> bytes:
        """The figures in the text format 0.0.4 of Prometheus."""
        registry = CollectorRegistry()
        gauges: dict[str, Gauge] = {}
        for sample in self.samples:
            if sample.name not in gauges:
                gauges[sample.name] = Gauge(sample.name, sample.text, list(sample.labels), registry=registry)
            gauge = gauges[sample.name]
            (gauge.labels(**sample.labels) if sample.labels else gauge).set(sample.value)
        return generate_latest(registry)


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _no_job() -> JobFigures | None:
    return None
