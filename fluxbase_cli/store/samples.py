"""How far a job was over time, and what it waited for: for its report.

The only place where a named statement of `sql/samples.sql` meets a method.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.queries import Statements
from fluxbase_cli.store.schema import Schema

#: The schema version that created these tables.
_SCHEMA_WITH_SAMPLES = 9
#: The time between two samples as long as a job has few, in seconds.
EVERY_S = 5.0
#: From this number on, every second sample of a job is deleted.
MOST_SAMPLES = 240


class WaitCause(StrEnum):
    """What a job can wait for."""

    #: An operator has paused the job.
    PAUSED = "paused"
    #: A standby is further behind than --max-replica-lag allows.
    STANDBY = "standby"
    #: A failure that may end soon, before the next attempt: a lost connection, a lock of another session.
    RETRY = "retry"


@dataclass(frozen=True, slots=True)
class Sample:
    """How far a job was at a moment.

    Attributes:
        at: when, by the server's clock.
        pass_number: its pass.
        rows_done: rows that the main pass had processed.
        values_done: values that all passes had read.
    """

    at: datetime
    pass_number: int
    rows_done: int
    values_done: int


@dataclass(frozen=True, slots=True)
class Waits:
    """How often and how long a job waited for one cause.

    Attributes:
        cause: as in `WaitCause`; a later release may have recorded other causes.
        times: how often.
        seconds: how long, added up over all that waited: processes, and threads for `retry`.
    """

    cause: str
    times: int
    seconds: float


class SampleStore:
    """The tables over one connection, in autocommit unless the caller began a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sql = Statements(connection, "samples.sql")

    def has_tables(self) -> bool:
        """Whether the tables exist in this database. Releases before 0.3 did not have them."""
        return Schema(self._connection).version() >= _SCHEMA_WITH_SAMPLES

    def add(self, job: int, *, at_once: bool = False) -> bool:
        """Add a sample, if it is time for one.

        Args:
            job: the job's number.
            at_once: add it at any time: the job begins or ends.

        Returns:
            Whether one was added.
        """
        if not self._sql.rows("add_sample", job=job, every_s=EVERY_S, at_once=at_once):
            return False
        with self._connection.transaction():
            if self._sql.rows("thin_samples", job=job, most=MOST_SAMPLES):
                self._sql.rows("sample_less_often", job=job)
        return True

    def add_wait(self, job: int, runner: int, waits: Waits) -> None:
        """Add to what a runner has waited for."""
        self._sql.rows("add_wait", job=job, runner=runner, cause=waits.cause, times=waits.times, seconds=waits.seconds)

    def of_job(self, job: int) -> tuple[Sample, ...]:
        """The samples of a job, the oldest first."""
        return tuple(
            Sample(row["at"], row["pass"], row["rows_done"], row["values_done"])
            for row in self._sql.rows("list_samples", job=job)
        )

    def waits(self, job: int) -> tuple[Waits, ...]:
        """What the job has waited for, by cause."""
        return tuple(Waits(**row) for row in self._sql.rows("list_waits", job=job))
