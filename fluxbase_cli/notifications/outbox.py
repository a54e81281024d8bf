"""Telling what happens: kept in the database with what it tells of, and sent from a thread until it was delivered.

Progress and waiting are only of the moment, and are not kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from fluxbase_cli.notifications.message import Notification, NotificationType
from fluxbase_cli.notifications.webhook import Notifier, NullNotifier
from fluxbase_cli.store.rotations import NotificationRecord, RotationStore


class Outbox:
    """The notifications of one run.

    Args:
        notifier: takes what is to be sent.
        database: where, as notifications say it.
        clock: what time it is.
    """

    def __init__(self, notifier: Notifier, *, database: str, clock: Callable[[], datetime]) -> None:
        self._notifier = notifier
        self._database = database
        self._clock = clock
        self._recorded: list[NotificationRecord] = []
        self._kept: set[UUID] = set()
        self._rotation: int | None = None
        self._failures: list[str] = []

    def about(self, rotation: int) -> None:
        """From here on, notifications are about this rotation."""
        self._rotation = rotation

    def enqueue(self, store: RotationStore, kind: NotificationType, message: str, detail: Mapping[str, Any]) -> None:
        """Keep a notification, in the transaction of what it tells of; `send` sends it afterwards."""
        if isinstance(self._notifier, NullNotifier):
            return
        record = NotificationRecord(uuid4(), self._rotation, kind.value, self._clock(), message, detail)
        store.add_notification(record)
        self._recorded.append(record)

    def send(self) -> None:
        """Send what was recorded."""
        recorded, self._recorded = self._recorded, []
        for record in recorded:
            self._send(record)

    def send_pending(self, store: RotationStore) -> None:
        """Send what an earlier run has recorded and did not live to send."""
        if isinstance(self._notifier, NullNotifier):
            return
        for record in store.pending_notifications():
            self._send(record)

    def send_now(self, kind: NotificationType, message: str, detail: Mapping[str, Any]) -> None:
        """Send a notification that is only of this moment; from any thread."""
        self._notifier.send(Notification(uuid4(), kind, self._clock(), message, self._rotation, self._database, detail))

    def record_results(self, store: RotationStore) -> None:
        """Record what has become of the notifications so far."""
        for delivery in self._notifier.deliveries():
            if delivery.error is not None:
                self._failures.append(delivery.error)
            if delivery.notification in self._kept:
                store.end_notification(delivery.notification, delivery.error, self._clock())

    def close(self) -> None:
        """Wait a while for what is still to be sent."""
        self._notifier.close()

    @property
    def failures(self) -> tuple[str, ...]:
        """Why notifications were not delivered, as far as that was settled."""
        return tuple(self._failures)

    def _send(self, record: NotificationRecord) -> None:
        self._kept.add(record.id)
        kind = NotificationType(record.kind)
        self._notifier.send(
            Notification(record.id, kind, record.at, record.message, record.rotation, self._database, record.detail)
        )
