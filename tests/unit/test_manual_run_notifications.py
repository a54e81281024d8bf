"""Notifications about commands that a person or cron has started: which are sent, and what they say."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fluxbase_cli.cli.ask import CancelledError
from fluxbase_cli.cli.notify import notifications_for
from fluxbase_cli.config import Secret, Settings, load_settings
from fluxbase_cli.engine.events import BatchDone, Waiting
from fluxbase_cli.engine.goal import Goal
from fluxbase_cli.errors import ConfigurationError, WrongKeyError
from fluxbase_cli.notifications.long_waits import LongWaits
from fluxbase_cli.notifications.manual_run import JOB, job_title
from fluxbase_cli.notifications.message import NotificationType
from fluxbase_cli.notifications.outbox import Outbox, undelivered
from fluxbase_cli.notifications.recipient import Webhook
from fluxbase_cli.notifications.webhook import WebhookNotifier
from fluxbase_cli.report.messages import Messages
from fluxbase_cli.store.records import JobKind
from tests.fixtures.command import until
from tests.fixtures.webhook import SECRET, Endpoint

_REASON = "a lock that another session holds"


def _waits(told: list[str], *, long_s: float = 0.05) -> LongWaits:
    return LongWaits(told.append, long_s=long_s)


def test_a_long_wait_is_told_once_and_the_next_one_again() -> None:
    told: list[str] = []
    waits = _waits(told)
    for _ in range(5):
        waits.notify(Waiting(_REASON, None))
    until(lambda: told and not _timers(), "the wait is told")
    waits.notify(Waiting(_REASON, None))
    assert (told, _timers()) == ([_REASON], [])

    waits.notify(BatchDone("functions.secrets", 1, {}, 0))
    waits.notify(Waiting("a pause", None, paused=True))
    until(lambda: len(told) > 1, "the next wait is told")
    assert told == [_REASON, "a pause"]


def test_a_short_wait_is_not_told() -> None:
    told: list[str] = []
    waits = _waits(told, long_s=0.2)
    waits.notify(Waiting(_REASON, None))
    waits.notify(BatchDone("functions.secrets", 1, {}, 0))
    until(lambda: not _timers(), "the timer has ended")
    assert told == []


def _timers() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if isinstance(each, threading.Timer)]


def _settings(endpoint: Endpoint, **rotation: Any) -> Settings:
    settings = load_settings(config=None, database_url=None, directory=Path("/nowhere"), environ={})
    chosen = replace(
        settings.encryption.key_rotation,
        **{
            "notification_webhook": Secret(f"{endpoint.url}/url-token-marker"),
            "notification_secret": Secret(SECRET.decode()),
            **rotation,
        },
    )
    return replace(settings, encryption=replace(settings.encryption, key_rotation=chosen))


def _raises(error: BaseException) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


def _run(settings: Settings, act: Callable[[], None], *, asked: bool | None = True, dry_run: bool = False) -> None:
    with (
        suppress(WrongKeyError, CancelledError, KeyboardInterrupt, SystemExit, ZeroDivisionError),
        notifications_for(Messages(), settings, JOB, asked=asked, dry_run=dry_run) as told,
    ):
        told.is_about(job_title(JobKind.RE_ENCRYPT, Goal(2, source=1)))
        act()


@pytest.mark.parametrize(
    ("error", "kind", "code", "reason"),
    [
        (WrongKeyError("another key sealed these values"), "job.failed", 6, "another key sealed these values"),
        (ZeroDivisionError("plaintext-marker"), "job.failed", 1, "unexpected ZeroDivisionError"),
        (KeyboardInterrupt(), "job.interrupted", 130, "SIGINT (Ctrl-C)"),
        (SystemExit(143), "job.interrupted", 143, "SIGTERM"),
    ],
    ids=["an error", "an unexpected error", "Ctrl-C", "SIGTERM"],
)
def test_a_command_that_ends_before_its_job_began_is_told(
    endpoint: Endpoint, error: BaseException, kind: str, code: int, reason: str
) -> None:
    _run(_settings(endpoint), _raises(error))

    (request,) = endpoint.requests
    data = request.verify()
    assert (data["type"], data["data"]["exit_code"], data["data"]["reason"]) == (kind, code, reason)
    assert data["data"]["message"].startswith("Re-encryption from version 1 to 2 ")
    assert b"plaintext-marker" not in request.body


def test_nothing_is_sent_if_nobody_asks_or_the_operator_says_no_or_nothing_is_changed(endpoint: Endpoint) -> None:
    failing = _raises(WrongKeyError("no"))
    _run(_settings(endpoint), failing, asked=None)
    _run(_settings(endpoint, notify_manual_runs=True), failing, asked=False)
    _run(_settings(endpoint), failing, dry_run=True)
    _run(_settings(endpoint), _raises(CancelledError()))
    assert endpoint.requests == []

    _run(_settings(endpoint, notify_manual_runs=True), failing, asked=None)
    assert endpoint.kinds == ["job.failed"]


@pytest.mark.parametrize("webhook", [None, Secret("ftp://hooks/url-token-marker")], ids=["none", "no web address"])
def test_a_webhook_that_can_not_be_used_is_an_error_only_if_it_was_asked_for(
    endpoint: Endpoint, webhook: Secret | None, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = _settings(endpoint, notification_webhook=webhook, notify_manual_runs=True)
    done: list[bool] = []
    _run(settings, lambda: done.append(True), asked=None)
    said = capsys.readouterr().err
    assert done == [True]
    assert said.startswith("Warning: no notification is sent: ")
    assert "notification_webhook" in said
    assert "url-token-marker" not in said

    with pytest.raises(ConfigurationError, match="notification_webhook"):
        _run(settings, lambda: done.append(True), asked=True)
    assert done == [True]


def test_an_endpoint_that_hangs_delays_the_end_no_longer_than_the_limit(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("fluxbase_cli.cli.notify._CLOSE_S", 0.2)
    endpoint.hold.set()
    _run(_settings(endpoint), _raises(WrongKeyError("no")))
    assert capsys.readouterr().err == (
        "Warning: a notification was not delivered: 127.0.0.1: not delivered in time; "
        "`fluxbase-cli rotation test-notification` sends a test\n"
    )


def test_what_was_not_delivered_is_told_once_for_each_reason() -> None:
    assert undelivered(("a: refused", "b: refused", "a: refused")) == (
        "2 notifications were not delivered: a: refused; `fluxbase-cli rotation test-notification` sends a test",
        "a notification was not delivered: b: refused; `fluxbase-cli rotation test-notification` sends a test",
    )


def test_a_wait_for_an_endpoint_can_be_given_up(endpoint: Endpoint) -> None:
    endpoint.hold.set()
    notifier = WebhookNotifier(Webhook(Secret(endpoint.url), Secret(SECRET.decode())))
    outbox = Outbox(notifier, database="d", clock=lambda: datetime.now(UTC))
    outbox.send_now(NotificationType.JOB_FAILED, "text", {})
    until(lambda: endpoint.requests, "it is being sent")
    threading.Timer(0.05, outbox.give_up).start()
    outbox.close(60.0)
    assert [each.error for each in outbox.collect_results()] == ["127.0.0.1: not delivered in time"]
