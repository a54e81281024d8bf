"""The health of the daemon: what `/healthz` answers, and what `rotation health` makes of an answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from fluxbase_cli.cli.app import make_app
from fluxbase_cli.config import load_settings
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.errors import JobFailedError
from fluxbase_cli.rotation.context import RotationContext
from fluxbase_cli.rotation.daemon import Daemon
from fluxbase_cli.rotation.health import Health, ask_daemon

NOW = datetime(2026, 11, 1, 2, 5, tzinfo=UTC)
SLEEPING = Health("sleeping", NOW, NOW + timedelta(days=30))


@contextmanager
def _answering(status: int, body: bytes) -> Iterator[tuple[str, int]]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            """Log nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield "127.0.0.1", server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def _run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        make_app()(list(arguments), prog_name="fluxbase-cli")
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize(
    ("health", "late", "status", "word"),
    [
        (Health(), timedelta(days=1), 200, "ok"),
        (SLEEPING, timedelta(0), 200, "ok"),
        # It looks twice a minute at the latest, and a look takes a moment.
        (SLEEPING, timedelta(minutes=4), 200, "ok"),
        (SLEEPING, timedelta(minutes=6), 503, "stalled"),
        (Health("rotating"), timedelta(days=1), 200, "ok"),
        (Health("sleeping", NOW, error="no database"), timedelta(0), 200, "failing"),
        (Health("sleeping", NOW, error="no database"), timedelta(minutes=6), 503, "stalled"),
    ],
)
def test_only_a_daemon_that_sleeps_too_long_is_a_reason_to_restart_it(
    health: Health, late: timedelta, status: int, word: str
) -> None:
    answered, body = health.answer(NOW + late)

    assert (answered, json.loads(body)["status"]) == (status, word)


@pytest.mark.parametrize(
    ("health", "late", "code", "printed"),
    [
        (SLEEPING, timedelta(0), 0, "The daemon is sleeping until 2026-11-01T02:05:00Z\n"),
        (Health("rotating"), timedelta(0), 0, "The daemon is rotating\n"),
        (
            Health("sleeping", NOW, error="no database"),
            timedelta(0),
            0,
            "The daemon is sleeping until 2026-11-01T02:05:00Z\nIts last run failed, and it tries again: no database\n",
        ),
        (
            SLEEPING,
            timedelta(hours=1),
            1,
            "The daemon should have looked again at 2026-11-01T02:05:00Z, and did not: restart it\n",
        ),
    ],
)
def test_the_command_says_how_the_daemon_is(
    health: Health, late: timedelta, code: int, printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with _answering(*health.answer(NOW + late)) as (host, port):
        assert _run("rotation", "health", "--listen", f"{host}:{port}") == code

    assert capsys.readouterr().out == printed


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b"<html>"), (200, b"[]"), (200, b'{"status":"ok"}'), (500, SLEEPING.answer(NOW)[1]), (404, b"")],
)
def test_what_is_not_the_daemon_is_not_taken_for_it(status: int, body: bytes) -> None:
    with (
        _answering(status, body) as (host, port),
        pytest.raises(JobFailedError, match=rf"what listens at {host}:{port} is not"),
    ):
        ask_daemon((host, port))


def test_a_port_without_a_daemon_is_one_line_and_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("rotation", "health", "--listen", "127.0.0.1:1") == 1

    assert capsys.readouterr().err == "Error: the daemon at 127.0.0.1:1 does not answer: Connection refused\n"


def test_the_daemon_listens_at_an_ipv6_address(tmp_path: Path) -> None:
    asked: list[str] = []
    told: list[str] = []
    stop = Stop()

    def ask_and_stop(_event: object, _line: str) -> None:
        port = int(told[0].partition("]:")[2].split()[0])
        asked.append(ask_daemon(("::1", port))["status"])
        stop.request()

    context = RotationContext(
        load=lambda: load_settings(directory=tmp_path, environ={}),
        environ={},
        tell=lambda _event, line: told.append(line),
        # There is no key, so the first look fails.
        warn=ask_and_stop,
        stop=stop,
    )

    assert Daemon(context, listen=("::", 0)).serve() == 0
    assert told[0].startswith("Listening on http://[::]:")
    assert asked == ["failing"]
