"""Notifications of a command that a person or cron has started, if it is asked for."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from fluxbase_cli.cli.ask import CancelledError
from fluxbase_cli.errors import ConfigurationError, ExitCode, FluxbaseCliError
from fluxbase_cli.log_events import LogEvent

if TYPE_CHECKING:
    from fluxbase_cli.config import Settings
    from fluxbase_cli.notifications.manual_run import ManualRun, RunTypes
    from fluxbase_cli.notifications.recipient import Webhook
    from fluxbase_cli.report.messages import Messages

#: How long the end of a command waits for its notifications, in seconds. docs/operators/notifications.md says so.
_CLOSE_S = 10.0
#: The same after a signal. The sender of the signal may not wait long.
_CLOSE_QUICKLY_S = 3.0
#: How long a wait must last until it is told, in seconds.
_LONG_WAIT_S = 60.0
_SIGNAL_CODES = range(128 + 1, 128 + 65)

Notify = Annotated[
    bool | None,
    typer.Option(
        "--notify/--no-notify",
        help="Tell the webhook of the configuration (security.encryption.key_rotation.notification_webhook) when the "
        "command begins, waits long and ends. A dry run tells nothing. [default: notify_manual_runs beside it]",
    ),
]


@contextmanager
def notifications_for(
    messages: Messages, settings: Settings, types: RunTypes, *, asked: bool | None, dry_run: bool = False
) -> Iterator[ManualRun]:
    """The notifications of a command. If the block raises an error or is interrupted, that is told too.

    Nothing that happens to a notification changes how the command ends.

    Args:
        messages: gets a warning about notifications that were not delivered.
        settings: they name the webhook.
        types: the types of the notifications.
        asked: `--notify` or `--no-notify`; None if neither was given.
        dry_run: whether nothing is changed. Then nothing is told.

    Raises:
        ConfigurationError: `--notify` was given, and the webhook can't be used.
    """
    from fluxbase_cli.notifications.manual_run import ManualRun  # noqa: PLC0415  # start-up time
    from fluxbase_cli.notifications.notifier import notifier_for  # noqa: PLC0415
    from fluxbase_cli.notifications.outbox import Outbox  # noqa: PLC0415

    webhook = None if dry_run else _webhook(messages, settings, asked=asked)
    outbox = Outbox(notifier_for(webhook), database=settings.database.describe(), clock=lambda: datetime.now(UTC))
    run = ManualRun(outbox, types, settings.database, long_wait_s=_LONG_WAIT_S)
    try:
        yield run
    except CancelledError:
        run.cancelled()
        raise
    except FluxbaseCliError as error:
        run.failed(error.message, int(error.exit_code))
        raise
    except KeyboardInterrupt:
        run.interrupted(signal.SIGINT)
        raise
    except SystemExit as ended:
        if isinstance(ended.code, int) and ended.code in _SIGNAL_CODES:
            run.interrupted(ended.code - 128)
        raise
    except Exception as error:
        # Its text may quote anything.
        run.failed(f"unexpected {type(error).__name__}", int(ExitCode.FAILED))
        raise
    finally:
        if webhook is not None:
            _close(messages, run)


def _webhook(messages: Messages, settings: Settings, *, asked: bool | None) -> Webhook | None:
    rotation = settings.encryption.key_rotation
    if not (rotation.notify_manual_runs if asked is None else asked):
        return None
    from fluxbase_cli.rotation.policy import read_webhook  # noqa: PLC0415  # start-up time

    try:
        webhook = read_webhook(rotation)
    except ConfigurationError as error:
        if asked:
            raise
        # An emergency rollback must not fail because of a setting that has nothing to do with it.
        messages.warn(LogEvent.CONFIGURATION_WARNING, f"no notification is sent: {error.message}")
        return None
    if webhook is None and asked:
        raise ConfigurationError(
            f"--notify needs {rotation.place('notification_webhook')}, and it is not set",
            hint="Set it to the URL that receives notifications, or leave out --notify.",
        )
    if webhook is None:
        messages.warn(
            LogEvent.CONFIGURATION_WARNING,
            f"no notification is sent: {rotation.place('notification_webhook')} is not set, and notify_manual_runs is; "
            "set it, or turn notify_manual_runs off",
        )
    return webhook


def _close(messages: Messages, run: ManualRun) -> None:
    from fluxbase_cli.cli.signals import handled  # noqa: PLC0415  # start-up time
    from fluxbase_cli.notifications.outbox import undelivered  # noqa: PLC0415

    def give_up(_number: int, _frame: object) -> None:
        run.give_up()

    # The command itself has ended. Now a signal only ends the wait for the webhook.
    with handled({signal.SIGINT: give_up, signal.SIGTERM: give_up}, messages.tell):
        failures = run.close(_CLOSE_QUICKLY_S if run.was_interrupted else _CLOSE_S)
    for line in undelivered(failures):
        messages.warn(LogEvent.NOTIFICATION_UNDELIVERED, line)
