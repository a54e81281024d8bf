"""How a job comes to its end: closing censuses until one finds nothing, and only then `completed`.

Whatever a running server sealed under the old key behind the workers' backs is found here and done again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from fluxbase_cli.engine.goal import Goal
from fluxbase_cli.engine.judge import Judge, Judged
from fluxbase_cli.engine.observer import Observer, PassStarted, Told
from fluxbase_cli.engine.tables import limits_for
from fluxbase_cli.keyring import Keyring, Opener
from fluxbase_cli.store.connect import Access, Connection, begin_snapshot
from fluxbase_cli.store.jobs import JobState, JobStore
from fluxbase_cli.store.places import WHOLE
from fluxbase_cli.store.values import Limits, News, Portions, Reader, Shape, Versions

#: A server that goes on sealing under the old key would keep the job busy for ever; after this it is told.
MOST_CENSUSES = 8


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
        goal: what values shall be.
        shapes: the relations.
        access: how values are read.
        limits: how much to read at once.
        keyring: the keys.
        last_census: the number of the census after which the job is given up.
        observer: is told of each pass.
    """

    job: int
    goal: Goal
    shapes: tuple[Shape, ...]
    access: Access
    limits: Limits
    keyring: Keyring
    last_census: int
    observer: Observer

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
            if pass_number > 0 and touched == 0 and not self._rewritten(jobs):
                jobs.set_state(self.job, JobState.COMPLETED, remaining=0)
                return Verdict.ENDED
            if pass_number < self.last_census:
                started = jobs.next_pass(self.job, self.shapes)
                self.observer.notify(PassStarted(started, {}, {}))
                if touched and pass_number > 0:
                    self.observer.notify(
                        Told(f"other writers changed {touched} values meanwhile; looking once more", warning=True)
                    )
                return Verdict.AGAIN
        # Where a table was rewritten in the meantime, news can't be told from old and everything is counted.
        self._rewritten(jobs)
        return self._give_up(connection, jobs)

    def versions(self, jobs: JobStore) -> Versions:
        """Which row versions the current census must open; None for all."""
        job = jobs.get(self.job)
        if job is None or job.full_census or job.news_from is None:
            return None
        return News(job.news_from, jobs.written_transactions(self.job))

    def _rewritten(self, jobs: JobStore) -> bool:
        """Whether a table was rewritten (VACUUM FULL, CLUSTER, a restore), so that places say nothing any more.

        The census then has to open everything, once.
        """
        job = jobs.get(self.job)
        storage = jobs.storage(self.shapes)
        if job is None or storage == job.storage:
            return False
        jobs.note_rewritten(self.job, storage)
        return True

    def _give_up(self, connection: Connection, jobs: JobStore) -> Verdict:
        remaining = self._remaining(connection, self.versions(jobs))
        if remaining == 0:
            jobs.set_state(self.job, JobState.COMPLETED, remaining=0)
        else:
            jobs.set_state(
                self.job,
                JobState.FAILED,
                error="sweep after sweep another writer seals under the old key, or a trigger refuses our writing: "
                "restart the server with the new key, then run this again",
                remaining=remaining,
            )
        return Verdict.ENDED

    def _remaining(self, connection: Connection, versions: Versions) -> int:
        """Count what is still to be moved, without writing."""
        opener = Opener(self.keyring)
        return sum(
            tally.moving(self.goal)
            for shape in self.shapes
            for judged in read_whole(connection, shape, Judge(shape, opener, None), self.access, self.limits, versions)
            for tally in judged.tallies
        )


def read_whole(  # noqa: PLR0913, PLR0917  # what a reading is told
    connection: Connection, shape: Shape, judge: Judge, access: Access, limits: Limits, versions: Versions
) -> Iterator[Judged]:
    """Judge a relation as it is at one moment, a few rows at a time.

    One snapshot, so that no row can escape by moving from a page that is still to be read to one that has been.
    """
    portions = Portions(Reader(shape), WHOLE, limits_for(shape, limits), versions)
    connection.execute(begin_snapshot(access))
    try:
        while (rows := portions.next_rows(connection)) is not None:
            yield judge.judge(rows)
    finally:
        if not connection.closed:
            connection.execute("ROLLBACK")
