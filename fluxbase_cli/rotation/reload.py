"""Runs the operator's command that makes the servers read their configuration again."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping

from fluxbase_cli.errors import JobFailedError

#: Without this limit, a command that hangs would block the rotation for ever.
_TIMEOUT_S = 900.0
_HINT = "No value was sealed under the new key yet. Run the rotation again: it resumes from here."


def reload_servers(command: tuple[str, ...], environ: Mapping[str, str]) -> float:
    """Run the command. Return how many seconds it took.

    Raises:
        JobFailedError: it can't be run, fails or hangs.
    """
    started = time.monotonic()
    try:
        # Its output may be anything and is for the operator. It goes to stderr like our messages, and is not stored.
        code = subprocess.run(  # noqa: S603  # the operator's own command, read by no shell
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            env=dict(environ),
            timeout=_TIMEOUT_S,
        ).returncode
    except subprocess.TimeoutExpired:
        raise JobFailedError(
            f"reload_command {command[0]} did not end within {_TIMEOUT_S:.0f} s, and was killed", hint=_HINT
        ) from None
    except OSError as error:
        raise JobFailedError(
            f"reload_command {command[0]} can't be run: {error.strerror or type(error).__name__}", hint=_HINT
        ) from None
    if code != 0:
        raise JobFailedError(f"reload_command {command[0]} ended with exit code {code}", hint=_HINT)
    return time.monotonic() - started
