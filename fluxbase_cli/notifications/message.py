"""A notification as JSON with a stable form, or as text for chats, and its signature.

The signature follows Standard Webhooks (https://www.standardwebhooks.com). Most languages have a library to verify it.
`docs/operators/notification.schema.json` describes the JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any
from uuid import UUID

from fluxbase_cli import __version__
from fluxbase_cli.notifications.recipient import Format, Webhook

#: The number changes when a field changes its meaning or is removed. It does not change when a field is added.
SCHEMA = "fluxbase-cli/notification/v1"


class NotificationType(StrEnum):
    """What a notification is about."""

    STARTED = "rotation.started"
    PROGRESS = "rotation.progress"
    WAITING = "rotation.waiting"
    UNDECRYPTABLE = "rotation.undecryptable"
    FINISHED = "rotation.finished"
    FAILED = "rotation.failed"
    JOB_STARTED = "job.started"
    JOB_WAITING = "job.waiting"
    JOB_INTERRUPTED = "job.interrupted"
    JOB_FINISHED = "job.finished"
    JOB_FAILED = "job.failed"
    AUDIT_STARTED = "audit.started"
    AUDIT_WAITING = "audit.waiting"
    AUDIT_INTERRUPTED = "audit.interrupted"
    AUDIT_FINISHED = "audit.finished"
    AUDIT_FAILED = "audit.failed"
    KEY_DISABLED = "key.disabled"
    KEY_DESTROYED = "key.destroyed"
    TEST = "test"


_MARKS = {
    NotificationType.STARTED: ":arrows_counterclockwise:",
    NotificationType.WAITING: ":hourglass:",
    NotificationType.UNDECRYPTABLE: ":warning:",
    NotificationType.FINISHED: ":white_check_mark:",
    NotificationType.FAILED: ":x:",
    NotificationType.JOB_STARTED: ":arrows_counterclockwise:",
    NotificationType.JOB_WAITING: ":hourglass:",
    NotificationType.JOB_INTERRUPTED: ":octagonal_sign:",
    NotificationType.JOB_FINISHED: ":white_check_mark:",
    NotificationType.JOB_FAILED: ":x:",
    NotificationType.AUDIT_STARTED: ":arrows_counterclockwise:",
    NotificationType.AUDIT_WAITING: ":hourglass:",
    NotificationType.AUDIT_INTERRUPTED: ":octagonal_sign:",
    NotificationType.AUDIT_FINISHED: ":white_check_mark:",
    NotificationType.AUDIT_FAILED: ":x:",
    NotificationType.KEY_DISABLED: ":lock:",
    NotificationType.KEY_DESTROYED: ":wastebasket:",
}


@dataclass(frozen=True, slots=True)
class Notification:
    """One notification. It contains versions, fingerprints, counts and places, and no secret.

    Attributes:
        id: the same for every attempt to send it.
        kind: what it is about.
        time: when that happened.
        message: a sentence for people.
        rotation: the number of the rotation. None if there is none.
        database: the database, as `user@host:port/database`.
        detail: numbers and names; which ones depends on `kind`.
    """

    id: UUID
    kind: NotificationType
    time: datetime
    message: str
    rotation: int | None = None
    database: str = ""
    detail: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def as_data(self) -> dict[str, Any]:
        """The notification as an object for JSON."""
        return {
            "schema": SCHEMA,
            "id": str(self.id),
            "type": self.kind.value,
            "timestamp": self.time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "data": {
                "message": self.message,
                "rotation": self.rotation,
                "database": self.database,
                **self.detail,
            },
        }

    def body(self, form: Format) -> bytes:
        """The body of the request."""
        if form is Format.SLACK:
            mark = _MARKS.get(self.kind)
            where = f" ({self.database})" if self.database else ""
            return _json({"text": f"{f'{mark} ' if mark else ''}{self.message}{where}"})
        return _json(self.as_data())


def headers(notification: Notification, body: bytes, webhook: Webhook, sent_at: int) -> dict[str, str]:
    """The headers of a request.

    Args:
        notification: the notification.
        body: the body of the request.
        webhook: the receiver.
        sent_at: the time of this attempt in seconds since 1970. It is signed too, so old requests can't be replayed.
    """
    made = {
        "content-type": "application/json; charset=utf-8",
        "user-agent": f"fluxbase-cli/{__version__}",
        "webhook-id": str(notification.id),
        "webhook-timestamp": str(sent_at),
    }
    key = webhook.signing_key
    if key is not None:
        import standardwebhooks  # noqa: PLC0415  # start-up time

        # The library ignores the time zone and reads the time as UTC.
        moment = datetime.fromtimestamp(sent_at, UTC)
        made["webhook-signature"] = standardwebhooks.Webhook(key).sign(str(notification.id), moment, body.decode())
    return made


def _json(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
