"""What a job has come to, as reports want it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fluxbase_cli.counts import Counts
from fluxbase_cli.engine.cost import Cost, Estimate, VacuumCandidate
from fluxbase_cli.errors import ExitCode
from fluxbase_cli.store.records import JobKind, QuarantineEntry
from fluxbase_cli.unexamined import Unexamined


@dataclass(frozen=True, slots=True)
class JobReport:
    """The account of a re-encryption or rollback.

    Attributes:
        job: its number; None for a dry run, which leaves no trace.
        kind: what it was for.
        state: `completed`, `interrupted`, `failed` or `dry-run`.
        from_version: the version moved away from; None for all that is not under the target.
        to_version: the target.
        reason: the operator's words, where asked for.
        locations: the counts by `schema.table.column`, over all runs of the job.
        remaining: values still under the old key after the closing census; of an unfinished job, None.
        elapsed_seconds: how long this run took.
        handled: values this run has looked at, for its rate.
        quarantine: the values that no key opens.
        error: why it failed, if it did.
        signal: the signal that interrupted it, if one did.
        warnings: what is worth telling.
        forecast: what a rehearsal foretold; None where there was none.
        measured: what this run has cost; of a dry run, None.
        gains: the tables that would gain from VACUUM, or have.
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
    quarantine: tuple[QuarantineEntry, ...]
    error: str | None = None
    signal: int | None = None
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
        """Values a second of this run."""
        return self.handled / self.elapsed_seconds if self.elapsed_seconds > 0 else 0.0

    @property
    def exit_code(self) -> int:
        """How the command ends (docs/operators/scripting.md, "Exit codes")."""
        if self.state == "interrupted":
            return 128 + (self.signal or 2)
        if self.state not in ("completed", "dry-run"):
            return ExitCode.FAILED
        return ExitCode.UNDECRYPTABLE_LEFT if self.total.undecryptable or self.unexamined else ExitCode.DONE


@dataclass(frozen=True, slots=True)
class LocationCensus:
    """What one location holds.

    Attributes:
        scanned: sealed values.
        by_version: how many need the key of each version of the ring.
        plaintext: values from before the server sealed the column.
        undecryptable: values that no key opens.
    """

    scanned: int
    by_version: Mapping[int, int]
    plaintext: int
    undecryptable: int

    def __add__(self, other: LocationCensus) -> LocationCensus:
        versions = {*self.by_version, *other.by_version}
        return LocationCensus(
            self.scanned + other.scanned,
            {version: self.by_version.get(version, 0) + other.by_version.get(version, 0) for version in versions},
            self.plaintext + other.plaintext,
            self.undecryptable + other.undecryptable,
        )


@dataclass(frozen=True, slots=True)
class CensusReport:
    """The account of an audit.

    Attributes:
        key_version: the version asked for, or None.
        locations: by `schema.table.column`.
        versions: the versions of the ring, ascending.
        elapsed_seconds: how long it took.
        quarantine: the values that no key opens.
        warnings: what is worth telling.
        unexamined: what could not be examined, so that nothing is known of it.
    """

    key_version: int | None
    locations: Mapping[str, LocationCensus]
    versions: tuple[int, ...]
    elapsed_seconds: float
    quarantine: tuple[QuarantineEntry, ...]
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
        """Values that no key opens."""
        return sum(location.undecryptable for location in self.locations.values())

    @property
    def found(self) -> int:
        """Values that need the key asked for; without one, values that some key of the ring opens."""
        if self.key_version is None:
            return self.scanned - self.undecryptable
        return self.by_version.get(self.key_version, 0)

    @property
    def exit_code(self) -> int:
        """How the command ends (docs/operators/scripting.md, "Exit codes").

        Asked for a version, the answer is about that version alone. Asked for everything, values that nothing opens
        are part of the answer. What could not be examined leaves either open.
        """
        if self.key_version is not None and self.found:
            return ExitCode.CHECK_SAYS_NO
        if self.unexamined or (self.key_version is None and self.undecryptable):
            return ExitCode.UNDECRYPTABLE_LEFT
        return ExitCode.DONE
