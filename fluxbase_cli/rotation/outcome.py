"""The result of a run of the rotation, and the plan of the next run, as JSON and text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from fluxbase_cli.errors import ExitCode, interrupted_code
from fluxbase_cli.rotation.retention import Retired
from fluxbase_cli.rotation.schedule import DueDecision
from fluxbase_cli.store.rotations import Retirement, RotationStep


@dataclass(frozen=True, slots=True)
class ServerAway:
    """How long a server with one key was away.

    Attributes:
        away_seconds: from the stop command until it was healthy again; None if it was not stopped.
        stop_seconds: how long the stop command took.
        start_seconds: from the start command until it was healthy.
    """

    away_seconds: float | None
    stop_seconds: float | None = None
    start_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class RotationReport:
    """The result of one run.

    Attributes:
        state: `not-due`, `finished`, `waiting` (for a person), `returned` (a failed cutover went back), or
            `interrupted`.
        decision: whether a rotation was due, and why.
        rotation: the number of the rotation, if there is one.
        from_version, to_version: the versions.
        job: the number of the re-encryption, if there was one.
        re_encrypted: how many values it moved.
        by_version: how many values need the key of each version, by the audit after the job.
        undecryptable: how many values no key opens.
        retired: the results for keys beyond retention.
        elapsed_seconds: how long this run took.
        rate_per_second: values a second of the re-encryption.
        undelivered: why notifications were not delivered, one reason for each.
        signal: the signal that interrupted the run, if one did.
        next: when the next rotation is due.
        server: how long the server was away, if it was stopped.
        returned: why a cutover went back, if it did.
    """

    state: str
    decision: DueDecision
    rotation: int | None = None
    from_version: int | None = None
    to_version: int | None = None
    job: int | None = None
    re_encrypted: int | None = None
    by_version: Mapping[int, int] = field(default_factory=lambda: MappingProxyType({}))
    undecryptable: int | None = None
    retired: tuple[Retired, ...] = ()
    elapsed_seconds: float = 0.0
    rate_per_second: float | None = None
    undelivered: tuple[str, ...] = ()
    signal: int | None = None
    next: datetime | None = None
    server: ServerAway | None = None
    returned: str | None = None

    @property
    def exit_code(self) -> int:
        """The exit code of the command (docs/operators/scripting.md, "Exit codes")."""
        match self.state:
            case "interrupted":
                return interrupted_code(self.signal)
            case "waiting" | "returned":
                return ExitCode.FAILED
            case "finished" if self.undecryptable:
                return ExitCode.UNDECRYPTABLE_LEFT
            case _:
                return ExitCode.DONE


@dataclass(frozen=True, slots=True)
class PlannedRetirement:
    """A key that is beyond retention now, or will be after the next rotation.

    Attributes:
        version, fingerprint: the key.
        action: the next step of its retirement.
        not_before: the earliest time for that step; None means when the rotation is finished.
        values: how many values still need the key now.
    """

    version: int
    fingerprint: str
    action: Retirement
    not_before: datetime | None
    values: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What `rotation run` would do now.

    Attributes:
        decision: whether a rotation is due, and why.
        resumes: the unfinished rotation that the run would resume.
        step: the step at which it would resume.
        from_version, to_version: the versions. The new one is None if it can't be made; `obstacle` says why.
        obstacle: why no new key can be made.
        re_encrypts: whether values are moved.
        values: how many values would be moved.
        by_version: how many values need the key of each version now.
        undecryptable: how many values no key opens.
        retirements: keys that are beyond retention now or after the rotation.
        reload_command: the program that would be run, if any.
        next: when the next rotation is due.
        steps: the steps that would be done, in order.
        missing: what is missing, so that the run would be refused.
    """

    decision: DueDecision
    from_version: int
    to_version: int | None
    resumes: int | None = None
    step: RotationStep | None = None
    obstacle: str | None = None
    re_encrypts: bool = False
    values: int = 0
    by_version: Mapping[int, int] = field(default_factory=lambda: MappingProxyType({}))
    undecryptable: int = 0
    retirements: tuple[PlannedRetirement, ...] = ()
    reload_command: str | None = None
    next: datetime | None = None
    steps: tuple[RotationStep, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """The exit code of the command: 3 if a rotation is due, else 2 if one could not run."""
        if self.decision.due:
            return ExitCode.CHECK_SAYS_NO
        return ExitCode.USAGE if self.missing or self.obstacle is not None else ExitCode.DONE
