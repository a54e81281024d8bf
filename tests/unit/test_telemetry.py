"""Telemetry in this process: when it is asked for, its spans, and a collector that does not work."""

from __future__ import annotations

import json
import sys
import time

import pytest

from fluxbase_cli.cli.telemetry import telemetry_for
from fluxbase_cli.counts import Counts
from fluxbase_cli.engine.events import BatchDone, PassStarted, Waiting
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.errors import JobFailedError
from fluxbase_cli.report.messages import Messages
from fluxbase_cli.rotation.context import Moment
from fluxbase_cli.store.rotations import RotationStep
from fluxbase_cli.telemetry import otlp
from fluxbase_cli.telemetry.asked import asked
from fluxbase_cli.telemetry.listener import NullTelemetry, Telemetry
from tests.fixtures.collector import Collector

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
AWAY = "http://user:url-marker@127.0.0.1:1"


@pytest.fixture(autouse=True)
def _asked_for(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENDPOINT, collector.endpoint.url)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, (False, False)),
        ({"OTEL_SERVICE_NAME": "x"}, (False, False)),
        ({ENDPOINT: "http://c:4318"}, (True, True)),
        ({ENDPOINT: " "}, (False, False)),
        ({ENDPOINT: "http://c:4318", "OTEL_SDK_DISABLED": "TRUE"}, (False, False)),
        ({ENDPOINT: "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}, (False, True)),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c/v1/traces"}, (True, False)),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://c/v1/metrics"}, (False, True)),
        ({"OTEL_METRICS_EXPORTER": "console, OTLP"}, (False, True)),
        ({"OTEL_METRICS_EXPORTER": "console"}, (False, False)),
    ],
)
def test_telemetry_is_asked_for_by_the_standard_variables(
    variables: dict[str, str], expected: tuple[bool, bool]
) -> None:
    found = asked(variables)

    assert (found.traces, found.metrics) == expected
    assert bool(found) is any(expected)


@pytest.mark.parametrize(("text", "seconds"), [("", 60), ("500", 0.5), ("often", 60), ("0", 60), ("-1", 60)])
def test_the_interval_of_metrics_is_in_milliseconds(text: str, seconds: float) -> None:
    assert asked({"OTEL_METRIC_EXPORT_INTERVAL": text}).interval_s == seconds


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("https://user:word@collector.example:4318/x", "collector.example"),
        ("nonsense", "the collector"),
        ("http://[", "the collector"),
        ("", "localhost"),
    ],
)
def test_only_the_host_of_an_address_is_told(address: str, host: str) -> None:
    assert asked({ENDPOINT: address}).host == host


def test_spans_tell_of_steps_and_passes_and_of_an_error_only_its_type(collector: Collector) -> None:
    class SpeakingError(JobFailedError):
        pass

    def run(telemetry: Telemetry) -> None:
        with telemetry.span("rotation run", {"rotation.forced": True}):
            for moment in Moment:
                telemetry.step(RotationStep.KEY, moment)
            telemetry.step(RotationStep.RE_ENCRYPT, Moment.BEGUN)
            telemetry.notify(PassStarted(0, {}, {}))
            telemetry.notify(BatchDone("a.t", 5, {"x": Counts(scanned=4), "y": Counts(scanned=3)}, 0))
            telemetry.notify(Waiting("host-marker", 1.0))
            telemetry.notify(PassStarted(1, {}, {}))
            telemetry.add({"job.id": 7, "job.remaining": None})
            raise SpeakingError("text-marker", hint="hint-marker")

    with telemetry_for(Messages(), Stop()) as telemetry, pytest.raises(SpeakingError):
        run(telemetry)

    names = [(span.name, span.parent, span.failed) for span in collector.spans]
    assert names == [
        ("step key", "rotation run", False),
        ("pass 0", "step re-encrypt", False),
        ("pass 1", "step re-encrypt", False),
        ("step re-encrypt", "rotation run", True),
        ("rotation run", "", True),
    ]
    assert collector.spans[1].attributes == {
        "fluxbase.pass.number": 0,
        "fluxbase.pass.rows": 5,
        "fluxbase.pass.values": 7,
    }
    assert collector.spans[-1].attributes == {
        "fluxbase.rotation.forced": True,
        "fluxbase.job.id": 7,
        "fluxbase.waits": 1,
        "fluxbase.exit_code": 1,
        "error.type": "SpeakingError",
    }
    assert b"marker" not in collector.everything
    metrics = collector.metrics
    assert (metrics["fluxbase_rotation_job_unfinished"], metrics["fluxbase_rotation_job_handled_values"]) == (1, 7)


