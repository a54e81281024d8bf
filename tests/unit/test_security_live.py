"""Rules of the security check on the live server, and servers that misbehave: a clear line each, in bounded time."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.security.facts import Facts
from fluxbase_cli.security.live.answers import LiveFacts
from fluxbase_cli.security.live.client import send
from fluxbase_cli.security.live.looking import look_at
from fluxbase_cli.security.part import Absent
from fluxbase_cli.security.registry import find_rule
from fluxbase_cli.security.run import Report, run_rules
from tests.fixtures.live_server import Certificate, Handle, LiveServer, live_server, make_certificate
from tests.fixtures.security import NO_CONFIGURATION, NO_DATABASE

LIVE_RULES = (
    *("FB-TLS-001", "FB-TLS-003", "FB-TLS-004", "FB-HDR-001", "FB-HDR-002", "FB-CORS-001", "FB-API-009"),
    "FB-ADM-002",
)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def secure(certificate: Certificate) -> Iterator[LiveServer]:
    with live_server(certificate) as server:
        yield server


@pytest.fixture
def plain() -> Iterator[LiveServer]:
    with live_server() as server:
        yield server


@pytest.fixture(autouse=True)
def _not_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The servers of this test are on this machine, where a missing HSTS does not matter."""
    monkeypatch.setattr("fluxbase_cli.security.rules.live.reach_of", lambda _host: None)


def look(url: str, *, ca: Certificate | None = None, http_port: int = 80, timeout_s: float = 10) -> LiveFacts | Absent:
    return look_at(url, authorities=None if ca is None else ca.file, http_port=http_port, timeout_s=timeout_s)


def report_of(live: LiveFacts | Absent) -> Report:
    rules = [rule for each in LIVE_RULES if (rule := find_rule(each))]
    assert len(rules) == len(LIVE_RULES)
    # Certificates are made by the clock of this machine.
    today = datetime.now(UTC).date()
    return run_rules(Facts(today, None, True, NO_CONFIGURATION, NO_DATABASE, live), rules)  # noqa: FBT003


def found(report: Report) -> set[tuple[str, str]]:
    return {(each.rule, each.severity.word) for each in report.findings}


def redirect(where: str) -> Handle:
    def handle(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(308)
        handler.send_header("Location", where)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return handle


# --- a good server, and one fault at a time ---------------------------------------------------------------------------


def test_a_good_server_has_no_finding_and_gets_few_requests(
    secure: LiveServer, plain: LiveServer, certificate: Certificate
) -> None:
    plain.special["/"] = redirect("https://127.0.0.1/")
    live = look(f"https://127.0.0.1:{secure.port}", ca=certificate, http_port=plain.port)

    assert report_of(live).findings == ()
    assert report_of(live).not_checked == ()
    assert len(secure.requests) + len(plain.requests) <= 12
    assert {each.split()[0] for each in secure.requests + plain.requests} <= {"GET", "HEAD", "OPTIONS"}


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"headers": {"Strict-Transport-Security": None}}, ("FB-HDR-001", "medium")),
        ({"headers": {"Strict-Transport-Security": "max-age=3600"}}, ("FB-HDR-001", "low")),
        ({"headers": {"X-Content-Type-Options": None}}, ("FB-HDR-002", "medium")),
        ({"headers": {"X-Frame-Options": None, "Content-Security-Policy": None}}, ("FB-HDR-002", "medium")),
        ({"allow_origin": "*", "allow_credentials": False}, ("FB-CORS-001", "medium")),
        ({"allow_origin": "{origin}"}, ("FB-CORS-001", "critical")),
        ({"answers": {"/api/v1/admin/users": (200, [{"id": 1}])}}, ("FB-API-009", "critical")),
        (
            {"answers": {"/admin/": (200, b"<html>")}, "headers": {"Content-Security-Policy": None}},
            ("FB-HDR-002", "medium"),
        ),
        ({"answers": {"/api/v1/admin/setup/status": (200, {"needs_setup": True})}}, ("FB-ADM-002", "high")),
        ({"plain": (200, {})}, ("FB-TLS-003", "high")),
        ({"plain": (404, {})}, ("FB-TLS-003", "high")),
    ],
    ids=str,
)
def test_one_fault_is_found_by_its_rule_alone(
    secure: LiveServer,
    plain: LiveServer,
    certificate: Certificate,
    fault: dict[str, object],
    expected: tuple[str, str],
) -> None:
    plain.special["/"] = redirect("https://127.0.0.1/")
    for name, value in fault.items():
        if name == "headers":
            assert isinstance(value, dict)
            merged = {**secure.headers, **value}
            secure.headers = {key: text for key, text in merged.items() if text is not None}
        elif name == "answers":
            assert isinstance(value, dict)
            secure.answers |= value
        elif name == "plain":
            plain.special.clear()
            plain.answers["/"] = value  # type: ignore[assignment]
        else:
            setattr(secure, name, value)

    live = look(f"https://127.0.0.1:{secure.port}", ca=certificate, http_port=plain.port)

    assert found(report_of(live)) == {expected}


