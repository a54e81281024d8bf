"""A fleet is stopped or killed, all of it or a part: no process stays, and the same command resumes the work."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import psycopg
import pytest

from fluxbase_cli.fleet.file import Fleet, Instance
from fluxbase_cli.fleet.outcome import FleetResult, InstanceResult
from fluxbase_cli.fleet.run import FleetRun, InstanceMessage
from tests.fixtures.command import Running, until
from tests.fixtures.fleet import FleetBed, Member, by_name
from tests.fixtures.programs import needs_proc, runs

_COUNT = 3_000
_BEFORE_JOB = 2_550
_RE_ENCRYPT = ("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2", "--fleet", "fleet.yaml")
_SLOWLY = (*_RE_ENCRYPT, "--batch-size", "50", "--max-rate", "300", "-o", "json")
_GO_ON = (*_RE_ENCRYPT, "--batch-size", "50", "--max-rate", "0", "-o", "json")
_AT_ONCE_S = 8.0


def children(running: Running) -> list[int]:
    """The process ids of the instances."""
    path = Path(f"/proc/{running.pid}/task")
    listed = [entry.joinpath("children").read_text().split() for entry in path.iterdir()]
    return sorted(int(pid) for pids in listed for pid in pids)


def at_work(*members: Member) -> None:
    """Wait until a part of each instance is done."""
    for member in members:
        until(partial(_beyond, member), f"a part of {member.name} is done")


def _beyond(member: Member) -> bool:
    return member.rotation.rows_done() > 200


def assert_all_done(outcome_json: object, *members: Member) -> None:
    """Check that every value was moved once, and has the same plaintext as before."""
    for member in members:
        result = by_name(outcome_json)[member.name]["result"]
        assert (result["state"], result["moved"]) == ("completed", 0)
        assert member.versions == {2: _COUNT}
        assert member.read().lost == ()


@needs_proc
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_fleet_is_resumed_by_the_same_command(fleet: FleetBed, number: signal.Signals, code: int) -> None:
    """Two instances work, one is done, and two wait for their turn."""
    done = fleet.add("done", values=20)
    first, second, third = (fleet.add(name, values=_COUNT) for name in ("first", "second", "third"))
    before = {member.name: member.read().plaintexts for member in (first, second, third)}
    with fleet.command.start(*_SLOWLY, "--parallel", "2") as running:
        at_work(first, second)
        pids = children(running)
        running.send(number)
        asked = time.monotonic()
        stopped = running.finish()
        assert time.monotonic() - asked < _AT_ONCE_S

    assert stopped.code == code
    assert "no more instances are started" in stopped.stderr
    assert not any(map(runs, pids))
    ended = by_name(stopped.json)
    assert [(each["exit_code"], each["outcome"]) for each in ended.values()] == [
        (0, "done"),
        (code, "interrupted"),
        (code, "interrupted"),
        (None, "not-started"),
    ]
    assert (stopped.json["exit_code"], stopped.json["done"], stopped.json["failed"]) == (code, 1, 3)
    for name in ("first", "second"):
        assert ended[name]["result"]["state"] == "interrupted"
        assert 0 < ended[name]["result"]["re_encrypted"] < _BEFORE_JOB
        assert "interrupted" in ended[name]["error"]
        # The reported numbers agree with the database.
        assert fleet.members[name].versions[1] == _BEFORE_JOB - ended[name]["result"]["re_encrypted"]
    assert third.versions[1] == _BEFORE_JOB

    resumed = fleet.command(*_GO_ON)

    assert resumed.code == 0, resumed.stderr
    assert re.search(r"^first: Resuming job 1: \d+% done$", resumed.stderr, re.MULTILINE)
    assert by_name(resumed.json)["done"]["result"]["re_encrypted"] == 0
    assert_all_done(resumed.json, first, second, third)
    assert done.versions == {2: 20}
    assert {member.name: member.read().plaintexts for member in (first, second, third)} == before


@needs_proc
def test_ctrl_c_on_a_terminal_reaches_an_instance_once(fleet: FleetBed) -> None:
    """A terminal signals all processes of its foreground group. A second SIGINT would abort the batch in progress."""
    fleet.add("eu", values=_COUNT)
    eu = fleet.members["eu"]
    with fleet.command.start(*_SLOWLY) as running:
        at_work(eu)
        (pid,) = children(running)
        assert os.getpgid(pid) != os.getpgid(running.pid)
        running.send(signal.SIGINT)
        outcome = running.finish()

    assert by_name(outcome.json)["eu"]["result"]["state"] == "interrupted"


def test_a_second_ctrl_c_ends_the_command_at_once(fleet: FleetBed) -> None:
    eu = fleet.add("eu", values=1000)
    with ExitStack() as stack:
        stack.enter_context(psycopg.connect(eu.url)).execute("SELECT FROM functions.secrets FOR UPDATE")
        with fleet.command.start(*_RE_ENCRYPT, "-o", "json") as running:
            until(eu.rotation.waits_for_a_lock, "the instance waits for our lock")
            running.send(signal.SIGINT)
            until(lambda: "eu: Stopping" in running.stderr or running.ended, "the first is heard")
            running.send(signal.SIGINT)
            outcome = running.finish()

    assert (outcome.code, by_name(outcome.json)["eu"]["exit_code"]) == (130, 130)
    assert fleet.command(*_RE_ENCRYPT).code == 0


@needs_proc
def test_when_the_fleet_is_killed_its_instances_stop_and_the_next_run_continues(fleet: FleetBed) -> None:
    """`kill -9`: no signal is passed on. Each instance sees its stdin close, stops, and records its work."""
    first, second = (fleet.add(name, values=_COUNT) for name in ("first", "second"))
    with fleet.command.start(*_SLOWLY) as running:
        at_work(first, second)
        pids = children(running)
        assert len(pids) == 2
        running.kill()

    # At once, like a user who does not know what happened: the next run must cope with instances that still stop.
    resumed = fleet.command(*_GO_ON)

    until(lambda: not any(map(runs, pids)), "the instances' processes are gone", patience_s=_AT_ONCE_S)
    assert resumed.code == 0, resumed.all
    assert_all_done(resumed.json, first, second)
    jobs = first.rotation.rows("SELECT id, state FROM fluxbase_rotation.job")
    assert jobs == [(1, "completed")]
    kinds = first.rotation.rows("SELECT what FROM fluxbase_rotation.event ORDER BY id")
    assert ("interrupted",) in kinds


@needs_proc
def test_a_killed_instance_stops_no_other_and_the_next_run_continues(fleet: FleetBed) -> None:
    first, second = (fleet.add(name, values=_COUNT) for name in ("first", "second"))
    with fleet.command.start(*_SLOWLY) as running:
        at_work(first, second)
        victim = next(pid for pid in children(running) if b"first/" in Path(f"/proc/{pid}/cmdline").read_bytes())
        os.kill(victim, signal.SIGKILL)
        second.rotation.command.having(FLUXBASE_DATABASE_URL=second.url)("secrets", "tune", "--max-rate", "0")
        outcome = running.finish()

    assert outcome.code == 1
    ended = by_name(outcome.json)
    assert (ended["first"]["exit_code"], ended["first"]["outcome"], ended["first"]["result"]) == (137, "killed", None)
    assert "SIGKILL" in ended["first"]["error"]
    assert ended["second"]["outcome"] == "done"

    resumed = fleet.command(*_GO_ON)

    assert resumed.code == 0
    assert_all_done(resumed.json, first, second)


# --- processes that are no command of ours ----------------------------------------------------------------------------


class Heard:
    """An observer that keeps all events."""

    def __init__(self) -> None:
        self.messages: list[InstanceMessage] = []
        self.running = 0

    def started(self, _instance: Instance) -> None:
        self.running += 1

    def heard(self, _instance: Instance, message: InstanceMessage) -> None:
        self.messages.append(message)

    def ended(self, _result: InstanceResult) -> None:
        self.running -= 1


def fleet_of(folder: Path, program: str, *, names: Sequence[str] = ("a",)) -> tuple[FleetRun, Heard]:
    """A fleet whose instances are a Python program."""
    heard = Heard()
    fleet = Fleet(folder / "fleet.yaml", tuple(Instance(name, folder / f"{name}.yaml", folder) for name in names))
    line = [sys.executable, "-c", program]
    return FleetRun(fleet, line, environ=os.environ, parallel=4, listener=heard, grace_s=0.5), heard


def test_a_process_that_does_not_end_is_killed(tmp_path: Path) -> None:
    program = (
        "import json, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print(json.dumps({'level': 'info', 'message': 'ready'}), file=sys.stderr, flush=True)\n"
        "time.sleep(60)\n"
    )
    run, heard = fleet_of(tmp_path, program)

    def stop() -> None:
        until(lambda: heard.messages, "it is ready")
        run.stop(signal.SIGTERM)

    threading.Thread(target=stop).start()
    started = time.monotonic()

    result = FleetResult(run.run(), run.signal)

    assert time.monotonic() - started < 20
    (only,) = result.instances
    assert (only.exit_code, only.outcome.value, result.exit_code) == (137, "killed", 143)


@pytest.mark.parametrize(
    ("program", "code", "error", "heard_text"),
    [
        ("raise SystemExit(7)", 7, "its process ended with exit code 7 and did not say why", None),
        ("import os; os.write(2, b'Fatal \\x1b[2J\\n'); os._exit(1)", 1, "did not say why", "Fatal \x1b[2J"),
        ("import sys; print('[1, 2', flush=True); sys.exit(1)", 1, "did not say why", None),
        ("import os; os.kill(os.getpid(), 11)", 139, "SIGSEGV", None),
        ('import os; os.write(2, b\'{"level": "error", "message": "a\\\\nb"}\\n\'); os._exit(2)', 2, r"a\nb", "a\nb"),
    ],
)
def test_a_process_that_ends_in_an_unexpected_way_has_its_line(
    tmp_path: Path, program: str, code: int, error: str, heard_text: str | None
) -> None:
    run, heard = fleet_of(tmp_path, program)

    (result,) = run.run()

    assert (result.exit_code, result.result) == (code, None)
    assert error in (result.error or "")
    assert (result.error or "").isprintable()
    assert [message.text for message in heard.messages] == ([] if heard_text is None else [heard_text])
    assert heard.running == 0


def test_a_very_long_output_blocks_nothing(tmp_path: Path) -> None:
    """The output is longer than a pipe can hold, on both streams."""
    program = (
        "import json, sys\n"
        "for n in range(5000): print(json.dumps({'level': 'info', 'message': 'x' * 100}), file=sys.stderr)\n"
        "print(json.dumps({'a': 'y' * 5_000_000}))\n"
    )
    run, heard = fleet_of(tmp_path, program, names=("a", "b", "c"))

    results = run.run()

    assert [(result.exit_code, len(json.dumps(dict(result.result or {})))) for result in results] == [
        (0, 5_000_009)
    ] * 3
    assert len(heard.messages) == 15_000


def test_a_missing_working_directory_stops_no_other_instance(tmp_path: Path) -> None:
    heard = Heard()
    instances = (Instance("a", tmp_path / "a", tmp_path / "gone"), Instance("b", tmp_path / "b", tmp_path))
    line = [sys.executable, "-c", "pass"]
    run = FleetRun(Fleet(tmp_path, instances), line, environ=os.environ, parallel=1, listener=heard)

    first, second = run.run()

    assert (first.exit_code, second.exit_code) == (1, 0)
    assert "can't be started: No such file" in (first.error or "")
