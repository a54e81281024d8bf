"""Whether the environment asks for telemetry, by the standard variables of OpenTelemetry.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/ and
https://opentelemetry.io/docs/specs/otel/protocol/exporter/ define them. This module imports no part of OpenTelemetry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"
#: The only protocol that the extra has. It is the default of the specification too.
_HTTP = "http/protobuf"
_DEFAULT_INTERVAL_S = 60.0


@dataclass(frozen=True, slots=True)
class Asked:
    """What the environment asks for.

    Attributes:
        traces, metrics: whether they are sent.
        interval_s: how often metrics are sent.
        host: where they are sent to, for messages; never a path, a user or a password.
        other_protocol: a protocol that was asked for and that there is not.
    """

    traces: bool
    metrics: bool
    interval_s: float
    host: str
    other_protocol: str | None = None

    def __bool__(self) -> bool:
        return self.traces or self.metrics


def asked(environ: Mapping[str, str]) -> Asked:
    """Read the variables. Without one of them that names a collector or an exporter, nothing is asked for."""
    disabled = environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    traces, metrics = (not disabled and _is_asked(environ, signal) for signal in ("TRACES", "METRICS"))
    protocols = [
        environ.get(f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL") or environ.get(_PROTOCOL) or _HTTP
        for signal, wanted in (("TRACES", traces), ("METRICS", metrics))
        if wanted
    ]
    return Asked(
        traces,
        metrics,
        _interval_s(environ.get("OTEL_METRIC_EXPORT_INTERVAL", "")),
        _host(environ),
        next((each for each in protocols if each != _HTTP), None),
    )


def _is_asked(environ: Mapping[str, str], signal: str) -> bool:
    exporters = environ.get(f"OTEL_{signal}_EXPORTER", "").strip().lower()
    if exporters:
        return "otlp" in [each.strip() for each in exporters.split(",")]
    return any(environ.get(name, "").strip() for name in (_ENDPOINT, f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"))


def _host(environ: Mapping[str, str]) -> str:
    names = (_ENDPOINT, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")
    address = next((environ[name] for name in names if environ.get(name, "").strip()), "http://localhost:4318")
    try:
        return urlsplit(address.strip()).hostname or "the collector"
    except ValueError:
        return "the collector"


def _interval_s(text: str) -> float:
    """The interval is given in milliseconds. One that can't be read is the default, as the specification says."""
    try:
        interval = int(text) / 1000
    except ValueError:
        return _DEFAULT_INTERVAL_S
    return interval if interval > 0 else _DEFAULT_INTERVAL_S
