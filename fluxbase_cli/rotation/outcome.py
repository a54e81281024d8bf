"""The result of a run of the rotation, and the plan of the next run, as JSON and text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from fluxbase_cli.errors import ExitCode, interrupted_code
from fluxbase_cli.rotation.retention import Retired
from fluxbase_cli.rotation.schedule import DueDecision, moment_text
from fluxbase_cli.store.rotations import Retirement, RotationStep


@dataclass(frozen=True, slots=True)
class RotationReport:
    """The result of one run.

    Attributes:
        state: `not-due`, `finished`, `waiting` (for a person), or `interrupted`.
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

    @property
    def exit_code(self) -> int:
        """The exit code of the command (docs/operators/scripting.md, "Exit codes")."""
        match self.state:
            case "interrupted":
                return interrupted_code(self.signal)
            case "waiting":
                return ExitCode.FAILED
            case "finished" if self.undecryptable:
                return ExitCode.UNDECRYPTABLE_LEFT
            case _:
                return ExitCode.DONE

    def as_data(self) -> dict[str, Any]:
        """The report as JSON."""
        return {
            "state": self.state,
            "due": self.decision.due,
            "why": self.decision.why,
            "rotation": self.rotation,
            "from_version": self.from_version,
            "to_version": self.to_version,
            "job": self.job,
            "re_encrypted": self.re_encrypted,
            "by_version": {str(version): number for version, number in self.by_version.items()},
            "undecryptable": self.undecryptable,
            "retired": [
                {
                    "version": each.version,
                    "fingerprint": each.fingerprint,
                    "action": each.action.value,
                    "refusals": list(each.refusals),
                    "left_to_do": list(each.left_to_do),
                }
                for each in self.retired
            ],
            "elapsed_seconds": round(self.elapsed_seconds, 3),
            "undelivered": list(self.undelivered),
            "next": moment_json(self.next),
        }

    def lines(self) -> Iterator[str]:
        """The report as text."""
        if self.state == "not-due":
            yield f"Not due: {self.decision.why}"
        yield from _retired_lines(self.retired)
        if self.state == "finished":
            yield f"✓ Rotated from version {self.from_version} to {self.to_version} in {self.elapsed_seconds:.0f}s"
        if self.next is not None:
            yield f"Next: {moment_text(self.next)}"


def _retired_lines(retired: tuple[Retired, ...]) -> Iterator[str]:
    for each in retired:
        verb = "Disabled" if each.action is Retirement.DISABLE else "Destroyed"
        if not each.refusals:
            yield f"✓ {verb} key version {each.version} (fingerprint {each.fingerprint})"
            yield from (f"    {line}" for line in each.left_to_do)


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

    @property
    def exit_code(self) -> int:
        """The exit code of the command: 3 if a rotation is due."""
        return ExitCode.CHECK_SAYS_NO if self.decision.due else ExitCode.DONE

    def as_data(self) -> dict[str, Any]:
        """The plan as JSON."""
        jobs = []
        if self.re_encrypts:
            jobs.append({"kind": "re-encrypt", "to_version": self.to_version, "values": self.values})
        return {
            "due": self.decision.due,
            "why": self.decision.why,
            "date": moment_json(self.decision.date),
            "next": moment_json(self.next),
            "resumes": self.resumes,
            "step": None if self.step is None else self.step.value,
            "from_version": self.from_version,
            "to_version": self.to_version,
            "obstacle": self.obstacle,
            "jobs": jobs,
            "by_version": {str(version): number for version, number in self.by_version.items()},
            "undecryptable": self.undecryptable,
            "retention": [
                {
                    "version": each.version,
                    "fingerprint": each.fingerprint,
                    "action": each.action.value,
                    "not_before": moment_json(each.not_before),
                    "values": each.values,
                }
                for each in self.retirements
            ],
            "reload_command": self.reload_command,
        }

    def lines(self) -> Iterator[str]:
        """The plan as text."""
        if self.resumes is not None:
            yield f"Due: {self.decision.why}, it resumes at the step {self.step or 'that is last'}"
        else:
            yield f"{'Due' if self.decision.due else 'Not due'}: {self.decision.why}"
        if self.next is not None:
            yield f"Next:        {moment_text(self.next)}"
        yield f"Active:      key version {self.from_version}"
        if self.obstacle is not None:
            yield f"New key:     none, {self.obstacle}"
        else:
            yield f"New key:     version {self.to_version}"
        if self.reload_command is not None:
            yield f"Then runs:   {self.reload_command}"
        yield (
            f"Re-encrypts: {self.values} values" if self.re_encrypts else "Re-encrypts: nothing (auto_reencrypt is off)"
        )
        if self.undecryptable:
            yield f"! {self.undecryptable} values open under no key; no key is retired as long as there are such values"
        for each in self.retirements:
            when = "" if each.not_before is None else f", not before {moment_text(each.not_before)}"
            needed = f"{each.values} values need it now" if each.values else "no value needs it"
            yield f"Retention:   {each.action.value} version {each.version} ({each.fingerprint}{when}): {needed}"


def moment_json(moment: datetime | None) -> str | None:
    """Return a moment in the form for JSON."""
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
