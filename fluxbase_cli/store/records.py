"""The rows of the progress tables as data: jobs, shards, runners, quarantine and events."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from fluxbase_cli.counts import Counts
from fluxbase_cli.printable import printable
from fluxbase_cli.store.ctid import Ctid
from fluxbase_cli.store.relation import Relation

#: How the reason of a value begins that a key opens, but that could not be written.
UNWRITABLE = "can't be written: "

ColumnCounts = Mapping[str, Counts]


class JobKind(StrEnum):
    """What a job is for. Both kinds run on the same engine."""

    RE_ENCRYPT = "re-encrypt"
    ROLLBACK = "rollback"


class JobState(StrEnum):
    """The state of a job. The first three are unfinished. At most one job is unfinished."""

    RUNNING = "running"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    COMPLETED = "completed"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True)
class StopRequest:
    """A request of `secrets stop` to end a job on all machines.

    Attributes:
        at: when it was made.
        by: the user and the host.
        reason: why; None if no reason was given.
    """

    at: datetime
    by: str
    reason: str | None = None

    def __str__(self) -> str:
        return f"stopped {self.by_and_why}"

    @property
    def sentence(self) -> str:
        """By whom and why it was stopped, with a capital letter."""
        return f"Stopped {self.by_and_why}"

    @property
    def by_and_why(self) -> str:
        """By whom and why."""
        return printable(f"by {self.by}" + (f": {self.reason}" if self.reason else ""))

    @classmethod
    def from_columns(cls, at: datetime | None, by: str | None, reason: str | None) -> StopRequest | None:
        """The request in the columns of a job; None if there is none."""
        return None if at is None else cls(at, by or "somebody", reason)


@dataclass(frozen=True, slots=True)
class Job:
    """One row of `job`."""

    id: int
    kind: JobKind
    state: JobState
    from_version: int | None
    to_version: int
    reason: str | None
    fingerprints: Mapping[str, str]
    catalogue: str
    pass_number: int
    began: int
    horizon: int
    news_from: int | None
    storage: tuple[str, ...]
    full_census: bool
    total_rows: int
    remaining: int | None
    error: str | None
    created_at: datetime
    finished_at: datetime | None
    paused_at: datetime | None = None
    paused_by: str | None = None
    stopped_at: datetime | None = None
    stopped_by: str | None = None
    stop_reason: str | None = None

    @property
    def command(self) -> str:
        """The command that resumes the job. Options that were given beside the versions are not recorded."""
        words = ["fluxbase-cli", "secrets", self.kind.value]
        if self.from_version is not None:
            words += ["--from-version", str(self.from_version)]
        words += ["--to-version", str(self.to_version)]
        if self.kind is JobKind.ROLLBACK:
            words += ["--reason", self.reason or ""]
        return printable(shlex.join(words))

    @property
    def paused(self) -> bool:
        """Whether an operator has paused the job."""
        return self.paused_at is not None and self.finished_at is None

    @property
    def stop(self) -> StopRequest | None:
        """The request to stop the unfinished job, if there is one."""
        if self.finished_at is not None:
            return None
        return StopRequest.from_columns(self.stopped_at, self.stopped_by, self.stop_reason)


@dataclass(frozen=True, slots=True)
class JobControl:
    """The control settings of a job. None: not set.

    Attributes:
        paused_at, paused_by, pause_reason: since when, by whom and why it is paused.
        max_rate_per_s: values per second, of all its runners together.
        batch_rows: rows in a batch.
        max_lag_s, max_lag_bytes: how far standbys may be behind.
        stopped_at, stopped_by, stop_reason: when, by whom and why it was stopped.
        workers: how many workers all its runners have together.
        running: whether it has not ended.
        runners: how many runners share the rate and the workers.
        place: how many of them come before the runner that asks.
    """

    paused_at: datetime | None = None
    paused_by: str | None = None
    pause_reason: str | None = None
    max_rate_per_s: float | None = None
    batch_rows: int | None = None
    max_lag_s: float | None = None
    max_lag_bytes: int | None = None
    stopped_at: datetime | None = None
    stopped_by: str | None = None
    stop_reason: str | None = None
    workers: int | None = None
    running: bool = True
    runners: int = 1
    place: int = 0

    @property
    def workers_here(self) -> int | None:
        """The share of the workers of the runner that asks; 0 if there are more runners than workers. None: not set."""
        if self.workers is None:
            return None
        least, more = divmod(self.workers, max(1, self.runners))
        return least + (self.place < more)

    @property
    def stop(self) -> StopRequest | None:
        """The request to stop the job, if there is one."""
        return StopRequest.from_columns(self.stopped_at, self.stopped_by, self.stop_reason)


@dataclass(frozen=True, slots=True)
class Tuning:
    """Changes of a job's control settings: None keeps a setting as it is, 0 removes it. See `JobControl`."""

    max_rate_per_s: float | None = None
    batch_rows: int | None = None
    max_lag_s: float | None = None
    max_lag_bytes: int | None = None
    workers: int | None = None

    def __bool__(self) -> bool:
        return bool(self.given())

    def given(self) -> dict[str, float]:
        """The changes by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True)
class ShardLayout:
    """How a relation is divided into shards.

    Attributes:
        blocks: pages of a shard.
        lanes: the number of lanes of a shard, see `fluxbase_cli.engine.run.shard_reader`.
    """

    blocks: int
    lanes: int


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job before it is recorded.

    Attributes:
        shard_layouts: how each relation is divided into shards.
        number: the job's number; None for the next number.
    """

    kind: JobKind
    from_version: int | None
    to_version: int
    reason: str | None
    fingerprints: Mapping[str, str]
    catalogue: str
    full_census: bool
    total_rows: int
    shard_layouts: Mapping[Relation, ShardLayout]
    number: int | None = None