def test_no_server_on_http_is_as_good_as_a_redirect(secure: LiveServer, certificate: Certificate) -> None:
    with live_server() as gone:
        port = gone.port
    live = look(f"https://127.0.0.1:{secure.port}", ca=certificate, http_port=port)

    assert report_of(live).findings == ()


def test_an_http_address_is_a_finding_and_its_https_rules_are_not_checked(plain: LiveServer) -> None:
    report = report_of(look(f"http://127.0.0.1:{plain.port}"))

    assert ("FB-TLS-001", "info") in found(report)
    assert {each.rule for each in report.not_checked} == {"FB-TLS-003", "FB-TLS-004", "FB-HDR-001"}


def test_the_setup_and_the_rate_limit_are_read(plain: LiveServer) -> None:
    plain.answers["/api/v1/admin/setup/status"] = (200, {"needs_setup": True})
    live = look(f"http://127.0.0.1:{plain.port}")

    assert isinstance(live, LiveFacts)
    assert live.needs_setup is True
    assert live.config is not None
    assert live.config.header("x-ratelimit-limit") == "100"


# --- servers that misbehave -------------------------------------------------------------------------------------------


def test_a_certificate_that_nobody_knows(secure: LiveServer) -> None:
    live = look(f"https://127.0.0.1:{secure.port}")
    report = report_of(live)

    assert found(report) == {("FB-TLS-004", "high")}
    assert "its certificate is not valid: self-signed certificate" in report.findings[0].found
    assert {"FB-HDR-001", "FB-HDR-002", "FB-API-009"} <= {each.rule for each in report.not_checked}
    assert secure.requests == []


@pytest.mark.parametrize(
    ("days", "host", "severity", "text"),
    [
        (-1, "127.0.0.1", "high", "certificate has expired"),
        (5, "127.0.0.1", "medium", "its certificate ends on"),
        (90, "127.0.0.2", "high", "IP address mismatch"),
    ],
)
def test_a_certificate_that_is_not_in_order(tmp_path: Path, days: int, host: str, severity: str, text: str) -> None:
    made = make_certificate(tmp_path, days=days, host=host)
    with live_server(made) as server:
        report = report_of(look(f"https://127.0.0.1:{server.port}", ca=made))

    assert ("FB-TLS-004", severity) in found(report)
    assert any(text in each.found for each in report.findings)


def test_a_server_without_tls_on_an_https_address(plain: LiveServer) -> None:
    report = report_of(look(f"https://127.0.0.1:{plain.port}"))

    assert found(report) == {("FB-TLS-004", "high")}
    assert "the TLS handshake failed" in report.findings[0].found


def test_redirects_in_a_circle(plain: LiveServer) -> None:
    plain.special["/api/v1/auth/config"] = redirect("/other")
    plain.special["/other"] = redirect("/api/v1/auth/config")

    live = look(f"http://127.0.0.1:{plain.port}")

    assert isinstance(live, Absent)
    assert live.failed
    assert live.reason.endswith("it redirects in a circle")
    assert len(plain.requests) == 2


