"""The cost of a run, estimated or measured, and the tables to vacuum after it."""

from __future__ import annotations

from dataclasses import dataclass

#: There is no trial run on a relation with fewer rows than this, because the real run takes a moment.
FEW_ROWS = 5_000


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a run, estimated or measured.

    Attributes:
        seconds: from its first statement to its report.
        wal_bytes: WAL that the whole server writes in that time.
        growth_bytes: by how much tables and indexes grow.
        key_calls: keys that are fetched from another machine, independent of the number of values. The key of the
            target counts twice.
        standbys: how many standbys receive that WAL.
    """

    seconds: float
    wal_bytes: int
    growth_bytes: int
    key_calls: int
    standbys: int

    @property
    def wal_bytes_per_s(self) -> float:
        """The WAL per second that each standby must replay to keep up."""
        return self.wal_bytes / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """The result of a trial run.

    Attributes:
        cost: what the run will cost; None if there was no trial run.
        reason: why there was no trial run.
        rows: rows in the trial run; each leaves a dead row until the next vacuum.
        took_s: how long the trial run took, in seconds.
    """

    cost: Cost | None
    reason: str | None = None
    rows: int = 0
    took_s: float = 0.0


@dataclass(frozen=True, slots=True)
class VacuumCandidate:
    """A table that would gain from VACUUM, or was vacuumed.

    Attributes:
        table: the relation, `schema.name`.
        dead_rows: row versions that no transaction sees any more, as PostgreSQL counts them.
        grown_bytes: by how much the table and its indexes have grown in this run.
        vacuumed: whether it was vacuumed.
    """

    table: str
    dead_rows: int
    grown_bytes: int
    vacuumed: bool = False
