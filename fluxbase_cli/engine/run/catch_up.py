"""How a job comes to its end: closing censuses until one finds nothing, and only then `completed`.

Whatever a running server sealed under the old key behind the workers' backs is found here and done again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from fluxbase_cli.catalogue.locations import SealedTable
from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.engine.events import Observer, PassStarted, Told
from fluxbase_cli.engine.goal import Goal
from fluxbase_cli.engine.read.snapshot import WRITERS_WAIT_S, take_snapshot
from fluxbase_cli.engine.run.resealer import Judge, Judged
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.engine.tables import limits_for
from fluxbase_cli.keyring import Keyring, Opener
from fluxbase_cli.store.connection import Access, Connection, connect_for_values
from fluxbase_cli.store.ctid import WHOLE
from fluxbase_cli.store.jobs import JobState, JobStore
from fluxbase_cli.store.open_transactions import OpenTransactions
from fluxbase_cli.store.relations import Relations, find_relations, is_still
from fluxbase_cli.store.values import Limits, News, Portions, Reader, Shape, Versions
from fluxbase_cli.unexamined import Unexamined

#: A server that goes on sealing under the old key would keep the job busy for ever; after this it is told.
MOST_CENSUSES = 8


class RelationGoneError(Exception):
    """A relation is not there any more, or another one has its name."""


class Verdict(Enum):
    """What a worker that found no shard should do."""

    AGAIN = "again"
    WAIT = "wait"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Closing:
    """Decides when the passes of a job are over; whoever finds the last shard done carries it out.

    Attributes:
        job: the job's number.
        database: where.
        goal: what values shall be.
        catalogue: the sealed tables.
        access: how values are read.
        limits: how much to read at once.
        keyring: the keys.
        last_census: the number of the census after which the job is given up.
        stop: ends waiting.
        observer: is told of each pass.
        wait_s: how long open transactions that may have written sealed values are waited for, in seconds.
        tokens: as for `Judge`.
    """

    job: int
    database: DatabaseSettings
    goal: Goal
    catalogue: Sequence[SealedTable]
    access: Access
    limits: Limits
    keyring: Keyring
    last_census: int
    stop: Stop
    observer: Observer
    wait_s: float = WRITERS_WAIT_S
    tokens: frozenset[str] = frozenset()

    def advance(self, connection: Connection, jobs: JobStore) -> Verdict:
        """Begin the next census, or close the job, if all shards of the current pass are done."""
        with connection.transaction():
            pass_number, state = jobs.lock(self.job)
            if state is not JobState.RUNNING:
                return Verdict.ENDED
            open_shards, touched = jobs.open_shards(self.job, pass_number)
            if open_shards:
                jobs.free_dead_leases(self.job)
                return Verdict.WAIT
            # Asked each time: partitions come and go, and tables are renamed, while a job runs.
            relations = find_relations(connection, self.catalogue)
            if pass_number > 0 and touched == 0 and not self._changed(jobs, relations):
                self._end(jobs, relations)
                return Verdict.ENDED
            if pass_number < self.last_census:
                self._changed(jobs, relations)
                started = jobs.next_pass(self.job, relations.shapes)
                self.observer.notify(PassStarted(started, {}, {}))
                if touched and pass_number > 0:
                    self.observer.notify(
                        Told(f"other writers changed {touched} values meanwhile; looking once more", warning=True)
                    )
                return Verdict.AGAIN
        # Where a table was rewritten in the meantime, news can't be told from old and everything is counted.
        self._changed(jobs, relations)
        return self._give_up(connection, jobs, relations)

    def _end(self, jobs: JobStore, relations: Relations) -> None:
        """Complete the job, unless something could not be examined: then nobody knows whether it is done."""
        jobs.note_unexamined(self.job, relations.unexamined)
        unexamined = jobs.unexamined(self.job)
        if not unexamined:
            jobs.set_state(self.job, JobState.COMPLETED, remaining=0)
            return
        others = f", and {len(unexamined) - 1} more" if len(unexamined) > 1 else ""
        jobs.set_state(
            self.job,
            JobState.FAILED,
            error=f"what could be examined is done, and this could not be examined: {unexamined[0]}{others}",
            remaining=0,
        )

    def versions(self, jobs: JobStore) -> Versions:
        """Which row versions the current census must open; None for all."""
        job = jobs.get(self.job)
        if job is None or job.full_census or job.news_from is None:
            return None
        return News(job.news_from, jobs.written_transactions(self.job))

    def _changed(self, jobs: JobStore, relations: Relations) -> bool:
        """Whether the next census has to open everything, because places or transaction numbers say nothing any more.

        That is so where a table was rewritten (VACUUM FULL, CLUSTER), restored or replaced, where a partition came or
        went, beyond 2**32 transactions, and where a trigger that fires on our updates has come or gone: our row
        versions may hold what it put there.
        """
        job = jobs.get(self.job)
        if job is None:
            return False
        if not job.full_census and jobs.beyond_32_bits():
            jobs.need_full_census(self.job)
            return True
        storage = jobs.storage(relations.shapes)
        if storage == job.storage:
            return False
        jobs.note_rewritten(self.job, storage)
        return True

    def _give_up(self, connection: Connection, jobs: JobStore, relations: Relations) -> Verdict:
        remaining = self._remaining(connection, jobs, relations)
        if remaining == 0:
            self._end(jobs, relations)
        else:
            jobs.set_state(
                self.job,
                JobState.FAILED,
                error="sweep after sweep another writer seals under the old key, or a trigger refuses our writing: "
                "restart the server with the new key, then run this again",
                remaining=remaining,
            )
        return Verdict.ENDED

    def _remaining(self, connection: Connection, jobs: JobStore, relations: Relations) -> int:
        """Count what is still to be moved, without writing."""
        opener, left = Opener(self.keyring), list[Unexamined]()
        found = 0
        with connect_for_values(self.database, self.access) as reading:
            for shape in relations.shapes:
                for judged in self.read_whole(
                    reading, connection, shape, Judge(shape, opener, None, self.tokens), left
                ):
                    found += sum(tally.moving(self.goal) for tally in judged.tallies)
        jobs.note_unexamined(self.job, left)
        return found

    def find(self, connection: Connection, relation: str) -> Shape | None:
        """A relation as it is now; None where it is not there any more."""
        shapes = find_relations(connection, self.catalogue).shapes
        return next((shape for shape in shapes if shape.relation == relation), None)

    def read_whole(
        self, reading: Connection, own: Connection, shape: Shape, judge: Judge, left: list[Unexamined]
    ) -> Iterator[Judged]:
        """Judge a relation as it is at one moment, a few rows at a time.

        One snapshot, so that no row can escape by moving from a page that is still to be read to one that has been.

        Args:
            reading: where to read (see `connect_for_values`), outside a transaction.
            own: another session, for the progress tables; outside a transaction.
            shape: the relation.
            judge: judges its rows.
            left: is told, at the end, what was not committed and could not be read.

        Raises:
            RelationGoneError: the relation is gone, or another one has its name.
        """
        jobs = JobStore(own)
        versions = self.versions(jobs)
        opened = self._snapshot(reading, own, shape, self.wait_s)
        try:
            if not is_still(reading, shape):
                raise RelationGoneError
            yield from self._read(reading, shape, judge, versions)
        finally:
            if not reading.closed:
                reading.execute("ROLLBACK")
        if not opened:
            return
        running = opened.still_running(own)
        if opened.ended or len(running) < len(opened.running):
            # What others wrote, and committed after the snapshot was taken.
            self._snapshot(reading, own, shape, 0.0)
            try:
                late = News(opened.since, jobs.written_transactions(self.job))
                yield from self._read(reading, shape, judge, late)
            finally:
                if not reading.closed:
                    reading.execute("ROLLBACK")
        left += [writer.unexamined() for writer in running]

    def _snapshot(self, reading: Connection, own: Connection, shape: Shape, wait_s: float) -> OpenTransactions:
        return take_snapshot(reading, own, [shape], self.access, stop=self.stop, observer=self.observer, wait_s=wait_s)

    def _read(self, connection: Connection, shape: Shape, judge: Judge, versions: Versions) -> Iterator[Judged]:
        portions = Portions(Reader(shape), WHOLE, limits_for(shape, self.limits), versions)
        while (rows := portions.next_rows(connection)) is not None:
            yield judge.judge(rows)
