"""The results of the instances, and the result of the fleet that follows from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from fluxbase_cli.errors import ExitCode
from fluxbase_cli.fleet.file import Instance


class Outcome(StrEnum):
    """How an instance's process ended, in one word."""

    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"
    CHECK_SAYS_NO = "check-says-no"
    UNDECRYPTABLE = "undecryptable"
    JOB_RUNNING = "job-running"
    WRONG_KEY = "wrong-key"
    INTERRUPTED = "interrupted"
    KILLED = "killed"
    NOT_STARTED = "not-started"


_BY_CODE: Mapping[int, Outcome] = {
    ExitCode.DONE: Outcome.DONE,
    ExitCode.FAILED: Outcome.FAILED,
    ExitCode.USAGE: Outcome.REFUSED,
    ExitCode.CHECK_SAYS_NO: Outcome.CHECK_SAYS_NO,
    ExitCode.UNDECRYPTABLE_LEFT: Outcome.UNDECRYPTABLE,
    ExitCode.JOB_RUNNING: Outcome.JOB_RUNNING,
    ExitCode.WRONG_KEY: Outcome.WRONG_KEY,
    ExitCode.SIGINT: Outcome.INTERRUPTED,
    ExitCode.SIGTERM: Outcome.INTERRUPTED,
}
#: Sorted by how much is left to do: not all instances were tried; work may be incomplete; keys are wrong; nothing was
#: begun; another process works on it; everything was checked and the answer is no; all is done except some values;
#: all is done.
_WORST_FIRST = (
    ExitCode.SIGTERM,
    ExitCode.SIGINT,
    ExitCode.FAILED,
    ExitCode.WRONG_KEY,
    ExitCode.USAGE,
    ExitCode.JOB_RUNNING,
    ExitCode.CHECK_SAYS_NO,
    ExitCode.UNDECRYPTABLE_LEFT,
    ExitCode.DONE,
)
_CUT_SHORT = frozenset({Outcome.INTERRUPTED, Outcome.KILLED, Outcome.NOT_STARTED})


@dataclass(frozen=True, slots=True)
class InstanceResult:
    """How one instance ended.

    Attributes:
        instance: the instance.
        exit_code: the exit code of its process, as a shell shows it (128 plus the signal's number after a signal). None
            if it was not started.
        elapsed_s: the time from the start of its process to its end, in seconds.
        result: the JSON object that it printed, if any.
        error: why it ended like this, one line without control characters. None if the result says it.
    """

    instance: Instance
    exit_code: int | None
    elapsed_s: float = 0.0
    result: Mapping[str, Any] | None = None
    error: str | None = None

    @property
    def outcome(self) -> Outcome:
        """How it ended, in one word."""
        if self.exit_code is None:
            return Outcome.NOT_STARTED
        killed = Outcome.KILLED if self.exit_code > 128 else Outcome.FAILED  # noqa: PLR2004  # as a shell counts
        return _BY_CODE.get(self.exit_code, killed)


@dataclass(frozen=True, slots=True)
class FleetResult:
    """How the fleet ended.

    Attributes:
        instances: in the order of the fleet file.
        signal: the first signal that we received, if any.
    """

    instances: tuple[InstanceResult, ...]
    signal: int | None = None

    @property
    def done(self) -> int:
        """How many instances ended with exit code 0."""
        return sum(each.exit_code == ExitCode.DONE for each in self.instances)

    @property
    def failed(self) -> int:
        """How many instances ended with another exit code or were not started."""
        return len(self.instances) - self.done

    @property
    def exit_code(self) -> int:
        """The worst exit code. If a signal interrupted the fleet, the exit code of that signal."""
        if self.signal is not None and any(each.outcome in _CUT_SHORT for each in self.instances):
            return 128 + self.signal
        return worst(each.exit_code for each in self.instances if each.exit_code is not None)


def worst(codes: Iterable[int]) -> int:
    """Return the worst exit code, in the order 143, 130, 1, 6, 2, 5, 3, 4, 0. Any other code counts as 1."""
    ranked = [code if code in _BY_CODE else ExitCode.FAILED for code in codes]
    return int(min(ranked, key=_WORST_FIRST.index, default=ExitCode.DONE))
