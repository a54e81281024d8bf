"""Jobs: their state, their passes, their control settings, and what they found.

The only place where a named statement of `sql/jobs.sql` meets a method. No decisions are made here.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from fluxbase_cli.errors import JobRunningError
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.events import EventStore, os_user
from fluxbase_cli.store.quarantine import MOST_LISTED, MOST_OF_A_KIND, LeftKind, LeftValues, Quarantine
from fluxbase_cli.store.queries import Statements
from fluxbase_cli.store.records import (
    UNWRITABLE,
    Job,
    JobControl,
    JobKind,
    JobState,
    NewJob,
    QuarantineEntry,
    Shard,
    StopRequest,
    Tuning,
)
from fluxbase_cli.store.relation import Relation, names_of
from fluxbase_cli.store.runners import RunnerStore
from fluxbase_cli.store.schema import LOCK_CLASS, Schema
from fluxbase_cli.store.shards import ShardStore
from fluxbase_cli.unexamined import Unexamined

#: The first half of the key of the lock that beginning a job and disabling or destroying a key take: "flxk" in ASCII.
KEY_LOCK_CLASS = 0x666C786B
#: The schema version that created the table `unexamined`.
_SCHEMA_WITH_UNEXAMINED = 3


class JobStore:
    """The progress tables over one connection, which is in autocommit unless the caller began a transaction.

    Attributes:
        schema, shards, runners, events: the other tables, over the same connection.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.schema = Schema(connection)
        self.shards = ShardStore(connection)
        self.runners = RunnerStore(connection)
        self.events = EventStore(connection)
        self._sql = Statements(connection, "jobs.sql")

    # --- jobs -----------------------------------------------------------------------------------------------------

    @staticmethod
    def _job(row: Mapping[str, Any]) -> Job:
        values = dict(row)
        values["kind"] = JobKind(values["kind"])
        values["state"] = JobState(values["state"])
        values["storage"] = tuple(values["storage"])
        values["pass_number"] = values.pop("pass")
        return Job(**values)

    def unfinished(self) -> Job | None:
        """The one unfinished job, if any."""
        rows = self._sql.rows("unfinished_job")
        return self._job(rows[0]) if rows else None

    def get(self, job: int) -> Job | None:
        """The job with that number, if any."""
        rows = self._sql.rows("get_job", job=job)
        return self._job(rows[0]) if rows else None

    def newest(self) -> int:
        """The number of the newest job; 0 if there was none."""
        return int(self._sql.rows("newest_job")[0]["id"]) if self.schema.exists() else 0

    def is_copy(self, job: int) -> bool:
        """Whether a job was begun in another database, of which this one is a copy."""
        return bool(self._sql.rows("is_copy", job=job, cluster=self._cluster())[0]["found"])

    def latest(self, limit: int) -> list[Job]:
        """The newest jobs, newest first."""
        return [self._job(row) for row in self._sql.rows("list_jobs", limit=limit)]

    def create(self, new: NewJob, *, supersede: int | None = None) -> int:
        """Record a new job with its shards.

        Args:
            new: the job.
            supersede: an unfinished job that this one supersedes.

        Returns:
            The job's number.

        Raises:
            JobRunningError: another process began a job at the same moment.
        """
        try:
            with self._connection.transaction():
                if supersede is not None:
                    self._sql.rows(
                        "set_state", job=supersede, state=JobState.SUPERSEDED.value, error=None, remaining=None
                    )
                if new.number is not None:
                    self._sql.rows("number_from", number=new.number)
                row = self._sql.rows(
                    "create_job",
                    kind=new.kind.value,
                    from_version=new.from_version,
                    to_version=new.to_version,
                    reason=new.reason,
                    fingerprints=Jsonb(dict(new.fingerprints)),
                    catalogue=new.catalogue,
                    full_census=new.full_census,
                    total_rows=new.total_rows,
                )[0]
                job = int(row["id"])
                self.shards.create(job, new.shard_layouts)
                return job
        except psycopg.errors.UniqueViolation:
            raise JobRunningError(
                "another job was begun on this database at this moment",
                hint="`--join` works on it too; `fluxbase-cli secrets status` shows it.",
            ) from None

    def set_state(self, job: int, state: JobState, *, error: str | None = None, remaining: int | None = None) -> None:
        """Move an unfinished job to another state."""
        self._sql.rows("set_state", job=job, state=state.value, error=error, remaining=remaining)

    # --- control ---------------------------------------------------------------------------------------------------

    def control(self, job: int, runner: int = 0) -> JobControl:
        """The control settings of a job.

        Args:
            job: its number.
            runner: the runner that asks, for its place among the others; 0 if it is none.
        """
        rows = self._sql.rows("control", job=job, runner=runner, lock_class=LOCK_CLASS)
        return JobControl(**rows[0]) if rows else JobControl()

    def pause(self, job: int, reason: str | None) -> None:
        """Pause a job, and record who did. If it is paused already, nothing changes."""
        self._sql.rows("pause", job=job, by=_here(), reason=reason)

    def resume(self, job: int) -> None:
        """End the pause of a job, and lift its stop."""
        self._sql.rows("resume", job=job)

    def stop(self, job: int, reason: str | None) -> bool:
        """Request that the job ends on all machines, and record who did. Return False if the job has ended already."""
        return bool(self._sql.rows("stop", job=job, by=_here(), reason=reason))

    def lift_stop(self, job: int, seen: StopRequest) -> bool:
        """Withdraw a request to stop. Return False if it is not the job's present request."""
        return bool(self._sql.rows("lift_stop", job=job, seen=seen.at))

    def tune(self, job: int, tuning: Tuning) -> None:
        """Change the control settings of a job."""
        self._sql.rows("tune", job=job, **asdict(tuning))

    def hold_keys(self) -> None:
        """Keep every key in its state until the transaction ends: none is disabled or destroyed meanwhile.

        The lock is shared, so jobs that begin at the same moment do not wait for each other.
        """
        self._connection.execute("SET LOCAL lock_timeout = '30s'")
        self._connection.execute("SELECT pg_advisory_xact_lock_shared(%s, 0)", [KEY_LOCK_CLASS])

    def lock(self, job: int) -> tuple[int, JobState]:
        """Lock the job until the transaction ends, and return its pass and state."""
        row = self._sql.rows("lock_job", job=job)[0]
        return int(row["pass"]), JobState(row["state"])

    def next_pass(self, job: int, relations: Sequence[Relation]) -> int:
        """Begin the next catch-up pass and return its number."""
        number = int(self._sql.rows("next_pass", job=job)[0]["pass"])
        self.shards.create_catch_up(job, number, relations)
        return number

    def storage(self, job: int, relations: Sequence[Relation]) -> tuple[str, ...]:
        """The cluster and the files of the tables, and the triggers and rules that fire on our updates.

        A catch-up pass may skip our own row versions only as long as these do not change.
        """
        return tuple(self._sql.rows("storage", job=job, cluster=self._cluster(), **names_of(relations))[0]["storage"])

    def _cluster(self) -> str:
        """The number of the cluster; empty if this role may not read it."""
        may = self._sql.rows("may_name_cluster")[0]["may"]
        return str(self._sql.rows("cluster")[0]["name"]) if may else ""

    def note_storage(self, job: int, relations: Sequence[Relation]) -> None:
        """Record the present files of the relations of a new job, after its first event."""
        self._sql.rows("set_storage", job=job, storage=list(self.storage(job, relations)))

    def note_restored(self, job: int) -> None:
        """Make the catch-up passes of a resumed job open everything, and forget the numbers of its transactions.

        They may mean other transactions now. The recorded files stay as they are: a catch-up pass that was created
        before may lack a relation, so another pass must follow, and the difference makes it follow.
        """
        self.need_full_catch_up(job)
        self._sql.rows("forget_written", job=job)

    def need_full_catch_up(self, job: int) -> None:
        """Make the catch-up passes open our own writes again too."""
        self._sql.rows("need_full_census", job=job)

    def note_rewritten(self, job: int, storage: Sequence[str]) -> None:
        """Record the present files of the relations, and make the next catch-up pass open everything."""
        self._sql.rows("set_storage", job=job, storage=list(storage))
        self.need_full_catch_up(job)

    def beyond_32_bits(self) -> bool:
        """Whether the 32 bits of a row version's xmin no longer name one transaction."""
        return bool(self._sql.rows("beyond_32_bits")[0]["found"])

    def note_unexamined(self, job: int, found: Iterable[Unexamined]) -> None:
        """Record what a catch-up pass could not examine. The next pass deletes that record."""
        for each in found:
            self._sql.rows("note_unexamined", job=job, kind=each.kind.value, place=each.where, reason=each.reason)

    def unexamined(self, job: int) -> tuple[Unexamined, ...]:
        """What the job's last catch-up pass could not examine."""
        if self.schema.version() < _SCHEMA_WITH_UNEXAMINED:
            return ()
        return tuple(Unexamined.from_dict(row) for row in self._sql.rows("list_unexamined", job=job))

    def recorded(  # noqa: PLR0913  # see `ShardStore.recorded`
        self, shard: Shard, runner: int, after: Shard, *, done: bool, wrote: bool, unwritten: int
    ) -> AbstractContextManager[None]:
        """See `ShardStore.recorded`."""
        return self.shards.recorded(shard, runner, after, done=done, wrote=wrote, unwritten=unwritten)

    def quarantine(self, job: int, entries: Iterable[QuarantineEntry]) -> None:
        """Record undecryptable values."""
        with self._connection.cursor() as cursor:
            cursor.executemany(
                self._sql["quarantine"],
                [
                    {
                        "job": job,
                        "location": entry.location,
                        "row_id": entry.id,
                        "path": list(entry.path),
                        "reason": entry.reason,
                    }
                    for entry in entries
                ],
            )

    def forget_unwritable(self, job: int) -> None:
        """Delete the record of values that could not be written: others have moved them."""
        self._sql.rows("forget_unwritable", job=job, beginning=UNWRITABLE)

    def quarantined(self, job: int) -> Quarantine:
        """The values that a job left as they are: the first of each kind, and how many there are."""
        kinds = [LeftKind(**row) for row in self._sql.rows("count_kinds", job=job)]
        return Quarantine(
            (
                QuarantineEntry(row["location"], row["row_id"], tuple(row["path"]), row["reason"])
                for row in self._sql.rows("list_quarantine", job=job, of_a_kind=MOST_OF_A_KIND, most=MOST_LISTED)
            ),
            undecryptable=sum(kind.number for kind in kinds if not kind.unwritable),
            unwritable=sum(kind.number for kind in kinds if kind.unwritable),
            kinds=kinds,
        )

    def left_by_location(self, job: int) -> list[LeftValues]:
        """How many values a job left as they are, in each location that has some."""
        return [
            LeftValues(row["location"], row["undecryptable"], row["unwritable"])
            for row in self._sql.rows("count_quarantine", job=job, beginning=UNWRITABLE)
        ]


def _here() -> str:
    return f"{os_user()} on {socket.gethostname()}"
