"""`secrets re-encrypt`, `rollback` and `audit` tell a webhook how they went. What became of it is recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import psycopg
import pytest

from fluxbase_cli.config import DatabaseSettings, Secret
from fluxbase_cli.counts import Counts
from fluxbase_cli.engine.goal import Goal
from fluxbase_cli.engine.outcome import JobReport
from fluxbase_cli.notifications.manual_run import JOB, ManualRun, job_title
from fluxbase_cli.notifications.outbox import Outbox
from fluxbase_cli.notifications.recipient import Webhook
from fluxbase_cli.notifications.webhook import WebhookNotifier
from fluxbase_cli.store.quarantine import Quarantine
from fluxbase_cli.store.records import JobKind
from tests.fixtures.command import NEW_KEY, OLD_KEY, Rotation
from tests.fixtures.in_process import InProcess
from tests.fixtures.webhook import SECRET, Endpoint

_RE_ENCRYPT = ("secrets", "re-encrypt", "--from", "1", "--to", "2", "--yes")
_CONFIGURATION = """\
security:
  encryption:
    key_rotation:
      notification_webhook: "{url}/url-token-marker"
      notification_secret: "{secret}"
      notify_manual_runs: true
"""


@pytest.fixture
def run(rotation: Rotation, endpoint: Endpoint) -> InProcess:
    """The command with a webhook, on a database with values."""
    rotation.seed(40)
    made = InProcess(rotation.command.directory, rotation.command.environment)
    made.write("fluxbase.yaml", _CONFIGURATION.format(url=endpoint.url, secret=SECRET.decode()))
    return made


def _outbox(rotation: Rotation) -> list[tuple[str, bool, str | None]]:
    rows = rotation.rows("SELECT kind, ended_at IS NOT NULL, error FROM fluxbase_rotation.rotation_notice ORDER BY 1")
    return [(str(kind), bool(ended), error) for kind, ended, error in rows]


def test_a_job_and_its_rollback_are_told_from_begin_to_end(
    run: InProcess, rotation: Rotation, endpoint: Endpoint
) -> None:
    assert run(*_RE_ENCRYPT).code == 0
    assert run("secrets", "rollback", "--to", "1", "--reason", "reason-marker", "--yes").code == 0

    assert endpoint.kinds == ["job.started", "job.finished"] * 2
    _, forward, _, back = (request.json["data"] for request in endpoint.requests)
    assert forward["message"] == "Re-encryption from version 1 to 2 (job 1) is finished: 34 secrets re-encrypted"
    assert (forward["job"], forward["scanned"], forward["remaining"], forward["exit_code"]) == (1, 40, 0, 0)
    assert (back["kind"], back["to_version"], back["re_encrypted"]) == ("rollback", 1, 40)
    assert _outbox(rotation) == [("job.finished", True, None)] * 2
    everything = b"".join(request.body for request in endpoint.requests)
    for secret in (OLD_KEY.hex(), NEW_KEY.hex(), "url-token-marker", "reason-marker", rotation.url.split("@")[0]):
        assert secret.encode() not in everything


def test_an_audit_is_told_with_what_it_found(run: InProcess, endpoint: Endpoint) -> None:
    assert run("secrets", "audit", "--key-version", "1").code == 3

    assert endpoint.kinds == ["audit.started", "audit.finished"]
    data = endpoint.requests[-1].json["data"]
    assert data["message"] == "Audit of key version 1 is finished: 34 secrets need that key"
    assert (data["found"], data["scanned"], data["exit_code"]) == (34, 40, 3)


def test_a_dry_run_and_a_run_that_asks_for_silence_tell_nothing(run: InProcess, endpoint: Endpoint) -> None:
    assert run(*_RE_ENCRYPT, "--notify", "--dry-run").code == 0
    assert run(*_RE_ENCRYPT, "--no-notify").code == 0
    assert run.having(FLUXBASE_CLI_NOTIFY="0")("secrets", "audit").code == 0
    assert endpoint.requests == []


def test_a_job_that_can_not_begin_is_told_with_its_exit_code(run: InProcess, endpoint: Endpoint) -> None:
    wrong = run.having(FLUXBASE_SECRET_KEY_1="77" * 32)
    assert wrong(*_RE_ENCRYPT).code == 6
    assert run.having(FLUXBASE_SECRET_KEY_2="")(*_RE_ENCRYPT).code == 2

    assert endpoint.kinds == ["job.failed"] * 2
    assert [request.json["data"]["exit_code"] for request in endpoint.requests] == [6, 2]


def test_an_endpoint_that_refuses_everything_is_told_once_and_recorded_and_the_job_is_done(
    run: InProcess, rotation: Rotation, endpoint: Endpoint
) -> None:
    endpoint.answers = [404, 404]
    outcome = run(*_RE_ENCRYPT)

    assert outcome.code == 0
    assert outcome.stderr.count("not delivered") == 1
    assert "Warning: 2 notifications were not delivered: 127.0.0.1 answered 404" in outcome.stderr
    assert _outbox(rotation) == [("job.finished", True, "127.0.0.1 answered 404")]


def _report(state: str) -> JobReport:
    return JobReport(
        job=1,
        kind=JobKind.RE_ENCRYPT,
        state=state,
        from_version=1,
        to_version=2,
        reason=None,
        locations={"functions.secrets.encrypted_value": Counts()},
        remaining=0,
        elapsed_seconds=1.0,
        handled=0,
        quarantine=Quarantine(()),
    )


def _manual_run(rotation: Rotation, endpoint: Endpoint) -> ManualRun:
    notifier = WebhookNotifier(Webhook(Secret(endpoint.url), Secret(SECRET.decode())), first_pause_s=0.001)
    made = ManualRun(
        Outbox(notifier, database="somewhere", clock=lambda: datetime.now(UTC)),
        JOB,
        DatabaseSettings.from_url(rotation.url),
        long_wait_s=60.0,
    )
    made.is_about(job_title(JobKind.RE_ENCRYPT, Goal(2, source=1)))
    return made


def _tell_end(rotation: Rotation, endpoint: Endpoint, report: JobReport) -> None:
    told = _manual_run(rotation, endpoint)
    told.job_ended(report, in_main=True)
    assert told.close(10.0) == ()


def test_of_two_processes_that_work_on_one_job_only_one_tells_its_end(
    run: InProcess, rotation: Rotation, endpoint: Endpoint
) -> None:
    assert run(*_RE_ENCRYPT, "--no-notify").code == 0
    for _ in range(2):
        _tell_end(rotation, endpoint, _report("completed"))
    assert endpoint.kinds == ["job.finished"]


def test_a_process_that_leaves_a_job_to_others_does_not_call_it_interrupted(
    run: InProcess, rotation: Rotation, endpoint: Endpoint
) -> None:
    assert run(*_RE_ENCRYPT, "--no-notify").code == 0
    interrupted = replace(_report("interrupted"), signal=15)
    rotation.rows("UPDATE fluxbase_rotation.job SET state = 'running', finished_at = NULL")
    _tell_end(rotation, endpoint, interrupted)
    assert endpoint.requests == []

    rotation.rows("UPDATE fluxbase_rotation.job SET state = 'interrupted'")
    _tell_end(rotation, endpoint, interrupted)
    assert endpoint.kinds == ["job.interrupted"]


def test_a_notification_that_a_killed_process_left_is_sent_by_the_next_one(
    run: InProcess, rotation: Rotation, endpoint: Endpoint
) -> None:
    assert run(*_RE_ENCRYPT).code == 0
    rotation.rows("UPDATE fluxbase_rotation.rotation_notice SET ended_at = NULL")
    first = endpoint.requests[-1].json["id"]
    assert run("secrets", "rollback", "--to", "1", "--reason", "why", "--yes").code == 0

    ids = [request.json["id"] for request in endpoint.requests]
    assert ids.count(first) == 2
    assert _outbox(rotation) == [("job.finished", True, None)] * 2


def test_a_database_that_is_gone_at_the_end_does_not_keep_the_end_from_being_told(
    run: InProcess, rotation: Rotation, endpoint: Endpoint
) -> None:
    assert run(*_RE_ENCRYPT, "--no-notify").code == 0
    nowhere = ManualRun(
        Outbox(
            WebhookNotifier(Webhook(Secret(endpoint.url), Secret(SECRET.decode()))),
            database="somewhere",
            clock=lambda: datetime.now(UTC),
        ),
        JOB,
        DatabaseSettings.from_url("postgresql://u@127.0.0.1:1/nowhere"),
        long_wait_s=60.0,
    )
    nowhere.job_ended(replace(_report("failed"), error="the connection was lost"), in_main=True)
    assert nowhere.close(10.0) == ()
    assert endpoint.requests[0].verify()["data"]["reason"] == "the connection was lost"


def test_a_long_wait_of_a_command_is_told(
    run: InProcess, rotation: Rotation, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fluxbase_cli.cli.notify._LONG_WAIT_S", 0.05)
    with psycopg.connect(rotation.url) as blocker:
        blocker.execute("SELECT FROM functions.secrets FOR UPDATE")
        assert run(*_RE_ENCRYPT, "--patience", "1s").code == 1

    assert endpoint.kinds == ["job.started", "job.waiting", "job.failed"]
    details: Mapping[str, object] = endpoint.requests[1].json["data"]
    assert "lock" in str(details["reason"])
