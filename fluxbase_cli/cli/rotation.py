"""The command group `fluxbase-cli rotation`: plan, run, daemon, health, test-notification."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from fluxbase_cli.cli.context import load, messages_for
from fluxbase_cli.cli.groups import GROUPS
from fluxbase_cli.cli.option_types import BatchSize, Concurrency, LocationsOption, scope_of
from fluxbase_cli.cli.options import Databases, Options, command, command_group
from fluxbase_cli.cli.output import print_result
from fluxbase_cli.cli.telemetry import telemetry_for
from fluxbase_cli.errors import (
    ConfigurationError,
    ExitCode,
    JobFailedError,
    RotationRunningError,
    interrupted_code,
)
from fluxbase_cli.log_events import LogEvent, Teller, about

if TYPE_CHECKING:
    from fluxbase_cli.report.messages import Messages
    from fluxbase_cli.rotation.context import RotationContext

_MAX_PORT = 65535
#: Where the daemon listens, if nothing else is said.
_LISTEN = "127.0.0.1:9821"

MetricsPath = Annotated[
    Path | None,
    typer.Option(
        "--metrics-file",
        metavar="PATH",
        help="Write metrics to this file for the node exporter's textfile collector. The name must end in .prom.",
    ),
]
RotationDatabases = Annotated[
    Databases | None,
    typer.Option(
        "--databases",
        help="Also rotate the databases of branches or tenants, or of both. [default: all if the server knows one key, "
        "else main]",
    ),
]


def make_app() -> typer.Typer:
    """Build the command group."""
    app = command_group(GROUPS["rotation"].help)
    app.command("plan", epilog=_PLAN_EXAMPLES)(command(plan))
    app.command("run", epilog=_RUN_EXAMPLES)(command(run))
    app.command("daemon", epilog=_DAEMON_EXAMPLES)(command(daemon))
    app.command("health", epilog=_HEALTH_EXAMPLES)(command(health))
    app.command("test-notification", epilog=_TEST_EXAMPLES)(command(test_notification))
    return app


_PLAN_EXAMPLES = """\b
Examples:
  fluxbase-cli rotation plan
  fluxbase-cli rotation plan -o json || echo "a rotation is due"
"""


def plan(options: Options) -> int:
    """Show what `rotation run` would do now.

    Writes nothing. Exit code 0: nothing is due. 3: a rotation is due, or an unfinished one must be resumed. 2:
    nothing is due, and a rotation could not run: something is missing, or no new key can be made.
    """
    from fluxbase_cli.cli.signals import stop_on_signals  # noqa: PLC0415  # start-up time
    from fluxbase_cli.engine.stop import Stop  # noqa: PLC0415
    from fluxbase_cli.report.rotation import plan_data, plan_lines  # noqa: PLC0415  # start-up time
    from fluxbase_cli.rotation.plan import make_plan  # noqa: PLC0415

    messages = messages_for(options)
    settings = load(options, messages)
    for warning in settings.warnings:
        messages.warn(LogEvent.CONFIGURATION_WARNING, warning)
    stop = Stop()
    with stop_on_signals(stop, messages.tell):
        made = make_plan(settings, os.environ, warn=about(LogEvent.KEY_WARNING, messages.warn), stop=stop)
    if stop.requested:
        messages.warn(LogEvent.COMMAND_INTERRUPTED, "interrupted; the plan is incomplete")
        return interrupted_code(stop.signal)
    print_result(options, plan_data(made), plan_lines(made))
    return made.exit_code


_RUN_EXAMPLES = """\b
Examples:
  fluxbase-cli rotation run
  fluxbase-cli rotation run --force
  fluxbase-cli rotation run -o json \\
    --metrics-file /var/lib/node_exporter/fluxbase.prom
