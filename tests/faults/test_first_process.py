"""The first process of a container: what it does with signals and with processes that others leave behind.

A PID namespace is what makes a process the first one, in a container too.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fixtures.command import Command, until
from tests.fixtures.programs import lacks, program
from tests.image.dockerfile import read_stages

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux has PID namespaces"),
]

(_ENTRY,) = (each.words for each in read_stages(Path(__file__).parents[2] / "Dockerfile")["base"].having("ENTRYPOINT"))
_BIN = Path(sys.executable).parent

#: Leaves an ended process behind, as a stop_command does that starts something in the background.
_LEAVES_ONE = """
import os, subprocess, sys, time
left = int(subprocess.run(
    [sys.executable, "-c", "import os, time; p = os.fork(); p and (print(p), os._exit(0)); time.sleep(0.3)"],
    stdout=open("number", "w"), check=True,
) and open("number").read())
waits = 0
try:
    # A second after it has ended, nobody collects it any more.
    while waits < 20:
        with open(f"/proc/{left}/stat") as stat:
            waits += stat.read().rpartition(")")[2].split()[0] == "Z"
        time.sleep(0.05)
    print("left")
except (FileNotFoundError, ProcessLookupError):
    print("collected")
"""


#: Only root may make a PID namespace. Other users become root of a user namespace first.
_AS_ROOT = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]


def _first(*words: str) -> list[str]:
    """A command line whose last part is the first process of a PID namespace."""
    return [program("unshare"), *_AS_ROOT, "--pid", "--fork", "--kill-child", "--mount-proc", *words]


@pytest.fixture(autouse=True, scope="module")
def _namespaces() -> None:
    tried = subprocess.run(_first("true"), capture_output=True, text=True, check=False)
    if tried.returncode:
        lacks(f"this system allows no PID namespace: {tried.stderr.strip()}")


def _entry() -> list[str]:
    return [str(_BIN / word) if (_BIN / word).exists() else word for word in _ENTRY]


def test_sigterm_ends_the_first_process_within_five_seconds_with_143(command: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        # A command that does not come so far must not keep the test waiting.
        silent.settimeout(30.0)
        waiting = command.having(
            FLUXBASE_SECRET_KEY_1="0" * 64,
            FLUXBASE_DATABASE_URL=f"postgresql://x:y@127.0.0.1:{silent.getsockname()[1]}/z",
        )
        with waiting.start_line(_first(*_entry(), "secrets", "audit")) as running:
            with silent.accept()[0]:
                (first,) = _children(running.pid)
                began = time.monotonic()
                os.kill(first, signal.SIGTERM)
                code = running.finish().code
            # Five seconds, and what a busy machine needs besides.
            assert (code, time.monotonic() - began < 8) == (143, True)


def _children(process: int) -> list[int]:
    found: list[int] = []

    def look() -> bool:
        found[:] = map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split())
        return bool(found)

    until(look, "it has started the first process")
    return found


@pytest.mark.parametrize(("before", "expected"), [(_entry()[:-1], "collected"), ([], "left")])
def test_the_entry_point_collects_processes_that_nobody_waits_for(
    before: list[str], expected: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        _first(*before, sys.executable, "-c", _LEAVES_ONE), cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout.strip()) == (0, expected), done.stderr
