"""The daemon, for containers: it sleeps until a rotation is due, and answers on `/healthz` and `/metrics`."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from fluxbase_cli.engine.events import Several
from fluxbase_cli.errors import ConfigurationError, ExitCode, FluxbaseCliError, RotationRunningError
from fluxbase_cli.log_events import LogEvent
from fluxbase_cli.moments import moment_text
from fluxbase_cli.report.rotation import rotation_lines
from fluxbase_cli.rotation.clock import RotationClock
from fluxbase_cli.rotation.context import RotationContext
from fluxbase_cli.rotation.figures import Figures
from fluxbase_cli.rotation.health import Health
from fluxbase_cli.rotation.job_watch import JobWatch
from fluxbase_cli.rotation.metrics import Metrics
from fluxbase_cli.rotation.outcome import RotationReport
from fluxbase_cli.rotation.policy import read_policy
from fluxbase_cli.rotation.rotator import Rotator

#: The longest time between two looks. After this time, a disabled key may have finished its cooling-off time.
_LOOK_EVERY = timedelta(hours=1)
#: No wait is longer than this, because the machine may be suspended during a wait.
_LONGEST_WAIT_S = 30.0
_FIRST_RETRY = timedelta(minutes=1)
_LONGEST_RETRY = timedelta(hours=1)
_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


class Daemon:
    """Runs rotations when they are due, until a stop is requested.

    Args:
        context: what each run gets. Its `load` is called again before each run, and its `stop` ends the daemon.
        listen: host and port of the health endpoint; None means no endpoint.
    """

    def __init__(self, context: RotationContext, *, listen: tuple[str, int] | None) -> None:
        self._clock = RotationClock(context.clock)
        self._job = JobWatch(self._clock)
        self._context = replace(context, observer=Several(context.observer, self._job))
        self._listen = listen
        self._woken = threading.Event()
        self._failures = 0
        self._last_message: str | None = None
        self.metrics = Metrics()
        self.health = Health()

    def wake(self) -> None:
        """Read the configuration again and look at once. Safe to call from any thread or signal handler."""
        self._woken.set()

    def serve(self) -> int:
        """Run until a stop is requested. Return the exit code.

        Raises:
            ConfigurationError: at the start, the configuration can't be used, or the address is in use.
        """
        # An error that is there from the start is reported at once. Trying again would not help.
        read_policy(self._context.load().encryption.key_rotation)
        server = self._open()
        try:
            while True:
                report, pause = self._look()
                if report is not None and report.state == "interrupted":
                    return report.exit_code
                if not self._sleep(pause):
                    return ExitCode.DONE
        finally:
            if server is not None:
                server.shutdown()
                server.server_close()

    def _look(self) -> tuple[RotationReport | None, datetime]:
        """Run a rotation if it is due, and return the time of the next look."""
        self._woken.clear()
        self.health = Health("rotating")
        try:
            rotator = Rotator(self._context, self._clock)
        except FluxbaseCliError as error:
            self.metrics.update(Figures(self._clock(), succeeded=False, known=False))
            return None, self._failed(error)
        self._job.reset()
        try:
            with self.metrics.live(self._job.figures), self._context.around():
                report = rotator.run()
        except FluxbaseCliError as error:
            # If another process runs the rotation, its metrics count.
            if not isinstance(error, RotationRunningError):
                self.metrics.update(rotator.figures)
            return None, self._failed(error)
        self.metrics.update(rotator.figures)
        self._failures = 0
        look = self._clock() + (_FIRST_RETRY if report.state == "waiting" else _LOOK_EVERY)
        if report.next is not None:
            look = min(look, report.next)
        self.health = Health(
            "sleeping", look, report.next, "it waits for a person" if report.state == "waiting" else None
        )
        self._tell_next(report)
        return report, look

    def _failed(self, error: FluxbaseCliError) -> datetime:
        pause: timedelta = min(_FIRST_RETRY * 2**self._failures, _LONGEST_RETRY)
        self._failures = min(self._failures + 1, 10)
        look = self._clock() + pause
        self.health = Health("sleeping", look, None, error.message)
        self._context.warn(LogEvent.DAEMON_FAILED, f"{error.message}; trying again at {moment_text(look)}")
        return look

    def _tell_next(self, report: RotationReport) -> None:
        if report.state == "finished":
            self._last_message = None
            for line in rotation_lines(report):
                self._context.tell(LogEvent.ROTATION_FINISHED, line)
            return
        text = (
            f"Not due: {report.decision.why}" if report.next is None else f"Sleeping until {moment_text(report.next)}"
        )
        # Repeating this message every hour would hide more important ones.
        if report.state == "not-due" and text != self._last_message:
            self._last_message = text
            self._context.tell(LogEvent.DAEMON_SLEEPING, text)

    def _sleep(self, until: datetime) -> bool:
        """Wait until a moment, or until `wake` is called. Return False if a stop is requested."""
        while not self._context.stop.requested:
            left = (until - self._clock()).total_seconds()
            if left <= 0 or self._woken.wait(min(left, _LONGEST_WAIT_S)):
                # A signal to stop also ends the wait.
                return not self._context.stop.requested
        return False

    def _open(self) -> ThreadingHTTPServer | None:
        if self._listen is None:
            return None
        host, port = self._listen
        try:
            handler = _handler(lambda: self.health.answer(self._clock()), lambda: self.metrics)
            server = (_ServerOfIPv6 if ":" in host else ThreadingHTTPServer)((host, port), handler)
        except OSError as error:
            raise ConfigurationError(
                f"can't listen on {host}:{port}: {error.strerror or type(error).__name__}",
                hint="Choose another address with --listen HOST:PORT, or `--listen none`.",
            ) from None
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.1,), name="health", daemon=True).start()
        shown = f"[{host}]" if ":" in host else host
        self._context.tell(
            LogEvent.DAEMON_LISTENING, f"Listening on http://{shown}:{server.server_address[1]} (/healthz, /metrics)"
        )
        return server


class _ServerOfIPv6(ThreadingHTTPServer):
    address_family = socket.AF_INET6


def _handler(health: Callable[[], tuple[int, bytes]], metrics: Callable[[], Metrics]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server_version = "fluxbase-cli"
        sys_version = ""
        timeout = 10.0

        def do_GET(self) -> None:
            if self.path == "/healthz":
                status, body = health()
                self._answer(status, "application/json", body)
            elif self.path == "/metrics":
                self._answer(200, _PROMETHEUS, metrics().as_text())
            else:
                self._answer(404, "text/plain", b"/healthz or /metrics\n")

        do_HEAD = do_GET  # noqa: N815  # the name that http.server looks for

        def _answer(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", content_type)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            """Log nothing: a line for each request would hide more important messages."""

    return Handler