"""


def run(  # noqa: PLR0913  # a command's options
    options: Options,
    *,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Rotate now, even if schedule and min_age do not allow it yet.",
        ),
    ] = False,
    metrics_file: MetricsPath = None,
    batch_size: BatchSize = 1000,
    concurrency: Concurrency = 4,
    databases: RotationDatabases = None,
    locations: LocationsOption = None,
) -> int:
    """Rotate the key if a rotation is due.

    If no rotation is due, it only retires keys that are beyond retention.

    A server that knows one key is stopped meanwhile (security.encryption.server): check everything, make the new key,
    stop the server, re-encrypt, audit, install the key, start the server, audit again, retire old keys. If a step
    fails, the values and the server go back to the old key, and the exit code is 1.

    A server that reads security.encryption.keys goes on running: make the new key, make it active in fluxbase.yaml, run
    reload_command, re-encrypt, audit, retire old keys.

    Run it often, from cron or a timer. Each step is recorded. After an interruption, run the same command again: it
    resumes.
    """
    from fluxbase_cli.cli.signals import stop_on_signals  # noqa: PLC0415  # start-up time
    from fluxbase_cli.engine.events import Several  # noqa: PLC0415
    from fluxbase_cli.report.progress import progress_for  # noqa: PLC0415
    from fluxbase_cli.report.rotation import rotation_data, rotation_lines  # noqa: PLC0415  # start-up time
    from fluxbase_cli.rotation.metrics import samples_of  # noqa: PLC0415
    from fluxbase_cli.rotation.metrics_file import MetricsFile  # noqa: PLC0415
    from fluxbase_cli.rotation.rotator import Rotator  # noqa: PLC0415

    messages = messages_for(options)
    context = _context_from(options, messages, batch_size, concurrency, databases, locations)
    with (
        telemetry_for(messages, context.stop) as telemetry,
        MetricsFile(metrics_file, about(LogEvent.METRICS_UNWRITTEN, messages.warn)) as figures,
        stop_on_signals(context.stop, messages.tell),
        progress_for(messages, color=options.color) as progress,
    ):
        rotator = Rotator(replace(context, observer=Several(progress, telemetry), listener=telemetry.step))
        figures.take(lambda: rotator.figures)
        try:
            with telemetry.span("rotation run", {"rotation.forced": force}):
                report = rotator.run(force=force)
                telemetry.add({"rotation.state": report.state, "rotation.to_version": report.to_version})
        except RotationRunningError:
            # The metrics of the other process count.
            raise
        except BaseException:
            telemetry.measure(lambda: samples_of(rotator.figures))
            raise
        telemetry.measure(lambda: samples_of(rotator.figures))
    print_result(options, rotation_data(report), rotation_lines(report))
    return report.exit_code


_DAEMON_EXAMPLES = """\b
Examples:
  fluxbase-cli rotation daemon
  fluxbase-cli rotation daemon --listen 0.0.0.0:9821 --log-format json
"""


def daemon(  # noqa: PLR0913  # a command's options
    options: Options,
    *,
    listen: Annotated[
        str,
        typer.Option(
            "--listen",
            metavar="HOST:PORT",
            help="Serve /healthz and /metrics at this address. `none`: do not serve them.",
        ),
    ] = _LISTEN,
    batch_size: BatchSize = 1000,
    concurrency: Concurrency = 4,
    databases: RotationDatabases = None,
    locations: LocationsOption = None,
) -> int:
    """Run in the foreground and rotate when a rotation is due.

    On SIGHUP it reads the configuration again. On SIGTERM and SIGINT it stops after the batches in progress. After a
    failure it tries again automatically, with growing pauses.
    """
    from fluxbase_cli.rotation.daemon import Daemon  # noqa: PLC0415  # start-up time

    messages = messages_for(options)
    context = _context_from(options, messages, batch_size, concurrency, databases, locations)
    with telemetry_for(messages, context.stop) as telemetry:
        watched = replace(
            context,
            observer=telemetry,
            listener=telemetry.step,
            # Most runs find that nothing is due.
            around=lambda: telemetry.span("rotation run", {}, if_used=True),
        )
        service = Daemon(watched, listen=_address(listen))
        telemetry.measure(lambda: service.metrics.samples)
        with _daemon_signals(context, service.wake, messages.tell):
            return service.serve()


_HEALTH_EXAMPLES = """\b
Examples:
  fluxbase-cli rotation health
  fluxbase-cli rotation health --listen 0.0.0.0:9821 --quiet