def test_redirects_without_an_end(plain: LiveServer) -> None:
    def further(handler: BaseHTTPRequestHandler) -> None:
        redirect(handler.path + "x")(handler)

    plain.special["*"] = further
    live = look(f"http://127.0.0.1:{plain.port}")

    assert isinstance(live, Absent)
    assert live.reason.endswith("it redirects more than 5 times")


def test_a_redirect_to_another_host_is_not_followed(plain: LiveServer) -> None:
    with live_server() as other:
        plain.special["*"] = redirect(f"http://127.0.0.1:{other.port}/")
        live = look(f"http://127.0.0.1:{plain.port}")

    assert isinstance(live, LiveFacts)
    assert other.requests == []


def test_a_server_that_sends_its_header_byte_by_byte_is_given_up(plain: LiveServer) -> None:
    def drip(handler: BaseHTTPRequestHandler) -> None:
        for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 10_000:
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()
            time.sleep(0.05)

    plain.special["*"] = drip
    began = time.monotonic()
    live = look(f"http://127.0.0.1:{plain.port}", timeout_s=0.5)

    assert isinstance(live, Absent)
    assert live.reason.endswith("no answer within 0.5 s")
    assert time.monotonic() - began < 5


def test_a_server_that_says_nothing_is_given_up(plain: LiveServer) -> None:
    plain.special["*"] = lambda _handler: time.sleep(2)

    answer, _ = send(f"http://127.0.0.1:{plain.port}/", timeout_s=0.3)

    assert getattr(answer, "reason", None) == "no answer within 0.3 s"


def test_of_an_endless_answer_only_the_beginning_is_read(plain: LiveServer) -> None:
    def flood(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(1 << 30))
        handler.end_headers()
        for _ in range(1 << 10):
            handler.wfile.write(b"x" * (1 << 20))

    plain.special["*"] = flood
    tracemalloc.start()
    try:
        live = look(f"http://127.0.0.1:{plain.port}")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert isinstance(live, LiveFacts)
    # The server of this test makes its pieces in the same process.
    assert peak < 40 << 20
    assert any("its answer is longer than 64 KB" in each.reason for each in report_of(live).not_checked)


def test_an_answer_that_is_not_http(plain: LiveServer) -> None:
    def greet(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"SSH-2.0-OpenSSH_9.6\r\n")

    plain.special["*"] = greet

    live = look(f"http://127.0.0.1:{plain.port}")

    assert isinstance(live, Absent)
    assert "the answer is not HTTP" in live.reason


def test_nobody_listens() -> None:
    with live_server() as gone:
        port = gone.port

    live = look(f"http://127.0.0.1:{port}")

    assert isinstance(live, Absent)
    assert live.failed
    assert live.reason.endswith("the connection was refused")


def test_another_service_is_not_taken_for_a_fluxbase_server(plain: LiveServer) -> None:
    plain.answers.clear()
    live = look(f"http://127.0.0.1:{plain.port}")

    reasons = [each.reason for each in report_of(live).not_checked if each.rule == "FB-API-009"]
    assert reasons == [
        f"http://127.0.0.1:{plain.port}/api/v1/auth/config: it does not answer as a Fluxbase server does"
    ]


@pytest.mark.parametrize(("text", "reason"), [(None, "can't be read"), ("no certificate", "holds no certificate")])
def test_authorities_that_can_t_be_used_are_refused(tmp_path: Path, text: str | None, reason: str) -> None:
    file = tmp_path / "ca.pem"
    if text is not None:
        file.write_text(text, encoding="utf-8")

    with pytest.raises(ConfigurationError, match=reason):
        look_at("https://127.0.0.1:1", authorities=file)


@pytest.mark.parametrize("url", ["ftp://example.com", "example.com", "https://user:secret@example.com"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="--url") as caught:
        look(url)
    assert "secret" not in caught.value.message
