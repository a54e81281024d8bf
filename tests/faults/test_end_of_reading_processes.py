"""The further processes of an audit end with the first one, however that ends."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.fixtures.command import Rotation, Running, until
from tests.fixtures.programs import needs_worker_process, runs

pytestmark = needs_worker_process

#: The command, with a lower limit for large tables, as if the machine had three processors. It reads slowly.
_SLOWLY = """
import time
from fluxbase_cli.cli.app import main
from fluxbase_cli.engine.read import full_read
from fluxbase_cli.engine.read.processes import SharedParts
full_read._FEW_ROWS, full_read._LEAST_PAGES, full_read.processors = -1, 1, lambda: 3
take = SharedParts.take
def slow(parts):
    time.sleep(0.3)
    return take(parts)
SharedParts.take = slow
main()
"""


def others_of(audit: Running) -> list[int]:
    with suppress(OSError):
        return [int(pid) for pid in Path(f"/proc/{audit.pid}/task/{audit.pid}/children").read_text().split()]
    return []


def sessions(rotation: Rotation) -> int:
    return int(
        rotation.value(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'fluxbase-cli' "
            "AND datname = current_database() AND backend_xmin IS NOT NULL"
        )
    )


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_all_processes_of_an_audit_end_with_the_first(rotation: Rotation, number: signal.Signals, code: int) -> None:
    rotation.seed(2_000)
    line = [sys.executable, "-c", _SLOWLY, "secrets", "audit", "-o", "json"]
    with rotation.command.start_line(line) as audit:
        # The holder of the snapshot, and the threads of three processes.
        until(lambda: len(others_of(audit)) == 2 and sessions(rotation) > 3, "all processes read")
        others = others_of(audit)
        audit.send(number)
        outcome = audit.finish()
    assert outcome.code == code
    assert outcome.stdout == ""
    assert "proves nothing" in outcome.stderr or number == signal.SIGKILL
    until(lambda: not any(runs(pid) for pid in others), "the further processes have ended")
    until(lambda: sessions(rotation) == 0, "their sessions have ended")


def test_an_audit_says_which_process_was_killed_and_finds_nothing(rotation: Rotation) -> None:
    rotation.seed(2_000)
    line = [sys.executable, "-c", _SLOWLY, "secrets", "audit", "--key-version", "1"]
    with rotation.command.start_line(line) as audit:
        until(lambda: len(others_of(audit)) == 2 and sessions(rotation) > 3, "all processes read")
        killed, other = others_of(audit)
        os.kill(killed, signal.SIGKILL)
        outcome = audit.finish()
    assert outcome.code == 1
    assert outcome.stdout == ""
    assert f"process {killed}, signal SIGKILL), so this proves nothing" in outcome.stderr
    assert not runs(other)