@dataclass(frozen=True, slots=True)
class Shard:
    """A leased range of pages of a relation, and how far it is done.

    Attributes:
        table: as in the catalogue, `schema.name`.
        relation: the table itself, or one of its partitions.
        first: it begins after this ctid.
        upto: it ends before this ctid.
        lanes, lane: the number of its lanes, and the present lane, from 0.
        cursor: in this lane all rows up to this ctid are done.
        counts: the counts of the part that is done, by column.
    """

    id: int
    pass_number: int
    table: str
    relation: str
    first: Ctid
    upto: Ctid
    lanes: int
    lane: int
    cursor: Ctid
    rows_done: int
    counts: ColumnCounts


@dataclass(frozen=True, slots=True)
class Runner:
    """One process on a job."""

    number: int
    job: int
    host: str
    pid: int
    os_user: str
    db_user: str
    version: str
    workers: int
    started_at: datetime
    heartbeat_at: datetime
    ended_at: datetime | None
    alive: bool


@dataclass(frozen=True, slots=True)
class QuarantineEntry:
    """A value that was left as it is: where it is and why, never the value.

    It is undecryptable, or it could not be written.
    """

    location: str
    id: UUID
    path: tuple[str, ...]
    reason: str

    @property
    def unwritable(self) -> bool:
        """Whether a key opens the value, but the database refuses the new one."""
        return self.reason.startswith(UNWRITABLE)


@dataclass(frozen=True, slots=True)
class ShardTotal:
    """The progress of one shard.

    Attributes:
        size: the size of the shard, in packed ctids.
        share: how much of it is done, from 0 to 1.
    """

    pass_number: int
    table: str
    done: bool
    rows_done: int
    counts: ColumnCounts
    size: int
    share: float


@dataclass(frozen=True, slots=True)
class Event:
    """One row of the append-only `event`."""

    at: datetime
    job: int | None
    db_user: str
    os_user: str
    host: str
    what: str
    reason: str | None
    detail: Mapping[str, Any]
