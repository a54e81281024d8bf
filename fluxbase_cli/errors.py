"""Every error a user can meet, each with the exit code that the command line ends with.

An error says what is wrong (``message``), where that helps, and what to do about it (``hint``). None ever carries a
key, a plaintext, a sealed value or a password: the texts are written for logs.
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


class FluxbaseCliError(Exception):
    """The base of all errors that are told to the user in one line.

    Args:
        message: what is wrong and where, one sentence, without a final full stop.
        hint: what to do about it; may hold several lines (SQL to run, for example).
    """

    exit_code: ExitCode = ExitCode.FAILED

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigurationError(FluxbaseCliError):
    """The configuration, the environment or the command line can't be used; nothing was touched."""

    exit_code = ExitCode.USAGE


class PreflightRefusedError(FluxbaseCliError):
    """The database or the role is not fit for the job; nothing was touched."""

    exit_code = ExitCode.USAGE


class NothingHereError(PreflightRefusedError):
    """A database beside the main one has no sealed table of its own."""


class DatabaseError(FluxbaseCliError):
    """The database can't be reached, or failed in a way that a retry did not mend."""


class JobRunningError(FluxbaseCliError):
    """Another job is alive on this database."""

    exit_code = ExitCode.JOB_RUNNING


class WrongKeyError(FluxbaseCliError):
    """The canary found that the key given is not the key that sealed these values."""

    exit_code = ExitCode.WRONG_KEY


class JobFailedError(FluxbaseCliError):
    """The job ended before its end; what was committed stays."""