"""


def health(
    options: Options,
    *,
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST:PORT", help="The address that the daemon got by its own --listen.")
    ] = _LISTEN,
) -> int:
    """Ask the daemon on this machine whether it works.

    For the health check of a container. Needs no configuration. Exit code 0: it answers, also if the last rotation
    failed, because it tries again automatically. 1: it does not answer, or sleeps beyond the time at which it
    should have looked again.
    """
    from fluxbase_cli.report.health import health_lines  # noqa: PLC0415  # start-up time
    from fluxbase_cli.rotation.health import ask_daemon  # noqa: PLC0415

    address = _address(listen)
    if address is None:
        raise ConfigurationError(
            "--listen none: a daemon that does not listen can't be asked",
            hint="Name the address at which the daemon listens: --listen HOST:PORT.",
        )
    found = ask_daemon(_reached(address))
    print_result(options, found, health_lines(found))
    return ExitCode.FAILED if found["status"] == "stalled" else ExitCode.DONE


def _reached(address: tuple[str, int]) -> tuple[str, int]:
    """Where a server that listens at this address is reached on the same machine."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address[0], address[0]), address[1]  # noqa: S104  # compared


_TEST_EXAMPLES = """\b
Example:
  fluxbase-cli rotation test-notification
"""


def test_notification(options: Options) -> int:
    """Send one test notification to the webhook.

    It is signed like all other notifications. Shows whether the receiver accepted it.
    """
    from uuid import uuid4  # noqa: PLC0415  # start-up time

    from fluxbase_cli.notifications.message import Notification, NotificationType  # noqa: PLC0415
    from fluxbase_cli.notifications.post import DeliveryError, post  # noqa: PLC0415
    from fluxbase_cli.rotation.policy import read_policy  # noqa: PLC0415

    settings = load(options)
    webhook = read_policy(settings.encryption.key_rotation).webhook
    if webhook is None:
        raise ConfigurationError(
            f"{settings.encryption.key_rotation.place('notification_webhook')} is not set",
            hint="Set it to the URL that receives notifications, and notification_secret to the secret that signs "
            "them.",
        )
    notification = Notification(
        uuid4(),
        NotificationType.TEST,
        datetime.now(UTC),
        "A test of fluxbase-cli",
        database=settings.database.describe(),
    )
    try:
        post(webhook, notification)
    except DeliveryError as error:
        raise JobFailedError(
            f"the notification was not accepted: {error}",
            hint="Look at that service, and at notification_webhook and notification_secret in fluxbase.yaml.",
        ) from None
    signed = "signed" if webhook.key is not None else "not signed: notification_secret is not set"
    data = {"id": str(notification.id), "host": webhook.host, "signed": webhook.key is not None}
    print_result(options, data, [f"✓ {webhook.host} accepted notification {notification.id} ({signed})"])
    return ExitCode.DONE


def _context_from(  # noqa: PLR0913, PLR0917  # a command's options
    options: Options,
    messages: Messages,
    batch_size: int,
    concurrency: int,
    databases: Databases | None,
    locations: Path | None,
) -> RotationContext:
    from fluxbase_cli.rotation.context import RotationContext  # noqa: PLC0415  # start-up time
    from fluxbase_cli.store.databases import Databases as Wanted  # noqa: PLC0415
    from fluxbase_cli.store.limits import DEFAULT_LIMITS  # noqa: PLC0415

    return RotationContext(
        load=lambda: load(options, messages),
        environ=os.environ,
        tell=messages.tell,
        warn=messages.warn_once,
        limits=replace(DEFAULT_LIMITS, rows=batch_size),
        workers=concurrency,
        databases=None if databases is None else Wanted(databases.value),
        scope=scope_of(locations),
    )


def _address(listen: str) -> tuple[str, int] | None:
    if listen.strip().lower() == "none":
        return None
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > _MAX_PORT:
        raise ConfigurationError("--listen must be HOST:PORT, or none", hint="As in 127.0.0.1:9821 or 0.0.0.0:9821.")
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104  # the operator wrote `:PORT`


@contextmanager
def _daemon_signals(context: RotationContext, wake: Callable[[], None], tell: Teller) -> Iterator[None]:
    """Inside the block, SIGHUP wakes the daemon, and SIGINT and SIGTERM stop it."""
    from fluxbase_cli.cli.signals import handled  # noqa: PLC0415  # start-up time

    def stop(number: int, _frame: FrameType | None) -> None:
        context.stop.request(number)
        wake()
        tell(LogEvent.SIGNAL_RECEIVED, "Stopping…")

    def reload(_number: int, _frame: FrameType | None) -> None:
        tell(LogEvent.DAEMON_RELOADED, "Reading the configuration again")
        wake()

    handlers = {signal.SIGINT: stop, signal.SIGTERM: stop, signal.SIGHUP: reload}
    with handled(handlers, tell, lambda: context.stop.finishing):
        yield
