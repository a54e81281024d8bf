"""Ends all processes of a program that was started in a session, and so in a process group, of its own."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress


def signal_group(process: subprocess.Popen[bytes], number: int = signal.SIGKILL) -> None:
    """Send a signal to all processes of the group. If none is left, nothing happens.

    Args:
        process: the program, with which the group began.
        number: the number of the signal.
    """
    # macOS refuses to signal the group of an ended process.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
