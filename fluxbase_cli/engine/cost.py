"""What a run costs, foretold or measured, and what it leaves to be tidied."""

from __future__ import annotations

from dataclasses import dataclass

#: A relation with fewer rows than this is not rehearsed: it is done in a moment.
FEW_ROWS = 5_000


@dataclass(frozen=True, slots=True)
class Cost:
    """What a run costs, or has cost.

    Attributes:
        seconds: from its first statement to its account.
        wal_bytes: WAL that the whole server writes meanwhile.
        growth_bytes: by how much tables and indexes grow.
        key_calls: keys that are fetched from elsewhere, however many values there are; that of the target twice.
        standbys: how many standbys are sent that WAL.
    """

    seconds: float
    wal_bytes: int
    growth_bytes: int
    key_calls: int
    standbys: int

    @property
    def wal_bytes_per_s(self) -> float:
        """What each standby must keep up with."""
        return self.wal_bytes / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a rehearsal came to.

    Attributes:
        cost: what the run will cost; None where there was no rehearsal.
        reason: why there was none.
        rows: rows that were rehearsed; each leaves a dead one behind until the next vacuum.
        took_s: how long the rehearsal took, in seconds.
    """

    cost: Cost | None
    reason: str | None = None
    rows: int = 0
    took_s: float = 0.0


@dataclass(frozen=True, slots=True)
class VacuumCandidate:
    """A table that would gain from VACUUM, or has.

    Attributes:
        table: the relation, `schema.name`.
        dead_rows: row versions that nobody sees any more, as PostgreSQL counts them.
        grown_bytes: by how much the table and its indexes have grown in this run.
        vacuumed: whether that was done.
    """

    table: str
    dead_rows: int
    grown_bytes: int
    vacuumed: bool = False
