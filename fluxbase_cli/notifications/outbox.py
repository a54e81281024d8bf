"""The outbox: stores notifications in the database until they are delivered, and sends them from a thread.

A notification is stored in the transaction of the change that it reports. Notifications about progress and waiting are
not stored, because they are soon out of date.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from fluxbase_cli.notifications.message import Notification, NotificationType
from fluxbase_cli.notifications.notifier import Delivery, Notifier, NullNotifier
from fluxbase_cli.store.rotations import NotificationRecord, RotationStore


class Outbox:
    """The notifications of one run.

    Args:
        notifier: sends the notifications.
        database: the name of the database in notifications.
        clock: returns the current time.
    """

    def __init__(self, notifier: Notifier, *, database: str, clock: Callable[[], datetime]) -> None:
        self._notifier = notifier
        self._database = database
        self._clock = clock
        self._enqueued: list[NotificationRecord] = []
        self._stored: set[UUID] = set()
        self._rotation: int | None = None
        self._failures: list[str] = []

    def about(self, rotation: int) -> None:
        """Set the rotation of the following notifications."""
        self._rotation = rotation

    def enqueue(
        self,
        store: RotationStore,
        kind: NotificationType,
        message: str,
        detail: Mapping[str, Any],
        *,
        notification: UUID | None = None,
    ) -> None:
        """Store a notification, in the transaction of the change that it reports. `send` sends it later.

        Args:
            store: the table.
            kind: what it is about.
            message: a sentence for people.
            detail: numbers and names.
            notification: its id, if several processes may report the same. Then only the first of them sends it.
        """
        if self.is_silent:
            return
        record = NotificationRecord(notification or uuid4(), self._rotation, kind.value, self._clock(), message, detail)
        if store.add_notification(record):
            self._enqueued.append(record)

    def send(self) -> None:
        """Send the notifications of `enqueue`."""
        recorded, self._enqueued = self._enqueued, []
        for record in recorded:
            self._send(record)

    def send_pending(self, store: RotationStore) -> None:
        """Send the notifications that an earlier run stored and could not send, because it was killed."""
        if self.is_silent:
            return
        for record in store.pending_notifications():
            self._send(record)

    def send_now(
        self, kind: NotificationType, message: str, detail: Mapping[str, Any], *, notification: UUID | None = None
    ) -> None:
        """Send a notification without storing it. Any thread may call this. For the rest see `enqueue`."""
        self._notifier.send(
            Notification(notification or uuid4(), kind, self._clock(), message, self._rotation, self._database, detail)
        )

    def record_results(self, store: RotationStore) -> None:
        """Record which notifications were delivered so far, and which failed."""
        for delivery in self.collect_results():
            if delivery.notification in self._stored:
                store.end_notification(delivery.notification, delivery.error, self._clock())

    def collect_results(self) -> list[Delivery]:
        """The results since the last call. Failures are kept in `failures`."""
        deliveries = self._notifier.deliveries()
        self._failures += [delivery.error for delivery in deliveries if delivery.error is not None]
        return deliveries

    def close(self, limit_s: float | None = None) -> None:
        """Wait some seconds for notifications that are not sent yet; None means the usual time."""
        self._notifier.close(limit_s)

    def give_up(self) -> None:
        """Let a `close` that waits return now. A signal handler may call it."""
        self._notifier.give_up()

    @property
    def is_silent(self) -> bool:
        """Whether no webhook is configured."""
        return isinstance(self._notifier, NullNotifier)

    @property
    def has_stored(self) -> bool:
        """Whether a notification was sent whose result must be recorded."""
        return bool(self._stored)

    @property
    def failures(self) -> tuple[str, ...]:
        """Why notifications were not delivered, as far as their results were collected."""
        return tuple(self._failures)

    def _send(self, record: NotificationRecord) -> None:
        self._stored.add(record.id)
        kind = NotificationType(record.kind)
        self._notifier.send(
            Notification(record.id, kind, record.at, record.message, record.rotation, self._database, record.detail)
        )


def undelivered(failures: tuple[str, ...]) -> tuple[str, ...]:
    """What the operator is told about notifications that were not delivered: each reason once, with how many."""
    counted = {failure: failures.count(failure) for failure in failures}
    return tuple(
        f"{'a notification was' if number == 1 else f'{number} notifications were'} not delivered: {failure}; "
        "`fluxbase-cli rotation test-notification` sends a test"
        for failure, number in counted.items()
    )
