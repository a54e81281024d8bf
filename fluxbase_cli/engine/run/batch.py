"""One batch: judge and reseal, write with compare-and-set, record; the last two in one short transaction.

The progress is committed with the values it speaks of, so whatever happens in between costs one batch of work.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from fluxbase_cli.counts import Counts
from fluxbase_cli.engine.events import BatchStep, Observer, Step
from fluxbase_cli.engine.run.context import RunContext
from fluxbase_cli.engine.run.resealer import ResealResult, RowResealer
from fluxbase_cli.engine.run.shard_reader import ShardReader
from fluxbase_cli.engine.tables import limits_for, store_for
from fluxbase_cli.keyring import Opener
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.ctid import EMPTY_PAGE_RANGE, PageRange
from fluxbase_cli.store.records import QuarantineEntry, Shard
from fluxbase_cli.store.relation import ID, TID, Relation, Row
from fluxbase_cli.store.rows import first_ctid, last_ctid
from fluxbase_cli.store.transactions import begin_batch

#: How often a row that another writer changes again and again is judged anew before it is left to the next pass.
_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class BatchOutcome:
    """What a batch has come to.

    Attributes:
        shard: what is left of the shard, or None when nothing is.
        rows: rows judged.
        counts: by column.
    """

    shard: Shard | None
    rows: int
    counts: Mapping[str, Counts]


class BatchRecorder(Protocol):
    """Takes the record of a batch, in the transaction of its values. `JobStore` does."""

    def recorded(  # noqa: PLR0913  # what a batch did
        self, shard: Shard, runner: int, after: Shard, *, done: bool, wrote: bool, unwritten: int
    ) -> AbstractContextManager[None]:
        """See `fluxbase_cli.store.shards.ShardStore.recorded`."""
        ...

    def quarantine(self, job: int, entries: Iterable[QuarantineEntry]) -> None:
        """Record values that no key opened."""
        ...

    def need_full_census(self, job: int) -> None:
        """Have the catch-up passes open our own writes again too."""
        ...


class BatchRunner:
    """Does the batches of one relation over connections that are outside a transaction.

    Args:
        context: the job that the batches belong to.
        relation: the relation.
        opener: opens values; it belongs to one worker.
        observer: is told each step.
    """

    def __init__(self, context: RunContext, relation: Relation, opener: Opener, observer: Observer) -> None:
        self._context = context
        self._store = store_for(relation)
        self._resealer = RowResealer(relation, opener, context.goal, context.tokens)
        self._observer = observer
        self._steps = {step: BatchStep(relation.qualified, step) for step in Step}
        self._begin = begin_batch(context.access).as_bytes(None)
        self._ahead = ShardReader(
            self._store, context.access, limits_for(relation, context.request.limits).bytes, context.began
        )

    def read_ahead(self, connection: Connection, shard: Shard) -> int:
        """Read a shard's rows before its next batch asks for them; return how many there are."""
        return self._ahead.prepare(connection, shard)

    def next_batch(self, connection: Connection, recorder: BatchRecorder, shard: Shard, *, most: int) -> BatchOutcome:
        """Read, judge, write and record the next rows of a shard.

        Args:
            connection: where to work, outside a transaction.
            recorder: takes the record of the batch, over the same connection.
            shard: as the database has it.
            most: rows of this batch, at most.

        Raises:
            LeaseLostError: the shard is somebody else's now; nothing was written.
            psycopg.Error: nothing was written, or (the connection was lost at the commit) all of it was.
        """
        rows, after = self._ahead.next_rows(connection, shard, most)
        result = self._resealer.process(rows)
        self._tell(Step.READ)
        done = after.lane == after.lanes
        # As late as can be: what the strides before have freed is usable once no snapshot needs it any more.
        pruned = PageRange(first_ctid(rows), last_ctid(rows)) if rows and shard.lanes > 1 else EMPTY_PAGE_RANGE
        with self._transaction(connection):
            outcome = self._write(connection, recorder, shard, result, after, rows=len(rows), done=done, pruned=pruned)
        self._tell(Step.COMMITTED)
        return outcome

    def write_found(
        self, connection: Connection, recorder: BatchRecorder, shard: Shard, result: ResealResult, *, done: bool
    ) -> BatchOutcome:
        """Write what a closing census found, and record it.

        Args:
            connection: where to write, outside a transaction.
            recorder: takes the record of the batch, over the same connection.
            shard: as the database has it.
            result: the verdict on some rows.
            done: whether the census of this relation is over.

        Raises:
            LeaseLostError, psycopg.Error: as for `next_batch`.
        """
        with self._transaction(connection):
            outcome = self._write(connection, recorder, shard, result, shard, rows=0, done=done)
        self._tell(Step.COMMITTED)
        return outcome

    @contextmanager
    def _transaction(self, connection: Connection) -> Iterator[None]:
        connection.execute(self._begin)
        try:
            self._tell(Step.BEGUN)
            yield
        finally:
            # Nothing to do after a commit, nor where the connection is gone.
            if not connection.closed and connection.info.transaction_status:
                connection.execute("ROLLBACK")

    def _write(  # noqa: PLR0913  # the parts of one transaction
        self,
        connection: Connection,
        recorder: BatchRecorder,
        shard: Shard,
        result: ResealResult,
        after: Shard,
        *,
        rows: int,
        done: bool,
        pruned: PageRange = EMPTY_PAGE_RANGE,
    ) -> BatchOutcome:
        """Write, record and commit the batch's transaction; `after` is the shard then, but for its counts."""
        written = self._write_values(connection, result, pruned)
        self._tell(Step.WRITTEN)
        if self._context.access.role is not None:
            # Our own tables are written as ourselves: the server's roles are granted nothing on them.
            connection.execute("SET LOCAL ROLE NONE")
        if result.quarantine:
            recorder.quarantine(self._context.job, result.quarantine)
        if written.unwritten:
            recorder.need_full_census(self._context.job)
        counts = self._counts(result, written, main_pass=shard.pass_number == 0)
        after = _with_counts(after, counts)
        with recorder.recorded(
            shard,
            self._context.runner,
            after,
            done=done,
            wrote=written.wrote,
            unwritten=written.unwritten,
        ):
            self._tell(Step.RECORDED)
        return BatchOutcome(None if done else after, rows, counts)

    def _write_values(self, connection: Connection, result: ResealResult, pruned: PageRange) -> _Written:
        """Write the edits; judge anew, and write, what another writer changed meanwhile. His values always win."""
        written = _Written([0] * len(result.tallies))
        edits, store, resealer = result.edits, self._store, self._resealer
        refused: list[Row] = []
        if edits and not store.relation.keyed:
            # Which row was written only its place tells; those that moved are the next census's business.
            places = store.write_by_ctid(connection, edits)
            written.wrote = bool(places)
            refused, edits = [row for row, _ in edits if row[TID] not in places], []
        for _ in range(_ROUNDS):
            if not edits:
                break
            matched = store.write(connection, edits, pruned)
            pruned = EMPTY_PAGE_RANGE
            written.wrote = written.wrote or matched > 0
            if matched == len(edits):
                edits = []
                break
            # Somebody came between. Which rows are ours? Those that now hold what we wrote.
            now: dict[bytes, Row] = {row[ID]: row for row in store.reread(connection, [row[ID] for row, _ in edits])}
            ours = resealer.written(edits, now)
            lost = [row for row, _ in edits if row[ID] not in ours]
            # The very row version that we read is still there: nobody changed it, but something keeps us from it.
            refused += [row for row in lost if now.get(row[ID]) == row]
            lost = [row for row in lost if now.get(row[ID]) != row]
            before = resealer.process(lost)
            again = resealer.process([now[row[ID]] for row in lost if row[ID] in now])
            for index, tally in enumerate(result.tallies):
                tally.remove(before.tallies[index])
                tally.add(again.tallies[index])
                written.moved[index] += before.tallies[index].moving(self._context.goal)
            gone = {row[ID] for row in lost}
            result.quarantine[:] = [e for e in result.quarantine if e.id.bytes not in gone] + again.quarantine
            edits = again.edits
        # Still moving, or a trigger refuses our update: not done, and the census will look at everything again.
        left = [row for row, _ in edits] + refused
        if left:
            unwritten = resealer.process(left)
            for index, tally in enumerate(result.tallies):
                tally.remove(unwritten.tallies[index])
            written.unwritten = len(left)
        return written

    def _counts(self, result: ResealResult, written: _Written, *, main_pass: bool) -> Mapping[str, Counts]:
        counts = {}
        for column, tally, moved in zip(self._store.columns, result.tallies, written.moved, strict=True):
            found = tally.counts(self._context.goal, written=True)
            if not main_pass:
                # What the census finds under the old key was sealed by another writer since; all else that it sees
                # has been counted by the main pass.
                found = Counts(
                    scanned=found.re_encrypted,
                    re_encrypted=found.re_encrypted,
                    updated=found.updated,
                    moved=found.re_encrypted,
                )
            counts[column.name] = found + Counts(moved=moved)
        return counts

    def _tell(self, step: Step) -> None:
        self._observer.notify(self._steps[step])


@dataclass(slots=True)
class _Written:
    """What came of writing.

    Attributes:
        moved: values lost to another writer, by column.
        wrote: whether anything was written.
        unwritten: rows that were given up for this pass.
    """

    moved: list[int]
    wrote: bool = False
    unwritten: int = 0


def _with_counts(shard: Shard, counts: Mapping[str, Counts]) -> Shard:
    """The shard with a batch's counts added to its own."""
    if not any(counts.values()):
        return shard
    names = [*shard.counts, *(name for name in counts if name not in shard.counts)]
    return replace(
        shard, counts={name: shard.counts.get(name, Counts()) + counts.get(name, Counts()) for name in names}
    )
