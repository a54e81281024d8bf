"""Measure whole commands on a small database, for one installation or for two in turns.

    python -m tests.bench.commands [--rows 1000] [--rounds 15] [--other PYTHON] [--database-url URL]

For `--help`, `secrets audit` and `secrets re-encrypt` of a database that has had no job. Each time is that of the whole
process, from its start to its end. `--other` names the interpreter of another installation, such as
`../before/.venv/bin/python` of an earlier commit. Then each round runs both, one after the other, and the medians of
both and of their quotients are printed. The speed of a machine changes within minutes, so only such a comparison says
anything about two versions.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

from fluxbase_cli.demo.server import EmbeddedServer
from tests.bench.databases import Databases
from tests.bench.shapes import SHAPES

_COMMANDS: Mapping[str, tuple[str, ...]] = {
    "--help": ("--help",),
    "secrets audit": ("secrets", "audit", "-q", "-o", "json"),
    "secrets re-encrypt": (
        *("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2"),
        *("-q", "-o", "json", "--yes"),
    ),
}


@dataclass(slots=True)
class Times:
    """The times of one command with one interpreter, in seconds: on the clock, and of the processor."""

    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000, help="rows of functions.secrets")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--other", help="the interpreter of another installation of fluxbase-cli")
    parser.add_argument("--database-url", default=os.environ.get("FLUXBASE_BENCH_DATABASE_URL"))
    return parser.parse_args()


def _run(python: str, arguments: tuple[str, ...], environment: Mapping[str, str], folder: str, times: Times) -> None:
    begin = time.perf_counter()
    process = subprocess.Popen(
        [python, "-m", "fluxbase_cli", *arguments],
        env={**environment},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    times.wall.append(time.perf_counter() - begin)
    times.processor.append(usage.ru_utime + usage.ru_stime)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(process.returncode)


def main() -> None:
    """Measure and print."""
    asked = _options()
    pythons = [sys.executable, *([asked.other] if asked.other else [])]
    pythons = [os.path.abspath(python) for python in pythons]  # noqa: PTH100  # a link to the interpreter is kept
    with ExitStack() as open_until_end:
        url = asked.database_url or open_until_end.enter_context(EmbeddedServer.start()).url()
        databases = open_until_end.enter_context(Databases.filled(url, SHAPES["secrets"], asked.rows, 40))
        folder = open_until_end.enter_context(tempfile.TemporaryDirectory())
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("FLUXBASE_", "PG"))}
        # As an installed command has it.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        environment |= {"FLUXBASE_SECRET_KEY_1": databases.old_key, "FLUXBASE_SECRET_KEY_2": databases.new_key}
        for name, arguments in _COMMANDS.items():
            times = [Times() for _ in pythons]
            # The first round is not counted: it compiles, and fills caches.
            for number in range(asked.rounds + 1):
                for python, found in zip(pythons, times, strict=True):
                    here = {"FLUXBASE_DATABASE_URL": databases.fresh_copy()}
                    _run(python, arguments, environment | here, folder, Times() if number == 0 else found)
            _tell(name, times)


def _tell(name: str, times: list[Times]) -> None:
    for which, found in zip(("this", "other"), times, strict=False):
        wall, processor = statistics.median(found.wall), statistics.median(found.processor)
        least, most = min(found.wall), max(found.wall)
        print(f"{name:20} {which:6} {wall:.3f} s ({least:.3f} to {most:.3f}), processor {processor:.3f} s", flush=True)
    if len(times) > 1:
        wall, processor = (
            statistics.median(a / b for a, b in zip(this, other, strict=True))
            for this, other in (
                (times[0].wall, times[1].wall),
                (times[0].processor, times[1].processor),
            )
        )
        print(f"{name:20} this / other: {wall:.2f}, processor {processor:.2f}", flush=True)


if __name__ == "__main__":
    main()
