"""All errors for the user, each with the exit code of the command.

An error says what is wrong (``message``) and, if that helps, what to do about it (``hint``). Its texts go to logs, so
they never contain a key, a plaintext, a sealed value or a password.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes, as docs/operators/scripting.md lists them."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    CHECK_SAYS_NO = 3
    UNDECRYPTABLE_LEFT = 4
    JOB_RUNNING = 5
    WRONG_KEY = 6
    SIGINT = 130
    SIGTERM = 143


def interrupted_code(signal: int | None) -> int:
    """The exit code of a command that was stopped: 128 and the number of the signal, as shells count it.

    Args:
        signal: the number; None, if something else stopped it, counts as SIGINT.
    """
    return 128 + (2 if signal is None else signal)


class FluxbaseCliError(Exception):
    """The base of all errors that the user sees as one line.

    Args:
        message: what is wrong and where, one sentence, without a final full stop.
        hint: what to do about it; may have several lines (SQL to run, for example).
    """

    exit_code: ExitCode = ExitCode.FAILED

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigurationError(FluxbaseCliError):
    """The configuration, the environment or the command line can't be used; nothing was written."""

    exit_code = ExitCode.USAGE


class PreflightRefusedError(FluxbaseCliError):
    """The database or the role does not meet a condition; nothing was written."""

    exit_code = ExitCode.USAGE


class UntrustedSchemaError(PreflightRefusedError):
    """Somebody else made a schema of ours, or could change what it runs. Nothing of it was run."""


class NothingHereError(PreflightRefusedError):
    """The database of a branch or a tenant has no sealed table."""


class DatabaseError(FluxbaseCliError):
    """The database can't be reached, or failed with an error that did not end with retries."""


class JobRunningError(FluxbaseCliError):
    """Another job is running on this database."""

    exit_code = ExitCode.JOB_RUNNING


class RotationRunningError(JobRunningError):
    """Another process runs a rotation on this database."""


class JobStoppedError(FluxbaseCliError):
    """Somebody has stopped the job with `secrets stop`, and this process must not resume it; nothing was written."""

    exit_code = ExitCode.USAGE


class WrongKeyError(FluxbaseCliError):
    """The key sample shows that the configured key is not the key that sealed these values."""

    exit_code = ExitCode.WRONG_KEY


class JobFailedError(FluxbaseCliError):
    """The job failed. What was committed stays."""
