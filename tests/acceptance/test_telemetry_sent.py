"""Traces and metrics for an OpenTelemetry collector: what it gets, and that a command never waits for it long."""

from __future__ import annotations

import signal
import time
from base64 import b64encode

import pytest

from tests.faults.reader import read
from tests.fixtures.collector import Collector
from tests.fixtures.command import NEW_KEY, OLD_KEY, Rotation, until
from tests.fixtures.rotating import Rotating

_RE_ENCRYPT = ("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2", "--yes")
_VARIABLE = "OTEL_EXPORTER_OTLP_ENDPOINT"


def _assert_no_secret(collector: Collector, *secrets: bytes) -> None:
    everything = collector.everything
    assert len(everything) > 500
    for secret in secrets:
        for form in (secret, secret.hex().encode(), b64encode(secret)):
            assert form not in everything


def test_a_job_sends_its_spans_and_metrics_and_no_secret(rotation: Rotation, collector: Collector) -> None:
    rotation.seed(200)
    variables = {
        _VARIABLE: collector.endpoint.url,
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=collector-token-marker",
    }

    # No job: there are no metrics of one.
    for arguments in (("secrets", "audit", "--deep"), (*_RE_ENCRYPT, "--dry-run")):
        assert rotation.command.having(**variables)(*arguments).code == 0
    assert {"secrets audit", "secrets re-encrypt"} <= {span.name for span in collector.spans}
    assert not [name for name in collector.metrics if "job" in name]
    collector.endpoint.requests.clear()

    done = rotation.command.having(**variables)(*_RE_ENCRYPT)

    assert done.code == 0, done.all
    assert "collector-token-marker" not in done.all
    spans = {span.name: span for span in collector.spans}
    assert set(spans) >= {"secrets re-encrypt", "pass 0", "pass 1"}
    assert {span.parent for name, span in spans.items() if name != "secrets re-encrypt"} == {"secrets re-encrypt"}
    command = spans["secrets re-encrypt"]
    assert (command.parent, command.failed) == ("", False)
    assert command.attributes == {
        "fluxbase.job.from_version": 1,
        "fluxbase.job.to_version": 2,
        "fluxbase.job.dry_run": False,
        "fluxbase.job.id": 1,
        "fluxbase.job.state": "completed",
        "fluxbase.job.remaining": 0,
        "fluxbase.job.scanned": 200,
        "fluxbase.job.re_encrypted": 170,
        "fluxbase.job.undecryptable": 0,
        "fluxbase.waits": 0,
    }
    assert spans["pass 0"].attributes["fluxbase.pass.values"] == 200
    assert collector.metrics["fluxbase_rotation_job_unfinished"] == 0
    for resource in collector.resources:
        assert (resource["service.name"], resource["deployment.environment.name"]) == ("fluxbase-cli", "test")
        assert "process.command_args" not in resource
    plaintexts = {each for each in read(rotation.url).plaintexts.values() if len(each) > 6}
    assert len(plaintexts) > 100
    _assert_no_secret(collector, OLD_KEY, NEW_KEY, *plaintexts)


def test_a_job_with_a_collector_that_hangs_ends_in_time_after_a_signal(
    rotation: Rotation, collector: Collector
) -> None:
    rotation.seed(1000)
    collector.endpoint.hold.set()
    variables = {_VARIABLE: collector.endpoint.url, "OTEL_METRIC_EXPORT_INTERVAL": "200"}

    with rotation.command.having(**variables).start(*_RE_ENCRYPT, "--max-rate", "20") as running:
        until(lambda: rotation.rows_done() > 0 and collector.endpoint.requests, "it is at work, and sends")
        running.send(signal.SIGTERM)
        asked = time.monotonic()
        done = running.finish()

    assert time.monotonic() - asked < 5
    assert done.code == 143, done.all
    assert "telemetry was not delivered completely" in done.stderr


@pytest.mark.slow
def test_a_rotation_sends_its_steps_and_the_metrics_of_the_file(rotating: Rotating, collector: Collector) -> None:
    variables = {_VARIABLE: collector.endpoint.url}
    # The webhook of this fixture is the same endpoint, at another path.
    done = rotating.command.having(**variables)("rotation", "run")

    assert done.code == 0, done.all
    spans = collector.spans
    steps = ["step key", "step activate", "step reload", "step re-encrypt", "step census", "step retention"]
    assert [span.name for span in spans if span.name.startswith("step ")] == steps
    assert {span.parent for span in spans if span.name.startswith("step ")} == {"rotation run"}
    assert {span.parent for span in spans if span.name.startswith("pass ")} == {"step re-encrypt"}
    (command,) = [span for span in spans if span.name == "rotation run"]
    assert command.attributes["fluxbase.rotation.state"] == "finished"
    metrics = collector.metrics
    assert (metrics["fluxbase_rotation_values 1"], metrics["fluxbase_rotation_values 2"]) == (0, 40)
    assert metrics["fluxbase_rotation_active_key_version"] == 2
    _assert_no_secret(collector, *rotating.keys().values())
