"""Notifications: their form, their signature, and delivery to an endpoint that fails."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import standardwebhooks

from fluxbase_cli.config import Secret
from fluxbase_cli.engine.events import BatchDone, PassStarted, Waiting
from fluxbase_cli.notifications.message import Notification, NotificationType
from fluxbase_cli.notifications.post import DeliveryError, post
from fluxbase_cli.notifications.progress import ProgressNotifications
from fluxbase_cli.notifications.recipient import Format, Webhook
from fluxbase_cli.notifications.webhook import WebhookNotifier
from tests.fixtures.webhook import SECRET, Endpoint

MARK = "url-token-marker"


def notification(number: int = 0, kind: NotificationType = NotificationType.STARTED) -> Notification:
    return Notification(
        uuid4(), kind, datetime(2026, 11, 1, 2, tzinfo=UTC), f"Müller's rotation {number}", 7, "postgres@host/fluxbase"
    )


def webhook(endpoint: Endpoint, path: str = f"/{MARK}") -> Webhook:
    return Webhook(Secret(endpoint.url + path), Secret(SECRET.decode()))


def impatient(endpoint: Endpoint, *, patience_s: float = 5.0, most_waiting: int = 100) -> WebhookNotifier:
    return WebhookNotifier(webhook(endpoint), first_pause_s=0.001, retry_limit_s=patience_s, most_waiting=most_waiting)


def test_an_independent_verifier_accepts_the_signature_and_the_form(endpoint: Endpoint) -> None:
    sent = notification()

    post(webhook(endpoint), sent)

    (request,) = endpoint.requests
    assert (request.method, request.path) == ("POST", f"/{MARK}")
    assert request.verify() == {
        "schema": "fluxbase-cli/notification/v1",
        "id": str(sent.id),
        "type": "rotation.started",
        "timestamp": "2026-11-01T02:00:00.000Z",
        "data": {"message": "Müller's rotation 0", "rotation": 7, "database": "postgres@host/fluxbase"},
    }
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        request.verify(b"another secret")
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        replace(request, body=request.body.replace(b"7", b"8")).verify()
    late = {**request.headers, "webhook-timestamp": str(int(request.headers["webhook-timestamp"]) - 1)}
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        replace(request, headers=late).verify()


def test_the_example_of_the_documentation_verifies(endpoint: Endpoint) -> None:
    page = (Path(__file__).parents[2] / "docs" / "operators" / "notifications.md").read_text(encoding="utf-8")
    code = page.split("```python\n")[1].split("```")[0]
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102  # our own page

    post(webhook(endpoint), notification())

    (request,) = endpoint.requests
    genuine = names["is_genuine"]
    assert genuine(request.headers, request.body, SECRET)
    assert not genuine(request.headers, request.body + b" ", SECRET)
    assert not genuine(request.headers, request.body, b"another secret")
    assert not genuine({**request.headers, "webhook-timestamp": "1000000000"}, request.body, SECRET)


def test_a_secret_in_the_whsec_form_is_read_like_libraries_read_it(endpoint: Endpoint) -> None:
    written = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

    post(Webhook(Secret(endpoint.url), Secret(written)), notification())

    (request,) = endpoint.requests
    standardwebhooks.Webhook(written).verify(request.body, dict(request.headers))


def test_without_a_secret_nothing_is_signed(endpoint: Endpoint) -> None:
    post(Webhook(Secret(endpoint.url)), notification())

    assert "webhook-signature" not in endpoint.requests[0].headers


def test_the_form_for_chats_is_plain_text(endpoint: Endpoint) -> None:
    post(replace(webhook(endpoint), form=Format.SLACK), notification(kind=NotificationType.FINISHED))

    assert endpoint.requests[0].json == {
        "text": ":white_check_mark: Müller's rotation 0 (postgres@host/fluxbase)",
    }


def test_after_two_busy_answers_the_third_attempt_delivers_with_the_same_id(endpoint: Endpoint) -> None:
    endpoint.answers = [503, 429]
    notifier = impatient(endpoint)

    notifier.send(notification())
    notifier.close()

    assert [delivery.error for delivery in notifier.deliveries()] == [None]
    assert endpoint.kinds == ["rotation.started"] * 3
    assert len({request.headers["webhook-id"] for request in endpoint.requests}) == 1


@pytest.mark.parametrize("status", [400, 401, 404, 410])
def test_a_notification_that_the_endpoint_refuses_is_not_sent_again(endpoint: Endpoint, status: int) -> None:
    endpoint.answers = [status]
    notifier = impatient(endpoint)

    notifier.send(notification())
    notifier.close()

    assert [delivery.error for delivery in notifier.deliveries()] == [f"127.0.0.1 answered {status}"]
    assert len(endpoint.requests) == 1


def test_a_redirect_is_not_followed(endpoint: Endpoint) -> None:
    endpoint.answers = [302]

    with pytest.raises(DeliveryError, match=r"127\.0\.0\.1 answered 302"):
        post(webhook(endpoint), notification())

    assert len(endpoint.requests) == 1


def test_an_endpoint_that_is_down_uses_all_attempts_once_and_is_reported_without_its_url() -> None:
    tried: list[int] = []

    def deliver(where: Webhook, what: Notification) -> None:
        tried.append(1)
        post(where, what)

    nowhere = Webhook(Secret(f"http://127.0.0.1:1/{MARK}"))
    notifier = WebhookNotifier(nowhere, deliver=deliver, first_pause_s=0.001)
    for number in range(5):
        notifier.send(notification(number))
    notifier.close()

    errors = [delivery.error for delivery in notifier.deliveries()]
    assert errors == ["127.0.0.1: Connection refused"] * 5
    assert len(tried) == 4 + 4


def test_an_endpoint_that_hangs_delays_neither_the_rotation_nor_its_end(endpoint: Endpoint) -> None:
    endpoint.hold.set()
    notifier = impatient(endpoint, patience_s=0.3, most_waiting=3)

    started = time.monotonic()
    for number in range(50):
        notifier.send(notification(number))
    sending = time.monotonic() - started
    notifier.close()

    assert sending < 0.2
    assert time.monotonic() - started < 2
    errors = [delivery.error for delivery in notifier.deliveries()]
    assert len(errors) == 50
    assert set(errors) == {"too many notifications are waiting", "127.0.0.1: not delivered in time"}


def test_an_error_in_the_thread_is_reported_and_does_not_stop_the_rotation(endpoint: Endpoint) -> None:
    def broken(_where: Webhook, _what: Notification) -> None:
        raise RuntimeError(MARK)

    notifier = WebhookNotifier(webhook(endpoint), deliver=broken)
    notifier.send(notification())
    notifier.send(notification())
    notifier.close()

    assert [delivery.error for delivery in notifier.deliveries()] == ["127.0.0.1: unexpected RuntimeError"] * 2


class FakeJob:
    def __init__(self) -> None:
        self.now = 0.0
        self.sent: list[tuple[NotificationType, str]] = []
        self.observer = ProgressNotifications(
            lambda kind, message, _detail: self.sent.append((kind, message)), clock=self.clock
        )
        self.observer.notify(PassStarted(0, {"a.b.c": 600, "a.b.d": 600, "e.f.g": 400}, {}))

    def clock(self) -> float:
        return self.now

    def rows(self, number: int, *, seconds: float) -> None:
        self.now += seconds
        self.observer.notify(BatchDone("a.b", number, {}, 0))


def test_progress_is_sent_after_every_tenth_of_the_work() -> None:
    job = FakeJob()
    for _ in range(100):
        job.rows(10, seconds=30)

    assert job.sent == [
        (NotificationType.PROGRESS, f"Re-encryption: {percent}% done") for percent in range(10, 100, 10)
    ]


def test_progress_is_sent_once_a_minute_at_most() -> None:
    job = FakeJob()
    for _ in range(100):
        job.rows(10, seconds=1)

    assert job.sent == [(NotificationType.PROGRESS, "Re-encryption: 60% done")]


def test_waiting_is_sent_once_a_minute_for_each_reason() -> None:
    job = FakeJob()
    for reason in ("lock", "lock", "replica 3.5 s behind", "replica 4 s behind", "lock"):
        job.observer.notify(Waiting(reason, 1.0))
    job.now += 61
    job.observer.notify(Waiting("lock", 1.0))

    assert [message for _, message in job.sent] == [
        "Waiting: lock",
        "Waiting: replica 3.5 s behind",
        "Waiting: lock",
    ]


@pytest.fixture
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


pytestmark = pytest.mark.usefixtures("_no_proxy")
