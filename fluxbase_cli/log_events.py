"""The names of the messages on stderr. A program tells by them what a line of `--log-format json` means.

A name stays as it is. docs/operators/log-events.md lists all of them with their fields; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from functools import partial


class LogEvent(StrEnum):
    """The name of a message: the thing, a point, and what happened to it."""

    # Every command.
    COMMAND_FAILED = "command.failed"
    COMMAND_INTERRUPTED = "command.interrupted"
    COMMAND_DECLINED = "command.declined"
    COMMAND_TO_REPEAT = "command.to-repeat"
    COMMAND_NEXT = "command.next"
    USAGE_WRONG = "usage.wrong"
    TRACEBACK = "traceback"
    SIGNAL_RECEIVED = "signal.received"
    SIGNAL_DEADLINE = "signal.deadline"
    OUTPUT_LOST = "output.lost"
    CONFIGURATION_WARNING = "configuration.warning"
    CONFIGURATION_TO_CHANGE = "configuration.to-change"
    KEY_WARNING = "key.warning"
    KEY_HINT = "key.hint"
    DATABASE_WARNING = "database.warning"
    SERVER_NOTICE = "server.notice"

    # Values.
    VALUE_LEFT = "value.left"
    VALUES_UNLISTED = "values.unlisted"
    NOT_EXAMINED = "not-examined"
    LIST_INCOMPLETE = "list.incomplete"
    LIST_EMPTY = "list.empty"
    LIST_UNKNOWN = "list.unknown-keys"
    LIST_NO_PROOF = "list.no-proof"

    # Jobs.
    JOB_PROGRESS = "job.progress"
    JOB_WAITING = "job.waiting"
    JOB_CONTINUED = "job.continued"
    JOB_RESUMED = "job.resumed"
    JOB_JOINED = "job.joined"
    JOB_COMPLETED_BEFORE = "job.completed-before"
    JOB_STOP_LIFTED = "job.stop-lifted"
    JOB_STOP_REQUESTED = "job.stop-requested"
    JOB_TABLES_CHANGED = "job.tables-changed"
    JOB_VALUES_CHANGED = "job.values-changed"
    JOB_ROW_LEFT = "job.row-left"
    JOB_COUNTED = "job.counted"
    JOB_COST = "job.cost"
    JOB_RATE = "job.rate"
    JOB_BATCH_SIZE = "job.batch-size"
    JOB_WORKERS = "job.workers"
    JOB_CONNECTIONS = "job.connections"
    JOB_CHECKPOINTS = "job.checkpoints"
    JOB_STANDBY = "job.standby"
    JOB_WORKER_PROCESS = "job.worker-process"
    VACUUM_BEGUN = "vacuum.begun"
    VACUUM_REFUSED = "vacuum.refused"
    VACUUM_FAILED = "vacuum.failed"
    VACUUM_USELESS = "vacuum.useless"
    DATABASE_DONE = "database.done"

    # Reports.
    REPORT_WRITTEN = "report.written"
    REPORT_SIGNED = "report.signed"

    # Destroying keys.
    DESTROY_LEFT_TO_DO = "destroy.left-to-do"
    DESTROY_NEXT = "destroy.next"

    # The scheduled rotation.
    ROTATION_BEGUN = "rotation.begun"
    ROTATION_FINISHED = "rotation.finished"
    ROTATION_WAITING = "rotation.waiting"
    ROTATION_ABANDONED = "rotation.abandoned"
    ROTATION_KEY = "rotation.key"
    ROTATION_KEY_ACTIVE = "rotation.key-active"
    ROTATION_KEY_KEPT = "rotation.key-kept"
    ROTATION_FILE_CHANGED = "rotation.file-changed"
    ROTATION_FILE_TO_CHANGE = "rotation.file-to-change"
    ROTATION_RELOADED = "rotation.reloaded"
    ROTATION_RELOAD_MISSING = "rotation.reload-missing"
    ROTATION_RE_ENCRYPTED = "rotation.re-encrypted"
    ROTATION_VALUES_STAY = "rotation.values-stay"
    ROTATION_AUDITED = "rotation.audited"
    ROTATION_OLD_VALUES = "rotation.old-values"
    ROTATION_UNDECRYPTABLE = "rotation.undecryptable"
    ROTATION_KEY_NOT_RETIRED = "rotation.key-not-retired"
    ROTATION_WARNING = "rotation.warning"
    SERVER_STOPPED = "server.stopped"
    SERVER_SESSIONS = "server.sessions"
    SERVER_KEY_INSTALLED = "server.key-installed"
    SERVER_HEALTHY = "server.healthy"
    COMMAND_OUTPUT = "command.output"
    RETURN_BEGUN = "return.begun"
    RETURN_KEY_INSTALLED = "return.key-installed"
    RETURN_VALUES_MOVED = "return.values-moved"
    NOTIFICATION_UNDELIVERED = "notification.undelivered"
    NOTIFICATIONS_UNRECORDED = "notifications.unrecorded"
    METRICS_UNWRITTEN = "metrics.unwritten"
    TELEMETRY_FAILED = "telemetry.failed"

    # The daemon.
    DAEMON_LISTENING = "daemon.listening"
    DAEMON_SLEEPING = "daemon.sleeping"
    DAEMON_FAILED = "daemon.failed"
    DAEMON_RELOADED = "daemon.reloaded"

    # A fleet.
    INSTANCE_STARTED = "instance.started"
    INSTANCE_ENDED = "instance.ended"
    INSTANCE_OUTPUT = "instance.output"


#: Takes a message for the operator.
Teller = Callable[[LogEvent, str], None]


def about(event: LogEvent, teller: Teller) -> Callable[[str], None]:
    """A function that takes texts, for a part of the program whose messages all have the same name."""
    return partial(teller, event)


def no_message(_event: LogEvent, _text: str) -> None:
    """Take a message and drop it."""
