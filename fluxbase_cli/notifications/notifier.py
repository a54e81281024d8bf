"""What sends notifications: the interface, and the notifier if no webhook is configured.

The libraries that send them are imported only if there is a webhook.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from fluxbase_cli.notifications.message import Notification
from fluxbase_cli.notifications.recipient import Webhook


@dataclass(frozen=True, slots=True)
class Delivery:
    """The result of sending a notification.

    Attributes:
        notification: the id of the notification.
        error: why it was not delivered. None if it was delivered.
    """

    notification: UUID
    error: str | None = None


class Notifier(Protocol):
    """Sends notifications."""

    def send(self, notification: Notification) -> None:
        """Accept a notification. It returns at once and raises nothing."""
        ...

    def deliveries(self) -> list[Delivery]:
        """The results since the last call."""
        ...

    def close(self, limit_s: float | None = None) -> None:
        """Wait some seconds for notifications that are not sent yet; None means the usual time."""
        ...

    def give_up(self) -> None:
        """Let a `close` that waits return now. A signal handler may call it."""
        ...


class NullNotifier:
    """The notifier if no webhook is configured."""

    def send(self, notification: Notification) -> None:
        """Drop it."""

    def deliveries(self) -> list[Delivery]:
        """Return no results."""
        return []

    def close(self, limit_s: float | None = None) -> None:
        """Return at once."""

    def give_up(self) -> None:
        """Do nothing."""


def notifier_for(webhook: Webhook | None) -> Notifier:
    """Make the notifier for the configured webhook."""
    if webhook is None:
        return NullNotifier()
    from fluxbase_cli.notifications.webhook import WebhookNotifier  # noqa: PLC0415  # start-up time

    return WebhookNotifier(webhook)
