"""Metrics of the rotation for Prometheus: in a file for the node exporter, or at `/metrics` of the daemon."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from fluxbase_cli.config.replace_file import may_be_put, put_file
from fluxbase_cli.errors import ConfigurationError

_SUFFIX = ".prom"
_READABLE_FOR_ALL = 0o644


@dataclass(frozen=True, slots=True)
class Figures:
    """What is known after a run. None means that it is not known.

    Attributes:
        ran_at: when the run ended.
        succeeded: whether the run succeeded.
        last_success: when a rotation was last finished.
        active_version: the version under which servers seal.
        active_since: when its key became active.
        by_version: how many values need the key of each version, by the newest audit.
        undecryptable: how many values no key opens, by the newest audit.
        duration_s: how long the last rotation took.
        rate_per_second: how many values it handled in a second.
        next_date: when the next rotation is due.
        undelivered: how many notifications of this run were not delivered.
    """

    ran_at: datetime
    succeeded: bool
    last_success: datetime | None = None
    active_version: int | None = None
    active_since: datetime | None = None
    by_version: Mapping[int, int] = field(default_factory=lambda: MappingProxyType({}))
    undecryptable: int | None = None
    duration_s: float | None = None
    rate_per_second: float | None = None
    next_date: datetime | None = None
    undelivered: int = 0


class Metrics:
    """The figures in the form of Prometheus. Unknown figures are left out."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()

    def update(self, figures: Figures) -> None:
        """Show these figures instead of earlier ones."""
        # A new registry, so that a key version that no longer exists is not shown any more.
        registry = CollectorRegistry()
        age = None if figures.active_since is None else (figures.ran_at - figures.active_since).total_seconds()
        for name, text, value in (
            ("last_run_timestamp_seconds", "When `rotation run` last ended.", figures.ran_at.timestamp()),
            ("last_run_success", "Whether that run succeeded (1) or failed (0).", float(figures.succeeded)),
            ("last_success_timestamp_seconds", "When a rotation was last finished.", _seconds(figures.last_success)),
            ("active_key_version", "The version under which servers seal.", figures.active_version),
            ("active_key_age_seconds", "How long the active key has been active.", age),
            ("undecryptable_values", "Values that no key opens, by the newest audit.", figures.undecryptable),
            ("duration_seconds", "How long the last rotation took.", figures.duration_s),
            ("rate_values_per_second", "Values a second in the last rotation.", figures.rate_per_second),
            ("next_timestamp_seconds", "When the next rotation is due.", _seconds(figures.next_date)),
            ("undelivered_notifications", "Notifications of the last run not delivered.", figures.undelivered),
        ):
            if value is not None:
                Gauge(f"fluxbase_rotation_{name}", text, registry=registry).set(value)
        if figures.by_version:
            values = Gauge(
                "fluxbase_rotation_values",
                "Values that need the key of a version, by the newest audit.",
                ["key_version"],
                registry=registry,
            )
            for version, number in figures.by_version.items():
                values.labels(key_version=str(version)).set(number)
        self._registry = registry

    def as_text(self) -> bytes:
        """The figures in the text format 0.0.4 of Prometheus."""
        return generate_latest(self._registry)

    def write(self, path: Path) -> None:
        """Write the figures for the node exporter's textfile collector, atomically.

        Raises:
            OSError: the file can't be written.
        """
        # The node exporter runs as another user.
        put_file(path, self.as_text(), mode=_READABLE_FOR_ALL)


def refuse_unsuited_file(path: Path) -> None:
    """Raise an error if metrics can't be written to a file. So that is known before the work, and not after it.

    Raises:
        ConfigurationError: the name does not end in .prom, or the path is a link, a device or a folder, or its folder
            does not exist.
    """
    if path.suffix != _SUFFIX:
        raise ConfigurationError(
            f"--metrics-file {path} does not end in {_SUFFIX}", hint="The node exporter reads only such files."
        )
    try:
        if not may_be_put(path):
            raise ConfigurationError(
                f"--metrics-file {path} is a link, or no regular file", hint="Name a file, or a new file."
            )
        if not path.parent.is_dir():
            raise ConfigurationError(f"--metrics-file {path}: there is no folder {path.parent}", hint="Create it.")
    except OSError as error:
        raise ConfigurationError(f"--metrics-file {path}: {error.strerror or type(error).__name__}") from None


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()
