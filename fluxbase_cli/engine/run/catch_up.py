"""Ends a job: catch-up passes until one finds nothing, and only then the state `completed`.

A catch-up pass finds and reseals the values that a running server sealed under the old key during the job.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from enum import Enum

from fluxbase_cli.counts import worded
from fluxbase_cli.engine.events import Message, Observer, PassStarted
from fluxbase_cli.engine.read.snapshot import take_snapshot
from fluxbase_cli.engine.run.context import RunContext
from fluxbase_cli.engine.run.resealer import ResealResult, RowResealer
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.engine.tables import limits_for
from fluxbase_cli.keyring import Opener
from fluxbase_cli.log_events import LogEvent
from fluxbase_cli.store.connection import Connection, connect_for_values
from fluxbase_cli.store.ctid import WHOLE_TABLE
from fluxbase_cli.store.jobs import JobStore
from fluxbase_cli.store.open_transactions import OpenTransactions
from fluxbase_cli.store.reader import BoundedReader, ChangedSince, Reader, Versions
from fluxbase_cli.store.records import JobState
from fluxbase_cli.store.relation import Relation
from fluxbase_cli.store.relations import FoundRelations, find_relations, is_still
from fluxbase_cli.store.transactions import SAVEPOINT
from fluxbase_cli.unexamined import Unexamined, UnexaminedKind

#: If the server keeps sealing under the old key, the job would never end. After this many catch-up passes it fails.
MOST_CATCH_UP_PASSES = 8
#: See `LockPatience`.
_BEFORE_LIMIT_S = 10.0


class RelationGoneError(Exception):
    """A relation does not exist any more, or another one has its name."""


class CatchUpStep(Enum):
    """What a worker that found no shard should do."""

    AGAIN = "again"
    WAIT = "wait"
    ENDED = "ended"


@dataclass(slots=True)
class LockPatience:
    """How long the workers of this process have waited for rows that others have locked.

    Attributes:
        limit_s: how long they wait, in seconds.
        since: when they met the first such row, by the monotonic clock; None if they met none.
    """

    limit_s: float
    since: float | None = None

    def on_conflict(self) -> None:
        """Note that a lock could not be taken."""
        if self.since is None:
            self.since = time.monotonic()

    @property
    def waited_enough(self) -> bool:
        """Whether a catch-up pass leaves locked rows as they are.

        That is a little before the limit, at which the retries end with an error.
        """
        if self.since is None:
            return False
        return time.monotonic() - self.since >= max(self.limit_s - _BEFORE_LIMIT_S, self.limit_s / 2)


@dataclass(frozen=True, slots=True)
class CatchUp:
    """Decides when a pass of a job is finished. The worker that finds the last shard done begins the next pass.

    Attributes:
        context: the job.
        stop: ends waiting.
        observer: gets an event for each pass.
        locks: how long locked rows are waited for.
        counting: held by the worker that counts what is left.
    """

    context: RunContext
    stop: Stop
    observer: Observer
    locks: LockPatience
    counting: threading.Lock = field(default_factory=threading.Lock)

    def advance(self, connection: Connection, jobs: JobStore) -> CatchUpStep:
        """Begin the next catch-up pass, or end the job, if all shards of the current pass are done."""
        with connection.transaction():
            pass_number, state = jobs.lock(self.context.job)
            if state is not JobState.RUNNING:
                return CatchUpStep.ENDED
            open_shards, touched = jobs.shards.open_shards(self.context.job, pass_number)
            if open_shards:
                jobs.runners.free_dead_leases(self.context.job)
                return CatchUpStep.WAIT
            # Queried each time: partitions are attached and detached, and tables renamed, while a job runs.
            found = find_relations(connection, self.context.request.catalogue)
            # A pass that did not read a relation proves nothing about it, also if its files are as they were recorded.
            clean = (
                pass_number > 0
                and touched == 0
                and not self._changed(jobs, found)
                and jobs.shards.read_by(self.context.job, pass_number) >= {each.qualified for each in found.relations}
            )
            unwritable = clean and any(left.unwritable for left in jobs.left_by_location(self.context.job))
            if clean and not unwritable:
                self._end(jobs, found)
                return CatchUpStep.ENDED
            locked = pass_number > 0 and self._locked(jobs)
            if pass_number < self.context.last_pass and not locked and not unwritable:
                self._changed(jobs, found)
                started = jobs.next_pass(self.context.job, found.relations)
                self.observer.notify(PassStarted(started, {}, {}))
                if touched and pass_number > 0:
                    self.observer.notify(
                        Message(
                            LogEvent.JOB_VALUES_CHANGED,
                            f"other writers changed {worded(touched, 'value', 'values')} meanwhile; reading once more",
                            warning=True,
                        )
                    )
                return CatchUpStep.AGAIN
        if not self.counting.acquire(blocking=False):
            # One worker is enough to count what is left.
            return CatchUpStep.WAIT
        try:
            job = jobs.get(self.context.job)
            # Otherwise the worker that had the lock before has ended the job.
            if job is not None and job.state is JobState.RUNNING:
                end = self._end_unwritten if unwritable else self._give_up
                end(connection, jobs, found)
        finally:
            self.counting.release()
        return CatchUpStep.ENDED

    def _locked(self, jobs: JobStore) -> list[Unexamined]:
        """The rows that others have locked, and for which the present catch-up pass has waited long enough."""
        return [each for each in jobs.unexamined(self.context.job) if each.kind is UnexaminedKind.LOCKED_ROW]

    def _end(self, jobs: JobStore, found: FoundRelations, remaining: int = 0) -> None:
        """Complete the job. If something could not be examined, the job fails: nobody knows whether it is done."""
        jobs.note_unexamined(self.context.job, found.unexamined)
        unexamined = jobs.unexamined(self.context.job)
        if not unexamined:
            jobs.set_state(self.context.job, JobState.COMPLETED, remaining=remaining)
            return
        others = f", and {len(unexamined) - 1} more" if len(unexamined) > 1 else ""
        jobs.set_state(
            self.context.job,
            JobState.FAILED,
            error=f"what could be examined is done, and this could not be examined: {unexamined[0]}{others}",
            remaining=remaining,
        )

    def versions(self, jobs: JobStore) -> Versions:
        """Which row versions the current catch-up pass must open; None for all."""
        job = jobs.get(self.context.job)
        if job is None or job.full_census or job.news_from is None:
            return None
        return ChangedSince(job.news_from, jobs.shards.written_transactions(self.context.job))

    def _changed(self, jobs: JobStore, found: FoundRelations) -> bool:
        """Whether the next catch-up pass must open everything, because ctids and transaction ids say nothing any more.

        The reasons: a table was rewritten (VACUUM FULL, CLUSTER), restored or replaced. A partition was attached or
        detached. There were more than 2**32 transactions. A trigger that fires on our updates was created or dropped:
        our row versions may hold what it wrote.
        """
        job = jobs.get(self.context.job)
        if job is None:
            return False
        if not job.full_census and jobs.beyond_32_bits():
            jobs.need_full_catch_up(self.context.job)
            return True
        storage = jobs.storage(self.context.job, found.relations)
        if storage == job.storage:
            return False
        jobs.note_rewritten(self.context.job, storage)
        return True

    def _end_unwritten(self, connection: Connection, jobs: JobStore, found: FoundRelations) -> None:
        """End the job although the database refuses to write some values."""
        # Other sessions may have changed these rows. So the remaining values of all rows are counted again.
        jobs.need_full_catch_up(self.context.job)
        remaining = self._remaining(connection, jobs, found)
        if remaining == 0:
            jobs.forget_unwritable(self.context.job)
        self._end(jobs, found, remaining)

    def _give_up(self, connection: Connection, jobs: JobStore, found: FoundRelations) -> None:
        """End the job although other writers, or their locks, keep some values under the old key."""
        # A table may have been rewritten meanwhile. Then nothing shows which row versions are new, so all are counted.
        self._changed(jobs, found)
        remaining = self._remaining(connection, jobs, found)
        if remaining == 0:
            self._end(jobs, found)
        else:
            error = (
                "in every catch-up pass another writer seals under the old key, or a trigger refuses our "
                "updates: restart the server with the new key, then run this again"
            )
            locked = self._locked(jobs)
            if locked:
                others = f", and {worded(len(locked) - 1, 'row', 'rows')} more" if len(locked) > 1 else ""
                error = f"{locked[0]}{others}: end that transaction, then run this again"
            jobs.set_state(self.context.job, JobState.FAILED, error=error, remaining=remaining)

    def _remaining(self, connection: Connection, jobs: JobStore, found: FoundRelations) -> int:
        """Count the values that still have to move, without writing."""
        opener, left = Opener(self.context.keyring), list[Unexamined]()
        remaining = 0
        with connect_for_values(self.context.database, self.context.access) as reading:
            for relation in found.relations:
                for result in self.read_whole(
                    reading, connection, relation, RowResealer(relation, opener, None, self.context.tokens), left
                ):
                    remaining += sum(tally.moving(self.context.goal) for tally in result.tallies)
        jobs.note_unexamined(self.context.job, left)
        return remaining

    def find(self, connection: Connection, name: str) -> Relation | None:
        """A relation as it is now; None if it does not exist any more."""
        relations = find_relations(connection, self.context.request.catalogue).relations
        return next((relation for relation in relations if relation.qualified == name), None)

    def read_whole(
        self, reading: Connection, own: Connection, relation: Relation, resealer: RowResealer, left: list[Unexamined]
    ) -> Generator[ResealResult]:
        """Open or reseal a relation in one snapshot, a few rows at a time.

        Without a snapshot a row could be missed: an update could move it from an unread page to a page already read.

        Args:
            reading: where to read (see `connect_for_values`), outside a transaction.
            own: another session, for the progress tables; outside a transaction.
            relation: the relation.
            resealer: opens or reseals its rows.
            left: at the end, gets the damaged rows, and the transactions that were not committed.

        Raises:
            RelationGoneError: the relation does not exist any more, or another one has its name.
        """
        jobs = JobStore(own)
        versions = self.versions(jobs)
        opened = self._snapshot(reading, own, relation, self.context.request.wait_s)
        try:
            if not is_still(reading, relation):
                raise RelationGoneError
            yield from self._read(reading, relation, resealer, versions, left)
        finally:
            if not reading.closed:
                reading.execute("ROLLBACK")
        if not opened:
            return
        running = opened.still_running(own)
        if opened.ended or len(running) < len(opened.running):
            # Read what others wrote before the snapshot and committed after it.
            self._snapshot(reading, own, relation, 0.0)
            try:
                late = ChangedSince(opened.since, jobs.shards.written_transactions(self.context.job))
                yield from self._read(reading, relation, resealer, late, left)
            finally:
                if not reading.closed:
                    reading.execute("ROLLBACK")
        left += [writer.unexamined() for writer in running]

    def _snapshot(self, reading: Connection, own: Connection, relation: Relation, wait_s: float) -> OpenTransactions:
        opened = take_snapshot(
            reading, own, [relation], self.context.access, stop=self.stop, observer=self.observer, wait_s=wait_s
        )
        reading.execute(SAVEPOINT)
        return opened

    def _read(
        self,
        connection: Connection,
        relation: Relation,
        resealer: RowResealer,
        versions: Versions,
        left: list[Unexamined],
    ) -> Iterator[ResealResult]:
        reader = Reader(relation)
        bounded = BoundedReader(reader, WHOLE_TABLE, limits_for(relation, self.context.request.limits), versions)
        while (rows := bounded.next_rows(connection)) is not None:
            yield resealer.process(rows)
        left += [row.unexamined() for row in reader.take_damaged()]