def test_a_span_without_a_part_is_not_sent_if_that_was_asked_for(collector: Collector) -> None:
    with telemetry_for(Messages(), Stop()) as telemetry:
        with telemetry.span("first", {}, if_used=True):
            pass
        with telemetry.span("second", {}, if_used=True):
            telemetry.step(RotationStep.KEY, Moment.BEGUN)
            telemetry.step(RotationStep.KEY, Moment.RECORDED)
        with pytest.raises(LookupError), telemetry.span("third", {}, if_used=True):
            raise LookupError

    assert [span.name for span in collector.spans] == ["step key", "second", "third"]


def test_spans_that_were_lost_are_told_although_the_metrics_arrived(
    collector: Collector, capsys: pytest.CaptureFixture[str]
) -> None:
    collector.endpoint.answers = [403]
    with telemetry_for(Messages(), Stop()) as telemetry, telemetry.span("secrets audit", {}):
        telemetry.notify(PassStarted(0, {}, {}))

    assert collector.metrics["fluxbase_rotation_job_unfinished"] == 1
    assert "telemetry was not delivered completely to 127.0.0.1" in capsys.readouterr().err


@pytest.mark.parametrize("how", ["hangs", "refuses", "is away"])
def test_a_collector_that_does_not_work_is_a_warning_and_costs_little_time(
    collector: Collector, how: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(otlp, "_CLOSE_S", 0.4)
    collector.endpoint.answers = [403] * 10
    if how == "hangs":
        collector.endpoint.hold.set()
    if how == "is away":
        monkeypatch.setenv(ENDPOINT, AWAY)

    began = time.monotonic()
    with telemetry_for(Messages(as_json=True), Stop()) as telemetry, telemetry.span("secrets audit", {}):
        telemetry.notify(PassStarted(0, {}, {}))
        took = time.monotonic() - began
        for _ in range(1000):
            telemetry.notify(BatchDone("a.t", 5, {"x": Counts(scanned=4)}, 0))
    ended = time.monotonic() - began

    assert ended - took < 2
    (line,) = capsys.readouterr().err.splitlines()
    told = json.loads(line)
    assert (told["event"], told["message"]) == (
        "telemetry.failed",
        "telemetry was not delivered completely to 127.0.0.1; check OTEL_EXPORTER_OTLP_ENDPOINT",
    )


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "marker"}, "no telemetry: an OTEL_… variable can't be used (ValueError)"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "no telemetry: OTEL_EXPORTER_OTLP_PROTOCOL is not http/protobuf"),
    ],
)
def test_a_variable_that_cant_be_used_is_a_warning(
    variables: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    with telemetry_for(Messages(), Stop()) as telemetry:
        assert isinstance(telemetry, NullTelemetry)

    told = capsys.readouterr().err
    assert message in told
    assert "marker" not in told


def test_without_the_extra_there_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "fluxbase_cli.telemetry.otlp", None)

    with telemetry_for(Messages(), Stop()) as telemetry, telemetry.span("secrets audit", {}):
        telemetry.notify(PassStarted(0, {}, {}))

    assert "pip install 'fluxbase-cli[otel]'" in capsys.readouterr().err


def test_nothing_is_asked_for_without_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENDPOINT)
    monkeypatch.setitem(sys.modules, "fluxbase_cli.telemetry.otlp", None)

    with telemetry_for(Messages(), Stop()) as telemetry:
        assert isinstance(telemetry, NullTelemetry)
