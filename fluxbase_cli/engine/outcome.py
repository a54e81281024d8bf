"""The results of jobs and audits, as the reports need them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fluxbase_cli.counts import Counts
from fluxbase_cli.engine.cost import Cost, Estimate, VacuumCandidate
from fluxbase_cli.errors import ExitCode, interrupted_code
from fluxbase_cli.store.quarantine import Quarantine
from fluxbase_cli.store.records import JobKind, StopRequest
from fluxbase_cli.unexamined import Unexamined


@dataclass(frozen=True, slots=True)
class JobReport:
    """The report of a re-encryption or rollback.

    Attributes:
        job: the number of the job; None for a dry run, which records nothing.
        kind: re-encryption or rollback.
        state: `completed`, `interrupted`, `failed` or `dry-run`.
        from_version: the version that values move away from; None for all versions except the target.
        to_version: the target.
        reason: the reason that the operator gave; None if there is none.
        locations: the counts by `schema.table.column`, over all runs of the job.
        remaining: values still under the old key after the last catch-up pass; None for an unfinished job.
        elapsed_seconds: how long this run took.
        handled: values that this run has read, for its rate.
        quarantine: the values that were left as they are, undecryptable or not to be written.
        error: why the job failed; None if it did not.
        signal: the signal that interrupted it; None if none did.
        stopped: the request of `secrets stop` that interrupted it; None if none did.
        warnings: what the operator should know.
        estimate: the result of the trial run; None if there was no trial run.
        measured: what this run cost; None for a dry run.
        vacuum_candidates: the tables that would gain from VACUUM, or were vacuumed.
        unexamined: what could not be examined.
    """

    job: int | None
    kind: JobKind
    state: str
    from_version: int | None
    to_version: int
    reason: str | None
    locations: Mapping[str, Counts]
    remaining: int | None
    elapsed_seconds: float
    handled: int
    quarantine: Quarantine
    error: str | None = None
    signal: int | None = None
    stopped: StopRequest | None = None
    warnings: tuple[str, ...] = ()
    estimate: Estimate | None = None
    measured: Cost | None = None
    vacuum_candidates: tuple[VacuumCandidate, ...] = ()
    unexamined: tuple[Unexamined, ...] = ()

    @property
    def total(self) -> Counts:
        """The counts of all locations together."""
        return sum(self.locations.values(), Counts())

    @property
    def rate_per_second(self) -> float:
        """Values per second of this run."""
        return self.handled / self.elapsed_seconds if self.elapsed_seconds > 0 else 0.0

    @property
    def exit_code(self) -> int:
        """The exit code of the command (docs/operators/scripting.md, "Exit codes")."""
        if self.state == "interrupted":
            return interrupted_code(self.signal)
        if self.state not in ("completed", "dry-run"):
            return ExitCode.FAILED
        left = self.total.undecryptable or self.unexamined or self.quarantine.unwritable
        return ExitCode.UNDECRYPTABLE_LEFT if left else ExitCode.DONE


@dataclass(frozen=True, slots=True)
class LocationAudit:
    """What one location holds.

    Attributes:
        scanned: sealed values.
        by_version: how many values need the key of each version of the key ring.
        plaintext: values from before the server sealed the column.
        undecryptable: undecryptable values.
    """

    scanned: int
    by_version: Mapping[int, int]
    plaintext: int
    undecryptable: int

    def __add__(self, other: LocationAudit) -> LocationAudit:
        versions = {*self.by_version, *other.by_version}
        return LocationAudit(
            self.scanned + other.scanned,
            {version: self.by_version.get(version, 0) + other.by_version.get(version, 0) for version in versions},
            self.plaintext + other.plaintext,
            self.undecryptable + other.undecryptable,
        )


@dataclass(frozen=True, slots=True)
class AuditReport:
    """The report of an audit.

    Attributes:
        key_version: the version that the audit was for; None for all.
        locations: what each location holds, by `schema.table.column`.
        versions: the versions of the key ring, ascending.
        elapsed_seconds: how long the audit took.
        quarantine: the undecryptable values.
        warnings: what the operator should know.
        unexamined: what could not be examined. Nothing is known about it.
    """

    key_version: int | None
    locations: Mapping[str, LocationAudit]
    versions: tuple[int, ...]
    elapsed_seconds: float
    quarantine: Quarantine
    warnings: tuple[str, ...]
    unexamined: tuple[Unexamined, ...] = ()

    @property
    def by_version(self) -> Mapping[int, int]:
        """How many values need the key of each version."""
        return {
            version: sum(location.by_version.get(version, 0) for location in self.locations.values())
            for version in self.versions
        }

    @property
    def scanned(self) -> int:
        """Sealed values."""
        return sum(location.scanned for location in self.locations.values())

    @property
    def plaintext(self) -> int:
        """Values from before the server sealed their columns."""
        return sum(location.plaintext for location in self.locations.values())

    @property
    def undecryptable(self) -> int:
        """Undecryptable values."""
        return sum(location.undecryptable for location in self.locations.values())

    @property
    def found(self) -> int:
        """Values that need the key `key_version`. If that is None, values that some key of the key ring opens."""
        if self.key_version is None:
            return self.scanned - self.undecryptable
        return self.by_version.get(self.key_version, 0)

    @property
    def exit_code(self) -> int:
        """The exit code of the command (docs/operators/scripting.md, "Exit codes").

        With a key version, the exit code is about that version alone. Without one, undecryptable values count too.
        If something could not be examined, the question stays open in both cases.
        """
        if self.key_version is not None and self.found:
            return ExitCode.CHECK_SAYS_NO
        if self.unexamined or (self.key_version is None and self.undecryptable):
            return ExitCode.UNDECRYPTABLE_LEFT
        return ExitCode.DONE
