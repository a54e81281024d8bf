"""The progress tables: jobs, shards and their leases, runners, quarantine and events.

The only place where a named statement of `sql/jobs.sql` meets a method. Nothing here decides anything.
"""

from __future__ import annotations

import getpass
import os
import re
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from fluxbase_cli import __version__
from fluxbase_cli.counts import Counts
from fluxbase_cli.errors import JobRunningError, PreflightRefusedError
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.ctid import Ctid
from fluxbase_cli.store.queries import named_queries, read_sql
from fluxbase_cli.store.values import Relation
from fluxbase_cli.unexamined import Unexamined

SCHEMA = "fluxbase_rotation"
#: The version that `sql/schema.sql` makes, as the schema's comment names it. Raise it with every change of the files
#: below: the next job then runs them again on a database that has an earlier one.
SCHEMA_VERSION = 3
_SCHEMA_WITH_UNEXAMINED = 3
#: What makes the tables, in order. Every statement in them can be run again, and adds to what is there only.
_SCHEMA_FILES = ("schema.sql",)
_COMMENTED_VERSION = re.compile(r"\bversion (\d+)$")
#: The first half of our advisory locks' keys: "flux" in ASCII. The second half is the runner's number.
LOCK_CLASS = 0x666C7578
#: The first half of the key of the lock between jobs that begin and keys that end: "flxk" in ASCII.
KEY_LOCK_CLASS = 0x666C786B
#: How long a shard stays with a runner that is not heard of any more, in seconds.
LEASE_S = 30.0

ColumnCounts = Mapping[str, Counts]


class JobKind(StrEnum):
    """What a job is for; the engine is the same."""

    RE_ENCRYPT = "re-encrypt"
    ROLLBACK = "rollback"


class JobState(StrEnum):
    """Where a job stands. The first three are unfinished; there is one unfinished job at most."""

    RUNNING = "running"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    COMPLETED = "completed"
    SUPERSEDED = "superseded"


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

    @property
    def paused(self) -> bool:
        """Whether its runners wait, or would."""
        return self.paused_at is not None and self.finished_at is None


@dataclass(frozen=True, slots=True)
class JobControl:
    """What operators ask of a job while it runs. None: nothing.

    Attributes:
        paused_at, paused_by, pause_reason: since when, by whom and why it is paused.
        max_rate_per_s: values a second, of all its runners together.
        batch_rows: rows in a batch.
        max_lag_s, max_lag_bytes: how far standbys may fall behind.
        runners: how many runners share the rate.
    """

    paused_at: datetime | None = None
    paused_by: str | None = None
    pause_reason: str | None = None
    max_rate_per_s: float | None = None
    batch_rows: int | None = None
    max_lag_s: float | None = None
    max_lag_bytes: int | None = None
    runners: int = 1


@dataclass(frozen=True, slots=True)
class Tuning:
    """Changes of a job's orders: None leaves one as it is, 0 lifts it. See `JobControl`."""

    max_rate_per_s: float | None = None
    batch_rows: int | None = None
    max_lag_s: float | None = None
    max_lag_bytes: int | None = None

    def __bool__(self) -> bool:
        return bool(self.given())

    def given(self) -> dict[str, float]:
        """The changes by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True)
class ShardLayout:
    """How a relation is cut into shards.

    Attributes:
        blocks: pages of a shard.
        lanes: how often a shard is gone through, see `fluxbase_cli.store.values.BeforeJob`.
    """

    blocks: int
    lanes: int


@dataclass(frozen=True, slots=True)
class NewJob:
    """What a job is made of.

    Attributes:
        shard_layouts: how each relation is cut into shards.
        number: the job's number; None for the next one.
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
    """A leased part of a relation and how far it is done.

    Attributes:
        table: as in the catalogue, `schema.name`.
        relation: the table itself, or one of its partitions.
        first: the place behind which it begins.
        upto: the place where it ends.
        lanes, lane: how often it is gone through, and for the how manieth time now.
        cursor: in this stride all up to this place is done.
        counts: what the done part has come to, by column.
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
    """A value that no key opened: where it is and why, never what it is."""

    location: str
    id: UUID
    path: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class ShardTotal:
    """What one shard has come to.

    Attributes:
        size: of the shard, in places.
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


class LeaseLostError(Exception):
    """The shard was given to another runner; the batch in hand must be rolled back."""


def _load_counts(data: Mapping[str, Mapping[str, Any]]) -> ColumnCounts:
    return {column: Counts.from_dict(dict(counts)) for column, counts in data.items()}


