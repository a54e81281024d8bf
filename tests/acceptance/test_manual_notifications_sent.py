"""The command as a process tells a webhook how it went: from cron without streams, and when a signal ends it."""

from __future__ import annotations

import signal

import psycopg
import pytest

from tests.fixtures.command import Rotation, until
from tests.fixtures.webhook import SECRET, Endpoint

_RE_ENCRYPT = ("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2", "--yes", "--notify")


@pytest.fixture
def told(rotation: Rotation, endpoint: Endpoint) -> Rotation:
    """A database with values, and the command with a webhook."""
    rotation.seed(40)
    rotation.command.write(
        "fluxbase.yaml",
        "security: {encryption: {key_rotation: "
        f'{{notification_webhook: "{endpoint.url}/", notification_secret: "{SECRET.decode()}"}}}}}}\n',
    )
    return rotation


def test_cron_without_streams_is_told_by_the_webhook(told: Rotation, endpoint: Endpoint) -> None:
    outcome = told.command.in_shell('"$@" <&- >&- 2>&-', *_RE_ENCRYPT)

    assert (outcome.code, outcome.all) == (0, "")
    assert endpoint.kinds == ["job.started", "job.finished"]


def test_sigterm_is_told_as_an_interruption(told: Rotation, endpoint: Endpoint) -> None:
    with psycopg.connect(told.url) as blocker:
        blocker.execute("SELECT FROM functions.secrets FOR UPDATE")
        with told.command.start(*_RE_ENCRYPT) as running:
            until(told.waits_for_a_lock, "the job waits for our lock")
            running.send(signal.SIGTERM)
            outcome = running.finish()

    assert outcome.code == 143
    assert endpoint.kinds == ["job.started", "job.interrupted"]
    assert endpoint.requests[-1].json["data"]["reason"] == "SIGTERM"


def test_a_signal_ends_the_wait_for_an_endpoint_that_hangs_and_the_job_stays_done(
    told: Rotation, endpoint: Endpoint
) -> None:
    endpoint.hold.set()
    with told.command.start(*_RE_ENCRYPT, "-o", "json") as running:
        until(lambda: told.value("SELECT to_regclass('fluxbase_rotation.rotation_notice')"), "there is an outbox")
        until(lambda: told.value("SELECT count(*) FROM fluxbase_rotation.rotation_notice"), "the end is stored")
        # The result is printed in no time. A signal before that would be the end of the process too.
        until(lambda: "shows it in full" in running.stderr, "the result is printed")
        running.send(signal.SIGTERM)
        outcome = running.finish(timeout_s=8)

    assert outcome.code == 0
    assert outcome.json["state"] == "completed"
    assert "Warning: 2 notifications were not delivered: 127.0.0.1: not delivered in time" in outcome.stderr
