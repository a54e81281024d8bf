"""The memory of a process and its children together, while they run."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

#: How often the memory is read, in seconds.
_LOOK_S = 0.1
#: The memory that only the process uses, and its part of the shared memory: Linux' proc(5), in kB.
_PSS = re.compile(r"^Pss:\s+(\d+) kB$", re.MULTILINE)


@dataclass(slots=True)
class Memory:
    """The measured memory.

    Attributes:
        peak_mb: the most, in MB; 0 where the system does not report it.
    """

    peak_mb: float = 0.0


@contextmanager
def measured(pid: int) -> Iterator[Memory]:
    """Watch a process and its children until the block ends."""
    memory, ended = Memory(), threading.Event()

    def watch() -> None:
        while not ended.wait(_LOOK_S):
            memory.peak_mb = max(memory.peak_mb, _pss_kb(pid) / 1024)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield memory
    finally:
        ended.set()
        thread.join()


def _pss_kb(pid: int) -> int:
    total = 0
    # The process may end while we look.
    with suppress(OSError):
        found = _PSS.search(Path(f"/proc/{pid}/smaps_rollup").read_text())
        total = int(found[1]) if found else 0
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        total += sum(_pss_kb(int(child)) for child in children)
    return total
