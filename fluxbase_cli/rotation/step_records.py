"""The records of the steps of a rotation, for later steps and the report. Stored as JSON in `rotation_step.detail`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, TypeVar

from fluxbase_cli.engine.outcome import AuditReport, JobReport
from fluxbase_cli.store.rotations import RotationStep

#: At most this many undecryptable values are recorded.
_MOST_VALUES = 50


@dataclass(frozen=True, slots=True)
class KeyStep:
    """The new key.

    Attributes:
        fingerprint: the fingerprint of the key.
        provider, source: where it is kept.
        setting: the entry for `security.encryption.keys`; empty if it is configured already.
    """

    fingerprint: str
    provider: str
    source: str
    setting: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class ActivateStep:
    """The new version is active.

    Attributes:
        how: how it was made active.
    """

    how: str


@dataclass(frozen=True, slots=True)
class ReloadStep:
    """The reload command.

    Attributes:
        command: the name of the program; None if none is configured.
        seconds: how long it took.
    """

    command: str | None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class ReEncryptStep:
    """The job.

    Attributes:
        job: the number of the job; None if the values stay under their keys.
        re_encrypted: how many values it moved; None if an earlier process finished the job.
        rate_per_second: values a second.
    """

    job: int | None
    re_encrypted: int | None = None
    rate_per_second: float | None = None

    @classmethod
    def from_report(cls, report: JobReport) -> ReEncryptStep:
        """The step of a job that is completed."""
        return cls(report.job, report.total.re_encrypted, round(report.rate_per_second, 1))


@dataclass(frozen=True, slots=True)
class AuditStep:
    """The audit after the job.

    Attributes:
        by_version: how many values need the key of each version.
        undecryptable: how many values no key opens.
        values: the first of those: where they are, and why no key opens them.
    """

    by_version: Mapping[int, int]
    undecryptable: int
    values: tuple[Mapping[str, Any], ...] = ()

    @classmethod
    def from_report(cls, census: AuditReport) -> AuditStep:
        """The step of an audit that examined everything."""
        values = tuple(
            {"location": entry.location, "id": str(entry.id), "path": list(entry.path), "reason": entry.reason}
            for entry in census.quarantine[:_MOST_VALUES]
        )
        return cls(dict(census.by_version), census.undecryptable, values)


@dataclass(frozen=True, slots=True)
class RetentionStep:
    """The versions whose keys were disabled or destroyed."""

    versions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CheckStep:
    """The audit before a cutover.

    Attributes:
        values: how many sealed values there are.
        undecryptable: how many values no key opens.
    """

    values: int
    undecryptable: int


@dataclass(frozen=True, slots=True)
class StopStep:
    """The server is stopped.

    Attributes:
        seconds: how long the stop command took.
    """

    seconds: float


@dataclass(frozen=True, slots=True)
class InstallStep:
    """The server's new key is in its place.

    Attributes:
        fingerprint: the fingerprint of the key.
    """

    fingerprint: str


@dataclass(frozen=True, slots=True)
class StartStep:
    """The server is healthy again.

    Attributes:
        seconds: how long it took from the start command until it was healthy.
        away_seconds: how long the server was away, from the stop command until it was healthy.
    """

    seconds: float
    away_seconds: float


@dataclass(frozen=True, slots=True)
class ReturnStep:
    """The values and the server are back under the old key.

    Attributes:
        why: why the rotation went back.
        away_seconds: how long the server was away; None if it was not stopped.
    """

    why: str
    away_seconds: float | None


AnyStep = (
    CheckStep
    | KeyStep
    | ActivateStep
    | ReloadStep
    | StopStep
    | ReEncryptStep
    | AuditStep
    | InstallStep
    | StartStep
    | RetentionStep
    | ReturnStep
)
_S = TypeVar("_S", bound=AnyStep)

_TYPES: Mapping[RotationStep, type[AnyStep]] = MappingProxyType(
    {
        RotationStep.CHECK: CheckStep,
        RotationStep.KEY: KeyStep,
        RotationStep.ACTIVATE: ActivateStep,
        RotationStep.RELOAD: ReloadStep,
        RotationStep.STOP: StopStep,
        RotationStep.RE_ENCRYPT: ReEncryptStep,
        RotationStep.AUDIT: AuditStep,
        RotationStep.INSTALL: InstallStep,
        RotationStep.START: StartStep,
        RotationStep.PROVE: AuditStep,
        RotationStep.RETENTION: RetentionStep,
        RotationStep.RETURN: ReturnStep,
    }
)


def detail_of(record: AnyStep) -> dict[str, Any]:
    """A record as JSON. A field that may be left out, and is None, is left out. Times have milliseconds."""
    values = {each: getattr(record, each.name) for each in fields(record)}
    return {
        each.name: _as_json(value) for each, value in values.items() if value is not None or each.default is not None
    }


def record_of(step: RotationStep, detail: Mapping[str, Any]) -> AnyStep:
    """The inverse of `detail_of`. Fields that a later release has added are ignored."""
    kind = _TYPES[step]
    known = {each.name: detail[each.name] for each in fields(kind) if each.name in detail}
    return kind(**{name: _from_json(name, value) for name, value in known.items()})


def _as_json(value: Any) -> Any:  # noqa: ANN401  # any field of a record
    match value:
        case float():
            return round(value, 3)
        case Mapping():
            # JSON has no numbers as names.
            return {str(name): each for name, each in value.items()}
        case tuple():
            return list(value)
        case _:
            return value


def _from_json(name: str, value: Any) -> Any:  # noqa: ANN401  # any field of a record
    if name == "by_version":
        return {int(version): number for version, number in value.items()}
    return tuple(value) if isinstance(value, list) else value


class StepsDone:
    """The steps that a rotation has done so far, each with its record."""

    def __init__(self) -> None:
        self._records: dict[RotationStep, AnyStep] = {}

    def add(self, step: RotationStep, record: AnyStep) -> None:
        """Add a step's record."""
        self._records[step] = record

    def add_detail(self, step: RotationStep, detail: Mapping[str, Any]) -> None:
        """Add a step's record from its stored JSON."""
        self._records[step] = record_of(step, detail)

    def get(self, kind: type[_S]) -> _S | None:
        """The last record of this kind. None if its step is not done."""
        return next((record for record in reversed(self._records.values()) if isinstance(record, kind)), None)

    def need(self, kind: type[_S]) -> _S:
        """The record of this kind.

        Raises:
            KeyError: its step is not done.
        """
        record = self.get(kind)
        if record is None:
            raise KeyError(kind.__name__)
        return record