def _dump_counts(counts: ColumnCounts) -> Jsonb:
    return Jsonb({column: found.as_dict() for column, found in counts.items()})


def os_user() -> str:
    """The user of this machine's system, as events name it."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid())


class JobStore:
    """The progress tables over one connection, which is in autocommit unless the caller began a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sql = named_queries("jobs.sql")

    def _rows(self, name: str, **arguments: Any) -> list[dict[str, Any]]:  # noqa: ANN401  # SQL parameters
        with self._connection.cursor(row_factory=dict_row) as cursor:
            cursor.execute(self._sql[name], arguments)
            return cursor.fetchall() if cursor.description else []

    # --- the schema -----------------------------------------------------------------------------------------------

    def exists(self) -> bool:
        """Whether the progress tables are there, be it as an earlier version of fluxbase-cli made them."""
        return self._schema_version() > 0

    def _schema_version(self) -> int:
        """The version that the schema's comment names; 1 where tables have none, 0 where there are no tables."""
        row = self._connection.execute(
            "SELECT obj_description(n.oid, 'pg_namespace') FROM pg_namespace AS n "
            "JOIN pg_tables AS t ON t.schemaname = n.nspname AND t.tablename = 'event' WHERE n.nspname = %s",
            [SCHEMA],
        ).fetchone()
        if row is None:
            return 0
        named = _COMMENTED_VERSION.search(row[0] or "")
        return int(named[1]) if named else 1

    def ensure_schema(self) -> None:
        """Create the progress tables where they are missing, and bring those of an earlier version up to date.

        Tables of a later version are left alone: versions only add.

        Raises:
            PreflightRefusedError: as for `refuse_if_no_schema`.
        """
        if self._schema_version() >= SCHEMA_VERSION:
            return
        self.refuse_if_no_schema()
        with self._connection.transaction():
            # Two runners at once would collide in the catalogue.
            self._connection.execute("SELECT pg_advisory_xact_lock(%s, 0)", [LOCK_CLASS])
            version = self._schema_version()
            if version < SCHEMA_VERSION:
                self._connection.execute(_statements(create_schema=version == 0).encode())

    def refuse_if_no_schema(self) -> None:
        """Check that the progress tables are there, or can be created or brought up to date; touches nothing.

        Raises:
            PreflightRefusedError: the role may not do that; the hint is the SQL for someone who may.
        """
        version = self._schema_version()
        if version >= SCHEMA_VERSION:
            return
        may_create, owns, role, database = self._connection.execute(
            "SELECT has_database_privilege(current_user, current_database(), 'CREATE'), "
            "coalesce((SELECT pg_has_role(nspowner, 'USAGE') FROM pg_namespace WHERE nspname = %s), false), "
            "current_user::text, current_database()::text",
            [SCHEMA],
        ).fetchone() or (False, False, "?", "?")
        if owns if version else may_create:
            return
        tables = "".join(f"    {line}\n" if line else "\n" for line in _statements(create_schema=False).splitlines())
        if version:
            raise PreflightRefusedError(
                f"the tables in schema {SCHEMA} are those of an earlier version, and role {role} does not own them",
                hint=f"Have their owner bring them up to date:\n\n{tables}",
            )
        # CREATE SCHEMA asks for the privilege even where the schema exists; the hint has it created before.
        raise PreflightRefusedError(
            f"role {role} may not create the schema {SCHEMA}, where progress is kept",
            hint=f"Have someone who may run either\n\n"
            f'    GRANT CREATE ON DATABASE "{database}" TO "{role}";\n\n'
            f"or, to create the tables on the role's behalf, as a member of it:\n\n"
            f'    CREATE SCHEMA {SCHEMA} AUTHORIZATION "{role}";\n    SET ROLE "{role}";\n{tables}',
        )

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
        """The one job that has not come to its end, if any."""
        rows = self._rows("unfinished_job")
        return self._job(rows[0]) if rows else None

    def get(self, job: int) -> Job | None:
        """The job of that number, if any."""
        rows = self._rows("get_job", job=job)
        return self._job(rows[0]) if rows else None

    def newest(self) -> int:
        """The number of the newest job; 0 where there was none."""
        return int(self._rows("newest_job")[0]["id"]) if self.exists() else 0

    def is_copy(self, job: int) -> bool:
        """Whether a job was begun in another database, of which this one is a copy."""
        return bool(self._rows("is_copy", job=job)[0]["found"])

    def of_run(self, run_name: str) -> Job | None:
        """The job that processes of that name worked on last, if any."""
        rows = self._rows("job_of_run", run_name=run_name)
        return self.get(int(rows[0]["job"])) if rows else None

    def latest(self, limit: int) -> list[Job]:
        """The newest jobs, newest first."""
        return [self._job(row) for row in self._rows("list_jobs", limit=limit)]

    def create(self, new: NewJob, *, supersede: int | None = None) -> int:
        """Record a new job with its shards.

        Args:
            new: the job.
            supersede: an unfinished job that this one replaces.

        Returns:
            The job's number.

        Raises:
            JobRunningError: somebody else began one at the same moment.
        """
        try:
            with self._connection.transaction():
                if supersede is not None:
                    self._rows("set_state", job=supersede, state=JobState.SUPERSEDED.value, error=None, remaining=None)
                relations = tuple(new.shard_layouts)
                if new.number is not None:
                    self._rows("number_from", number=new.number)
                row = self._rows(
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
                self._rows(
                    "create_shards",
                    job=job,
                    tables=[relation.table.qualified for relation in relations],
                    relations=[relation.qualified for relation in relations],
                    shard_blocks=[cut.blocks for cut in new.shard_layouts.values()],
                    lanes=[cut.lanes for cut in new.shard_layouts.values()],
                    **_names(relations),
                )
                self._rows("set_storage", job=job, storage=list(self.storage(relations)))
                return job
        except psycopg.errors.UniqueViolation:
            raise JobRunningError(
                "another job was begun at this moment",
                hint="`--join` helps it; `fluxbase-cli secrets status` shows it.",
            ) from None

    def set_state(self, job: int, state: JobState, *, error: str | None = None, remaining: int | None = None) -> None:
        """Move an unfinished job to another state."""
        self._rows("set_state", job=job, state=state.value, error=error, remaining=remaining)

    def leave(self, job: int, runner: int, state: JobState, error: str | None) -> None:
        """Mark the job as stopped, unless another runner is still at work on it."""
        self._rows("interrupt_if_last", job=job, runner=runner, state=state.value, error=error, lock_class=LOCK_CLASS)

    def rows_done(self, job: int) -> int:
        """How many rows the main pass has done."""
        return int(self._rows("progress", job=job)[0]["rows_done"])

    # --- orders ---------------------------------------------------------------------------------------------------

    def orders(self, job: int) -> JobControl:
        """What operators ask of a job."""
        rows = self._rows("orders", job=job, lock_class=LOCK_CLASS)
        return JobControl(**rows[0]) if rows else JobControl()

    def pause(self, job: int, reason: str | None) -> None:
        """Ask all runners of a job to wait; who asks is added here. One that is paused stays as it was."""
        self._rows("pause", job=job, by=f"{os_user()} on {socket.gethostname()}", reason=reason)

    def resume(self, job: int) -> None:
        """Let the runners of a job go on."""
        self._rows("resume", job=job)

    def tune(self, job: int, tuning: Tuning) -> None:
        """Change how a job is to go on."""
        self._rows("tune", job=job, **asdict(tuning))

    def hold_keys(self) -> None:
        """Until the transaction's end, keep every key in its state: none is disabled or destroyed meanwhile.

        Jobs that begin at one moment do not wait for one another.
        """
        self._connection.execute("SET LOCAL lock_timeout = '30s'")
        self._connection.execute("SELECT pg_advisory_xact_lock_shared(%s, 0)", [KEY_LOCK_CLASS])

    # --- passes ---------------------------------------------------------------------------------------------------

    def lock(self, job: int) -> tuple[int, JobState]:
        """Lock the job until the transaction's end and return its pass and state."""
        row = self._rows("lock_job", job=job)[0]
        return int(row["pass"]), JobState(row["state"])

    def open_shards(self, job: int, pass_number: int) -> tuple[int, int]:
        """How many shards of a pass are not done, and how much it has written, found moved, or could not write."""
        row = self._rows("open_shards", job=job, **{"pass": pass_number})[0]
        return int(row["open_shards"]), int(row["touched"])

    def next_pass(self, job: int, relations: Sequence[Relation]) -> int:
        """Begin the next closing census and return its number."""
        number = int(self._rows("next_pass", job=job)[0]["pass"])
        self._rows(
            "census_shards",
            job=job,
            tables=[relation.table.qualified for relation in relations],
            relations=[relation.qualified for relation in relations],
            **{"pass": number},
        )
        return number

    def repeat_census(self, job: int) -> None:
        """Have the present closing census look at everything again; nothing in the main pass.

        It stays the same census and not the next one, which would pass over what this one has not come to yet.
        """
        self._rows("repeat_census", job=job)

    def relations(self, job: int) -> frozenset[str]:
        """The relations that the job's main pass goes through."""
        return frozenset(row["relation"] for row in self._rows("relations", job=job))

    def storage(self, relations: Sequence[Relation]) -> tuple[str, ...]:
        """What must stay for a census to pass over our row versions: the tables' files, and what fires on them."""
        return tuple(self._rows("storage", **_names(relations))[0]["storage"])

    def need_full_census(self, job: int) -> None:
        """Have the closing censuses open our own writes again too."""
        self._rows("need_full_census", job=job)

    def note_rewritten(self, job: int, storage: Sequence[str]) -> None:
        """Take note of where the relations are now, and have the next census open everything."""
        self._rows("set_storage", job=job, storage=list(storage))
        self.need_full_census(job)

    def beyond_32_bits(self) -> bool:
        """Whether the numbers of transactions that row versions show no longer name one transaction each."""
        return bool(self._rows("beyond_32_bits")[0]["found"])

    def note_unexamined(self, job: int, found: Iterable[Unexamined]) -> None:
        """Record what a closing census could not examine; the next pass forgets it."""
        for each in found:
            self._rows("note_unexamined", job=job, kind=each.kind.value, place=each.where, reason=each.reason)

    def unexamined(self, job: int) -> tuple[Unexamined, ...]:
        """What the job's last closing census could not examine."""
        if self._schema_version() < _SCHEMA_WITH_UNEXAMINED:
            return ()
        return tuple(Unexamined.from_dict(row) for row in self._rows("list_unexamined", job=job))

    def has_relation(self, shard: Shard) -> bool:
        """Whether a shard's relation is there, under its name."""
        schema, _, name = shard.relation.partition(".")
        return bool(self._rows("has_relation", schema=schema, relation=name)[0]["found"])

    def abandon(self, job: int, shard: int, runner: int) -> None:
        """End a shard whose relation is not there any more; a census of everything that is there follows."""
        with self._connection.transaction():
            self._rows("abandon_shard", shard=shard, runner=runner)
            self.need_full_census(job)

    def written_transactions(self, job: int) -> str:
        """The transaction ids of all batches that wrote, as an array's text."""
        row = self._connection.execute(self._sql["written_xids"], {"job": job}).fetchone()
        return str(row[0]) if row else "{}"

    # --- shards ---------------------------------------------------------------------------------------------------

    @staticmethod
    def _shard(row: Mapping[str, Any]) -> Shard:
        return Shard(
            row["id"],
            row["pass"],
            row["table_name"],
            row["relation"],
            Ctid.unpack(row["first"]),
            Ctid.unpack(row["upto"]),
            row["strides"],
            row["stride"],
            Ctid.unpack(row["cursor"]),
            row["rows_done"],
            _load_counts(row["counts"]),
        )

    def lease(self, job: int, runner: int) -> Shard | None:
        """Take a shard of the current pass that nobody works on."""
        rows = self._rows("lease_shard", job=job, runner=runner, lease_s=LEASE_S)
        return self._shard(rows[0]) if rows else None

    def reread(self, shard: int, runner: int) -> Shard | None:
        """A leased shard as the database has it; None when it is done or somebody else's."""
        rows = self._rows("reread_shard", shard=shard, runner=runner)
        return self._shard(rows[0]) if rows else None

    @contextmanager
    def recorded(  # noqa: PLR0913  # what a batch has come to
        self, shard: Shard, runner: int, after: Shard, *, done: bool, wrote: bool, unwritten: int
    ) -> Iterator[None]:
        """Record a batch in the transaction of its values, and commit it behind the block: in one round trip.

        Inside the block nothing is committed; the record itself may still be on its way.

        Args:
            shard: as it was before the batch.
            runner: who holds its lease.
            after: as it is now.
            done: whether nothing is left of it.
            wrote: whether the transaction wrote values.
            unwritten: rows that were to be written and could not be.

        Raises:
            LeaseLostError: the shard is another runner's now; nothing was committed: roll back.
        """
        arguments = {
            "shard": shard.id,
            "runner": runner,
            "was_lane": shard.lane,
            "was_cursor": shard.cursor.packed,
            "was_rows_done": shard.rows_done,
            "was_counts": _dump_counts(shard.counts),
            "lane": after.lane,
            "cursor": after.cursor.packed,
            "done": done,
            "rows_done": after.rows_done,
            "counts": _dump_counts(after.counts),
            "lease_s": LEASE_S,
            "wrote": wrote,
            "unwritten": unwritten,
        }
        try:
            with self._connection.pipeline():
                self._connection.execute(self._sql["record_batch"], arguments, prepare=True)
                yield
                # Not prepared: where the record is refused the server never sees it, and the driver thinks it has.
                self._connection.execute("COMMIT", prepare=False)
        except psycopg.errors.DivisionByZero:
            # How the statement says it, so that the server refuses the COMMIT that is sent along.
            raise LeaseLostError from None

    def give_back(self, shard: int, runner: int) -> None:
        """Let others lease a shard, if it is still the runner's."""
        self._rows("give_back", shard=shard, runner=runner)

    def free_dead_leases(self, job: int) -> None:
        """Take the shards back from runners whose sessions are gone."""
        self._rows("free_dead_leases", job=job, lock_class=LOCK_CLASS)

    def totals(self, job: int) -> list[ShardTotal]:
        """What each shard has come to."""
        return [
            ShardTotal(
                row["pass"],
                row["table_name"],
                row["done"],
                row["rows_done"],
                _load_counts(row["counts"]),
                row["size"],
                row["share"],
            )
            for row in self._rows("shard_totals", job=job)
        ]

    # --- runners --------------------------------------------------------------------------------------------------

    def register_runner(self, job: int, workers: int) -> int:
        """Record this process as a runner of the job and return its number."""
        return int(
            self._rows(
                "register_runner",
                job=job,
                host=socket.gethostname(),
                pid=os.getpid(),
                os_user=os_user(),
                version=__version__,
                workers=workers,
            )[0]["number"]
        )

    def take_runner_lock(self, runner: int) -> bool:
        """Take the advisory lock that says "alive" for as long as this session lasts."""
        row = self._connection.execute(
            self._sql["take_runner_lock"], {"lock_class": LOCK_CLASS, "runner": runner}
        ).fetchone()
        return bool(row and row[0])

    def heartbeat(self, runner: int, shards: Iterable[int]) -> None:
        """Say that the runner lives, and renew the leases of the shards that its workers have in hand."""
        self._rows("heartbeat", runner=runner, shards=[*shards], lease_s=LEASE_S)

    def end_runner(self, job: int, runner: int) -> None:
        """Give back the runner's shards and note its end."""
        self._rows("end_runner", job=job, runner=runner)

    def runners(self, job: int) -> list[Runner]:
        """All processes that ever worked on the job."""
        return [Runner(**row) for row in self._rows("runners", job=job, lock_class=LOCK_CLASS)]

    def now(self) -> datetime:
        """The time by the server's clock, which all times here are by."""
        moment: datetime = self._rows("now")[0]["now"]
        return moment

    # --- quarantine and events ------------------------------------------------------------------------------------

    def quarantine(self, job: int, entries: Iterable[QuarantineEntry]) -> None:
        """Record values that no key opened."""
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

    def quarantined(self, job: int) -> list[QuarantineEntry]:
        """The values that no key opened."""
        return [
            QuarantineEntry(row["location"], row["row_id"], tuple(row["path"]), row["reason"])
            for row in self._rows("list_quarantine", job=job)
        ]

    def add_event(
        self, what: str, *, job: int | None = None, reason: str | None = None, detail: Mapping[str, Any] | None = None
    ) -> None:
        """Append to the events: who (both of the system and of the database), when and where are added here."""
        self._rows(
            "add_event",
            job=job,
            os_user=os_user(),
            host=socket.gethostname(),
            what=what,
            reason=reason,
            detail=Jsonb(dict(detail or {})),
        )

    def events(self, job: int) -> Sequence[Event]:
        """The events of one job, in order."""
        return [Event(**row) for row in self._rows("list_events", job=job)]


def _names(relations: Sequence[Relation]) -> dict[str, list[str]]:
    return {"schemas": [relation.schema for relation in relations], "names": [relation.name for relation in relations]}


def _statements(*, create_schema: bool) -> str:
    """The statements that make the tables, or bring them up to date.

    Args:
        create_schema: make the schema too. CREATE SCHEMA asks for the privilege even where there is nothing to do.
    """
    text = "\n".join(read_sql(name).decode() for name in _SCHEMA_FILES)
    text = text if create_schema else text.replace(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA};\n", "")
    # Last, so that a comment of this version means that all of it is there.
    return (
        f"{text}\nCOMMENT ON SCHEMA {SCHEMA} IS 'fluxbase-cli: progress of key rotations, version {SCHEMA_VERSION}';\n"
    )
