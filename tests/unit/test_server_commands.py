"""The operator's commands: a clean environment, no secret in the output, a time limit; and the server's health."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from fluxbase_cli.config.command_environment import clean_environment
from fluxbase_cli.server.commands import Command, CommandError
from fluxbase_cli.server.health import problem_of, wait_until_healthy

_KEY = "Zk3v-Yw7Qe_x1Lr9TuB2mN8cHd5GfJ0s"


def command(
    script: str, environ: Mapping[str, str] | None = None, *, timeout_s: float = 30.0, passed: tuple[str, ...] = ()
) -> Command:
    everything = {"PATH": os.environ["PATH"], **(environ or {})}
    return Command("start_command", ("sh", "-c", script), clean_environment(everything, passed), timeout_s)


def test_a_command_gets_no_key_and_no_token_unless_it_is_named() -> None:
    secret = {
        "FLUXBASE_ENCRYPTION_KEY": _KEY,
        "FLUXBASE_SECRET_KEY_2": _KEY,
        "VAULT_TOKEN": "token",
        "AWS_SECRET_ACCESS_KEY": "aws",
        "FLUXBASE_DATABASE_URL": "postgresql://u:p@h/d",
        "PGPASSWORD": "p",
        "HTTPS_PROXY": "http://user:password@proxy",
    }
    usual = {"LC_ALL": "C", "DOCKER_HOST": "unix:///x", "MY_SETTING": "1"}
    end = command("env", {**usual, **secret}, passed=("MY_SETTING",)).run()
    names = {line.partition("=")[0] for line in end.lines}
    assert {"PATH", "LC_ALL", "DOCKER_HOST", "MY_SETTING"} <= names
    assert not names & set(secret)


def test_the_key_reaches_the_command_on_stdin_only_and_is_not_shown() -> None:
    end = command('key=$(cat); echo "got $key"; test ${#key} = 32').run(_KEY)
    assert end.lines == ("got [the key]",)
    with pytest.raises(CommandError) as caught:
        command("cat; exit 4").run(_KEY)
    assert caught.value.message == "start_command sh ended with exit code 4"
    assert caught.value.lines == ("[the key]",)
    assert _KEY not in repr(caught.value) + repr(command("cat"))


def test_a_command_that_leaves_a_server_running_has_ended() -> None:
    started = time.monotonic()
    command("sleep 20 &").run()
    assert time.monotonic() - started < 10


def test_what_a_command_writes_cannot_move_the_cursor_and_only_its_end_is_shown() -> None:
    end = command(r"for i in $(seq 30); do echo line $i; done; printf '\033[2Jx\n'").run()
    assert end.lines[-1] == r"\x1b[2Jx"
    assert end.lines[0] == "line 12"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("no-such-program",), "start_command no-such-program can't be run: No such file or directory"),
        (("sh", "-c", "exit 3"), "start_command sh ended with exit code 3"),
    ],
)
def test_a_command_that_fails(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(CommandError) as caught:
        Command("start_command", words, clean_environment(os.environ)).run()
    assert caught.value.message == message


def test_a_command_that_hangs_is_killed() -> None:
    with pytest.raises(CommandError, match=r"start_command sh did not end within 0 s, and was killed") as caught:
        command("echo begun; sleep 60", timeout_s=0.3).run()
    assert caught.value.lines == ("begun",)


@contextmanager
def answering(*statuses: int) -> Iterator[str]:
    """A server that answers with these statuses, one after the other, and then with the last one."""
    left = list(statuses)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(left.pop(0) if len(left) > 1 else left[0])
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Write nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/health"
    finally:
        server.shutdown()
        server.server_close()


def test_only_the_status_200_is_healthy() -> None:
    with answering(200) as url:
        assert problem_of(url) is None
    for status in (204, 302, 404, 503):
        with answering(status) as url:
            assert problem_of(url) == f"it answers with status {status}"
    assert "Connection refused" in (problem_of("http://127.0.0.1:1/health") or "")


def test_health_is_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    # A proxy for the internet must not be asked for our own server.
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with answering(503, 503, 200) as url:
        assert wait_until_healthy(url, 10.0) is None
    with answering(503) as url:
        assert wait_until_healthy(url, 0.3) == "it answers with status 503"
        assert wait_until_healthy(url, 30.0, lambda: True) == "it answers with status 503"
