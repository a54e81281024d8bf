"""The output without a database: last lines, tables, structured output, progress and messages."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
import yaml

from fluxbase_cli.counts import Counts
from fluxbase_cli.engine.events import BatchDone, BatchStep, Message, PassStarted, Step, Waiting
from fluxbase_cli.engine.outcome import AuditReport, JobReport, LocationAudit
from fluxbase_cli.log_events import LogEvent
from fluxbase_cli.printable import Lines
from fluxbase_cli.report.json_report import audit_report, job_report, to_json, to_yaml
from fluxbase_cli.report.messages import Messages
from fluxbase_cli.report.progress import LineProgress, QuietProgress, TableProgress, progress_for
from fluxbase_cli.report.progress_state import ProgressState
from fluxbase_cli.report.table import table
from fluxbase_cli.report.text import audit_lines, job_lines, job_title, whole_seconds
from fluxbase_cli.store.quarantine import Quarantine
from fluxbase_cli.store.records import JobKind, QuarantineEntry, StopRequest
from tests.fixtures.job_reports import COMPLETED

_SECRETS = "functions.secrets.encrypted_value"
_SETTINGS = "platform.instance_settings.settings"
_ID = UUID("00000000-0000-4000-8000-000000000001")
_REPORT = replace(
    COMPLETED,
    job=3,
    locations={
        _SECRETS: Counts(scanned=900, re_encrypted=800, already_current=100, updated=800),
        _SETTINGS: Counts(scanned=100, re_encrypted=50, already_current=50, updated=50),
    },
    elapsed_seconds=45.2,
    handled=1000,
)
_ENTRY = QuarantineEntry(_SETTINGS, _ID, ("email", "smtp_password"), "no key opens it")


# --- text -------------------------------------------------------------------------------------------------------------


def test_the_last_lines_of_a_job_have_the_documented_form() -> None:
    text = "\n".join([job_title(JobKind.RE_ENCRYPT, 1, 2), *job_lines(_REPORT)])

    assert text == (
        "Re-encrypting secrets from version 1 to 2...\n"
        "✓ Scanned 1000 secrets\n"
        "✓ Re-encrypted 850 secrets (already using new key: 150)\n"
        "✓ Updated 850 secrets in database\n"
        "✓ Completed in 45s"
    )


@pytest.mark.parametrize(
    ("kind", "source", "title"),
    [
        (JobKind.RE_ENCRYPT, None, "Re-encrypting secrets to version 2..."),
        (JobKind.ROLLBACK, None, "Rolling back secrets to version 2..."),
    ],
)
def test_each_kind_of_job_has_a_title(kind: JobKind, source: int | None, title: str) -> None:
    assert job_title(kind, source, 2) == title


@pytest.mark.parametrize("state", ["interrupted", "failed"])
def test_a_job_that_did_not_end_normally_has_no_check_mark(state: str) -> None:
    lines = list(job_lines(replace(_REPORT, state=state, error="disk full")))

    assert not any(line.startswith("✓") for line in lines)
    assert lines[-1].startswith("✗")
    assert ("disk full" in lines[-1]) == (state == "failed")


def test_a_job_that_was_stopped_says_by_whom_and_why() -> None:
    request = StopRequest(datetime(2026, 1, 1, tzinfo=UTC), "ann on db1", "a sale")
    stopped = replace(_REPORT, state="interrupted", stopped=request)

    assert list(job_lines(stopped))[-1] == "✗ Interrupted after 45s. Stopped by ann on db1: a sale"
    assert stopped.exit_code == 130
    data = job_report(stopped)
    assert (data["stopped_at"], data["stopped_by"]) == ("2026-01-01T00:00:00+00:00", "ann on db1")
    assert data["stop_reason"] == "a sale"
    assert "stopped_by" not in job_report(_REPORT)


@pytest.mark.parametrize(("seconds", "whole"), [(0.0, 1), (0.4, 1), (1.6, 2), (45.2, 45)])
def test_seconds_are_whole_and_at_least_one(seconds: float, whole: int) -> None:
    assert whole_seconds(seconds) == whole


def _census(key_version: int | None, old: int) -> AuditReport:
    locations = {_SECRETS: LocationAudit(10 + old, {1: old, 2: 10}, 0, 0), _SETTINGS: LocationAudit(5, {2: 5}, 1, 0)}
    return AuditReport(key_version, locations, (1, 2), 1.5, Quarantine(), ())


def test_an_audit_in_text() -> None:
    assert list(audit_lines(_census(1, 0))) == ["No secrets found encrypted with key version 1"]
    assert list(audit_lines(_census(1, 7))) == [
        "Found 7 secrets encrypted with key version 1",
        "LOCATION                           SECRETS",
        "functions.secrets.encrypted_value        7",
    ]
    whole = [line.split() for line in audit_lines(_census(None, 7))]
    # The column of undecryptable values would be wider than 80 columns, and holds nothing.
    assert whole[0] == ["LOCATION", "VERSION", "1", "VERSION", "2", "PLAINTEXT"]
    assert whole[-2:] == [["total", "7", "15", "1"], ["No", "undecryptable", "values."]]


def test_a_table_is_aligned_and_has_no_blanks_at_the_ends_of_lines() -> None:
    assert list(table(("A", "NUMBER"), [("first", "1"), ("x", "22222222")], right=(1,))) == [
        "A        NUMBER",
        "first         1",
        "x      22222222",
    ]
    assert list(table(("A", "B"), [])) == ["A  B"]


# --- exit codes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("report", "code"),
    [
        (_REPORT, 0),
        (replace(_REPORT, state="dry-run"), 0),
        (replace(_REPORT, state="failed"), 1),
        (replace(_REPORT, locations={_SECRETS: Counts(undecryptable=1)}), 4),
        (replace(_REPORT, state="interrupted", signal=2), 130),
        (replace(_REPORT, state="interrupted", signal=15), 143),
        (replace(_REPORT, state="interrupted", locations={_SECRETS: Counts(undecryptable=1)}, signal=2), 130),
    ],
)
def test_exit_codes_of_a_job(report: JobReport, code: int) -> None:
    assert report.exit_code == code


def test_a_superseded_job_is_no_success() -> None:
    """Another process superseded it before its end: some values are still under the old key."""
    assert replace(_REPORT, state="superseded").exit_code != 0


def test_exit_codes_of_an_audit() -> None:
    assert _census(1, 0).exit_code == 0
    assert _census(1, 1).exit_code == 3
    assert _census(None, 1).exit_code == 0
    lost = replace(_census(None, 1), locations={_SECRETS: LocationAudit(1, {}, 0, 1)})
    assert lost.exit_code == 4


# --- structured -------------------------------------------------------------------------------------------------------


def test_json_and_yaml_keep_the_order_and_say_the_same() -> None:
    data = job_report(replace(_REPORT, quarantine=Quarantine((_ENTRY,))))

    assert json.loads(to_json(data)) == yaml.safe_load(to_yaml(data)) == data
    assert list(json.loads(to_json(data))) == list(yaml.safe_load(to_yaml(data))) == list(data)
    assert data["quarantine"] == [
        {"location": _SETTINGS, "id": str(_ID), "path": "email.smtp_password", "reason": "no key opens it"}
    ]
    assert data["rate_per_second"] == round(1000 / 45.2, 1)


def test_versions_are_texts_in_order() -> None:
    assert audit_report(_census(None, 7))["by_version"] == {"1": 7, "2": 15}
    assert audit_report(_census(None, 7))["locations"][1]["by_version"] == {"1": 0, "2": 5}


def test_a_text_that_yaml_could_read_as_another_type_stays_a_text() -> None:
    reason = "no: {yes}\n- 1"

    assert yaml.safe_load(to_yaml(job_report(replace(_REPORT, reason=reason))))["reason"] == reason


# --- messages ---------------------------------------------------------------------------------------------------------


def test_messages_are_written_as_text_or_as_json_or_not_at_all(capsys: pytest.CaptureFixture[str]) -> None:
    Messages().warn(LogEvent.KEY_WARNING, "mind the gap")
    Messages(quiet=True).warn(LogEvent.KEY_WARNING, "nothing")
    Messages(as_json=True).tell(LogEvent.JOB_PROGRESS, Lines("two\nlines"), percent=7)

    first, second = capsys.readouterr().err.splitlines()
    assert first == "Warning: mind the gap"
    data = json.loads(second)
    assert {name: data[name] for name in ("level", "event", "message", "percent")} == {
        "level": "info",
        "event": "job.progress",
        "message": "two\nlines",
        "percent": 7,
    }


def test_a_signal_in_the_middle_of_a_message_does_not_stop_the_program() -> None:
    """The handler prints a message too, in the same thread, in the middle of a `print`."""
    program = """
        import os, signal, sys
        from fluxbase_cli.cli.signals import stop_on_signals
        from fluxbase_cli.engine.stop import Stop
        from fluxbase_cli.log_events import LogEvent
        from fluxbase_cli.report.messages import Messages

        class Stream:
            first = True
            def write(self, text):
                if self.first:
                    self.first = False
                    signal.raise_signal(signal.SIGINT)
                return sys.__stderr__.write(text)
            def flush(self): sys.__stderr__.flush()
            def isatty(self): return False

        sys.stderr = Stream()
        messages, stop = Messages(), Stop()
        with stop_on_signals(stop, messages.tell):
            messages.tell(LogEvent.JOB_RESUMED, "Resuming job 1: 7% done")
        os._exit(7 if stop.requested else 8)
    """
    try:
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=False, timeout=10
        )
    except subprocess.TimeoutExpired:
        pytest.fail("the program waits for itself")

    assert done.returncode == 7
    assert "Resuming job 1" in done.stderr
    assert "Stopping" in done.stderr


# --- progress ---------------------------------------------------------------------------------------------------------

_ROWS = {_SECRETS: 100, _SETTINGS: 10}


def _batch(rows: int, scanned: int, *, pass_number: int = 0) -> BatchDone:
    return BatchDone("functions.secrets", rows, {"encrypted_value": Counts(scanned=scanned)}, pass_number)


def test_progress_follows_from_events() -> None:
    now = [0.0]
    state = ProgressState(lambda: now[0])
    assert (state.percent, state.left_s) == (99, None)

    state.apply(PassStarted(0, _ROWS, {_SETTINGS: 10}))
    assert (state.rows, state.rows_done, state.percent, state.left_s) == (110, 10, 9, None)
    now[0] = 5.0
    state.apply(_batch(50, 49))
    assert (state.rows_done, state.values, state.percent) == (60, 49, 54)
    assert (state.left_s, state.rate_per_s) == (5.0, 9.8)
    state.apply(_batch(50, 50))
    # Only the catch-up pass reports the end.
    assert (state.rows_done, state.percent) == (110, 99)
    state.apply(PassStarted(1, {}, {}))
    state.apply(_batch(0, 3, pass_number=1))
    assert (state.rows_done, state.values) == (110, 99)


def test_an_empty_database_causes_no_division_by_zero() -> None:
    state = ProgressState()
    state.apply(PassStarted(0, dict.fromkeys(_ROWS, 0), {}))

    assert (state.percent, state.left_s) == (99, None)


def test_a_line_is_written_every_few_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    with LineProgress(Messages(), every_s=5.0, clock=lambda: now[0]) as progress:
        progress.notify(PassStarted(0, _ROWS, {}))
        for second in range(12):
            now[0] = float(second)
            progress.notify(_batch(5, 5))
            progress.notify(BatchStep("functions.secrets", Step.READ))

    lines = capsys.readouterr().err.splitlines()
    assert [line.split("%")[0] for line in lines] == ["27", "50"]
    assert "secrets" in lines[0]
    assert "/s" in lines[0]


@pytest.mark.parametrize("make", [LineProgress, lambda messages: TableProgress(messages, color=False)])
def test_messages_and_waits_are_written_at_once(capsys: pytest.CaptureFixture[str], make: type[LineProgress]) -> None:
    progress = make(Messages())
    progress.notify(Message(LogEvent.JOB_RESUMED, "Resuming job 1: 7% done"))
    progress.notify(Message(LogEvent.JOB_STANDBY, "look here", warning=True))
    progress.notify(Waiting("DeadlockDetected: deadlock detected", 0.25))

    assert capsys.readouterr().err.splitlines() == [
        "Resuming job 1: 7% done",
        "Warning: look here",
        "Warning: waiting 0.2s: DeadlockDetected: deadlock detected",
    ]


def test_the_table_accepts_all_events(capsys: pytest.CaptureFixture[str]) -> None:
    with TableProgress(Messages(), color=False) as progress:
        progress.notify(PassStarted(0, _ROWS, {_SETTINGS: 10}))
        progress.notify(_batch(50, 49))
        progress.notify(BatchStep("functions.secrets", Step.COMMITTED))
        progress.notify(BatchDone("some.other", 1, {"column": Counts()}, 0))
        progress.notify(PassStarted(1, {}, {}))
        progress.notify(_batch(0, 1, pass_number=1))


def test_the_display_depends_on_where_stderr_goes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(progress_for(Messages(quiet=True), color=True), QuietProgress)
    assert isinstance(progress_for(Messages(), color=True), LineProgress)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(progress_for(Messages(), color=True), LineProgress)
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(progress_for(Messages(), color=True), TableProgress)
    assert isinstance(progress_for(Messages(as_json=True), color=True), LineProgress)
    with QuietProgress() as quiet:
        quiet.notify(Message(LogEvent.JOB_STANDBY, "nothing"))
    assert capsys.readouterr().err == ""


def test_a_wait_for_others_is_shown_without_a_time(capsys: pytest.CaptureFixture[str]) -> None:
    progress = LineProgress(Messages())
    progress.notify(Waiting("the job was paused by ann on db1", None))

    assert capsys.readouterr().err == "Warning: waiting: the job was paused by ann on db1\n"
