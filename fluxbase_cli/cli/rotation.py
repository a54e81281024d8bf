"""`fluxbase-cli rotation`: plan, run, daemon, test-notification."""

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
from fluxbase_cli.cli.option_types import BatchSize, Concurrency, DatabasesOption, LocationsOption, scope_of
from fluxbase_cli.cli.options import Databases, Options, command, group_options
from fluxbase_cli.cli.output import print_result
from fluxbase_cli.errors import ConfigurationError, ExitCode, JobFailedError

if TYPE_CHECKING:
    from fluxbase_cli.report.messages import Messages
    from fluxbase_cli.rotation.context import RotationContext

_GROUP_HELP = "Rotate the key on a schedule."
_MAX_PORT = 65535

MetricsFile = Annotated[
    Path | None,
    typer.Option(
        "--metrics-file",
        metavar="PATH",
        help="Write figures there for the node exporter's textfile collector (the name ends in .prom).",
    ),
]


def make_app() -> typer.Typer:
    """The group of commands."""
    app = typer.Typer(help=_GROUP_HELP, no_args_is_help=True, rich_markup_mode=None)
    app.callback()(group_options(_group))
    app.command("plan", epilog=_PLAN_EXAMPLES)(command(plan))
    app.command("run", epilog=_RUN_EXAMPLES)(command(run))
    app.command("daemon", epilog=_DAEMON_EXAMPLES)(command(daemon))
    app.command("test-notification", epilog=_TEST_EXAMPLES)(command(test_notification))
    return app


def _group() -> None:
    """The scheduled rotation."""


_PLAN_EXAMPLES = """\b
Examples:
  fluxbase-cli rotation plan
  fluxbase-cli rotation plan -o json || echo "a rotation is due"
"""


def plan(options: Options) -> int:
    """Say what `rotation run` would do now. Reads only.

    Exit 0 when nothing is due, 3 when a rotation is due or is to be gone on with.
    """
    from fluxbase_cli.cli.signals import stop_on_signals  # noqa: PLC0415  # start-up time
    from fluxbase_cli.engine.stop import Stop  # noqa: PLC0415
    from fluxbase_cli.rotation.plan import make_plan  # noqa: PLC0415

    messages = messages_for(options)
    settings = load(options, messages)
    for warning in settings.warnings:
        messages.warn(warning)
    stop = Stop()
    with stop_on_signals(stop, messages.tell):
        found = make_plan(settings, os.environ, warn=messages.warn, stop=stop)
    if stop.requested:
        messages.warn("interrupted; the plan is incomplete")
        return 128 + (stop.signal or 2)
    print_result(options, found.as_data(), found.lines())
    return found.exit_code


_RUN_EXAMPLES = """\b
Examples:
  fluxbase-cli rotation run
  fluxbase-cli rotation run --force
  fluxbase-cli rotation run --metrics-file /var/lib/node_exporter/fluxbase.prom -o json
"""


