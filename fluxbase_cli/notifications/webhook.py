"""Sends notifications to a webhook, from a separate thread. So no endpoint can stop or slow down a rotation.

Each notification is tried a few times, with growing pauses. After one has failed completely, each of the others is
tried only once, until one is delivered. So an endpoint that is down costs little time. The failures are reported at the
end.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from uuid import UUID

from tenacity import (
    Retrying,
    retry_if_exception,
    sleep_using_event,
    stop_after_attempt,
    wait_exponential,
    wait_random,
)

from fluxbase_cli.notifications.message import Notification
from fluxbase_cli.notifications.notifier import Delivery
from fluxbase_cli.notifications.post import DeliveryError, post
from fluxbase_cli.notifications.recipient import Webhook

_ATTEMPTS = 4
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 8.0
#: A rotation never sends so many notifications while one is being delivered.
_MOST_WAITING = 256
#: How long the end of a rotation waits for notifications that are not sent yet.
_RETRY_LIMIT_S = 20.0
_LOOK_S = 0.1


class WebhookNotifier:
    """Delivers notifications from a thread.

    Args:
        webhook: the receiver.
        deliver: makes one attempt to send a notification; `post`, except in tests.
        first_pause_s: the pause after the first failed attempt. Each further pause is twice as long.
        retry_limit_s: how long `close` waits at most.
        most_waiting: how many notifications may wait.
    """

    def __init__(
        self,
        webhook: Webhook,
        *,
        deliver: Callable[[Webhook, Notification], None] = post,
        first_pause_s: float = _FIRST_PAUSE_S,
        retry_limit_s: float = _RETRY_LIMIT_S,
        most_waiting: int = _MOST_WAITING,
    ) -> None:
        self._webhook = webhook
        self._deliver = deliver
        self._first_pause_s = first_pause_s
        self._retry_limit_s = retry_limit_s
        self._waiting: queue.Queue[Notification | None] = queue.Queue(maxsize=most_waiting)
        self._closing = threading.Event()
        self._give_up = threading.Event()
        self._lock = threading.Lock()
        self._results: list[Delivery] = []
        self._pending: dict[UUID, None] = {}
        self._is_down = False
        # A daemon thread: if it hangs, it must not keep the program from ending.
        self._thread = threading.Thread(target=self._work, name="notifications", daemon=True)
        self._thread.start()

    def send(self, notification: Notification) -> None:
        """Accept a notification. It returns at once."""
        with self._lock:
            self._pending[notification.id] = None
        try:
            self._waiting.put_nowait(notification)
        except queue.Full:
            self._end(notification.id, "too many notifications are waiting")

    def deliveries(self) -> list[Delivery]:
        """The results since the last call."""
        with self._lock:
            results, self._results = self._results, []
        return results

    def give_up(self) -> None:
        """Let a `close` that waits return now. A signal handler may call it."""
        self._give_up.set()

    def close(self, limit_s: float | None = None) -> None:
        """Wait for notifications that are not sent yet. What is not sent then has failed.

        Args:
            limit_s: how long to wait at most, in seconds; None means `retry_limit_s`.
        """
        self._closing.set()
        # If the queue is full, the thread still sees `_closing`.
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait(None)
        deadline = time.monotonic() + (self._retry_limit_s if limit_s is None else limit_s)
        while self._thread.is_alive() and not self._give_up.is_set() and time.monotonic() < deadline:
            # In short pieces: a signal handler that calls `give_up` must not wait for the whole time.
            self._thread.join(min(_LOOK_S, max(deadline - time.monotonic(), 0.0)))
        if self._thread.is_alive():
            self._give_up.set()
            self._thread.join(0.1)
        with self._lock:
            left = list(self._pending)
        for each in left:
            self._end(each, f"{self._webhook.host}: not delivered in time")

    def _work(self) -> None:
        while not self._give_up.is_set():
            try:
                notification = self._waiting.get(timeout=0.2)
            except queue.Empty:
                if self._closing.is_set():
                    return
                continue
            if notification is None:
                return
            self._try(notification)

    def _try(self, notification: Notification) -> None:
        retrying = Retrying(
            retry=retry_if_exception(lambda error: isinstance(error, DeliveryError) and error.temporary),
            stop=stop_after_attempt(1 if self._is_down else _ATTEMPTS),
            wait=wait_exponential(multiplier=self._first_pause_s, max=_LONGEST_PAUSE_S)
            + wait_random(0, self._first_pause_s),
            sleep=sleep_using_event(self._give_up),
            reraise=True,
        )
        try:
            retrying(self._deliver, self._webhook, notification)
        except DeliveryError as error:
            self._is_down = error.temporary
            self._end(notification.id, str(error))
        except Exception as error:  # noqa: BLE001  # nothing that happens here may reach the rotation
            self._end(notification.id, f"{self._webhook.host}: unexpected {type(error).__name__}")
        else:
            self._is_down = False
            self._end(notification.id, None)

    def _end(self, notification: UUID, error: str | None) -> None:
        with self._lock:
            # `close` may have reported this notification as failed. Then it stays failed, even if it is delivered now.
            if notification in self._pending:
                del self._pending[notification]
                self._results.append(Delivery(notification, error))