def run(  # noqa: PLR0913  # a command's options
    options: Options,
    *,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Rotate now, whatever schedule and min_age say.",
        ),
    ] = False,
    metrics_file: MetricsFile = None,
    batch_size: BatchSize = 1000,
    concurrency: Concurrency = 4,
    databases: DatabasesOption = Databases.MAIN,
    locations: LocationsOption = None,
) -> int:
    """Rotate the key if a rotation is due.

    If none is due, it only retires keys that are beyond retention.

    Meant to be run often, from cron or a timer: it decides by itself. Makes the new key where keys are kept, makes it
    active in fluxbase.yaml, runs reload_command, re-encrypts, proves it by a census, and disables and destroys old
    keys. Each step is recorded: after an interruption or a failure the same command goes on where it was.
    """
    from fluxbase_cli.cli.signals import stop_on_signals  # noqa: PLC0415  # start-up time
    from fluxbase_cli.report.progress import progress_for  # noqa: PLC0415
    from fluxbase_cli.rotation.metrics import Metrics  # noqa: PLC0415
    from fluxbase_cli.rotation.rotator import Rotator  # noqa: PLC0415

    messages = messages_for(options)
    context = _surroundings(options, messages, batch_size, concurrency, databases, locations)
    with stop_on_signals(context.stop, messages.tell), progress_for(messages, color=options.color) as progress:
        rotator = Rotator(replace(context, observer=progress))
        try:
            report = rotator.run(force=force)
        finally:
            if metrics_file is not None:
                metrics = Metrics()
                metrics.update(rotator.figures)
                metrics.write(metrics_file)
    print_result(options, report.as_data(), report.lines())
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
            help="Where /healthz and /metrics are; `none` for nowhere.",
        ),
    ] = "127.0.0.1:9821",
    batch_size: BatchSize = 1000,
    concurrency: Concurrency = 4,
    databases: DatabasesOption = Databases.MAIN,
    locations: LocationsOption = None,
) -> int:
    """Stay in the foreground and rotate whenever due.

    SIGHUP reads the configuration anew; SIGTERM and SIGINT stop after the batches in hand. What fails is tried again by
    itself, with growing pauses.
    """
    from fluxbase_cli.rotation.daemon import Daemon  # noqa: PLC0415  # start-up time

    messages = messages_for(options)
    context = _surroundings(options, messages, batch_size, concurrency, databases, locations)
    made = Daemon(context, listen=_address(listen))
    with _daemon_signals(context, made.wake, messages.tell):
        return made.serve()


_TEST_EXAMPLES = """\b
Example:
  fluxbase-cli rotation test-notification
"""


def test_notification(options: Options) -> int:
    """Send one test notification to the webhook.

    It is signed like all others. Says whether the receiver accepted it.
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
            hint="Set it to the URL that shall be told, and notification_secret to what signs the notifications.",
        )
    notice = Notification(
        uuid4(),
        NotificationType.TEST,
        datetime.now(UTC),
        "A test of fluxbase-cli",
        database=settings.database.describe(),
    )
    try:
        post(webhook, notice)
    except DeliveryError as error:
        raise JobFailedError(f"the notification was not taken: {error}") from None
    signed = "signed" if webhook.key is not None else "not signed: notification_secret is not set"
    data = {"id": str(notice.id), "host": webhook.host, "signed": webhook.key is not None}
    print_result(options, data, [f"✓ {webhook.host} has taken notification {notice.id} ({signed})"])
    return ExitCode.DONE


def _surroundings(  # noqa: PLR0913, PLR0917  # a command's options
    options: Options,
    messages: Messages,
    batch_size: int,
    concurrency: int,
    databases: Databases,
    locations: Path | None,
) -> RotationContext:
    from fluxbase_cli.rotation.context import RotationContext  # noqa: PLC0415  # start-up time
    from fluxbase_cli.store.databases import Databases as Wanted  # noqa: PLC0415
    from fluxbase_cli.store.rows import DEFAULT_LIMITS  # noqa: PLC0415

    return RotationContext(
        load=lambda: load(options, messages),
        environ=os.environ,
        tell=messages.tell,
        warn=messages.warn_once,
        limits=replace(DEFAULT_LIMITS, rows=batch_size),
        workers=concurrency,
        databases=Wanted(databases.value),
        scope=scope_of(locations),
    )


def _address(listen: str) -> tuple[str, int] | None:
    if listen.strip().lower() == "none":
        return None
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > _MAX_PORT:
        raise ConfigurationError("--listen must be HOST:PORT, or none", hint="As in 127.0.0.1:9821 or 0.0.0.0:9821.")
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104  # asked for


@contextmanager
def _daemon_signals(context: RotationContext, wake: Callable[[], None], tell: Callable[[str], None]) -> Iterator[None]:
    """Within the block, SIGHUP wakes the daemon, and SIGINT and SIGTERM stop it."""

    def stop(number: int, _frame: FrameType | None) -> None:
        context.stop.request(number)
        wake()
        tell("Stopping…")

    def reload(_number: int, _frame: FrameType | None) -> None:
        tell("Reading the configuration anew")
        wake()

    handlers = {signal.SIGINT: stop, signal.SIGTERM: stop, signal.SIGHUP: reload}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
