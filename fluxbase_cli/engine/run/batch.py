"""Runs one batch: open and reseal, write with compare-and-set, record. The last two are one short transaction.

The progress is committed together with its values. So a failure at any moment costs at most one batch of work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

import psycopg

from fluxbase_cli.counts import Counts
from fluxbase_cli.engine.events import BatchStep, Message, Observer, Step
from fluxbase_cli.engine.run.careful import MOST_REFUSED, CarefulWriter, refuses_rows
from fluxbase_cli.engine.run.context import RunContext
from fluxbase_cli.engine.run.resealer import ResealResult, RowResealer
from fluxbase_cli.engine.run.shard_reader import ShardReader
from fluxbase_cli.engine.tables import limits_for
from fluxbase_cli.keyring import Opener
from fluxbase_cli.log_events import LogEvent
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.ctid import EMPTY_PAGE_RANGE, PageRange
from fluxbase_cli.store.damaged_rows import DamagedRow
from fluxbase_cli.store.locked_rows import LockedRow
from fluxbase_cli.store.records import QuarantineEntry, Shard
from fluxbase_cli.store.relation import ID, TID, Relation, Row
from fluxbase_cli.store.rows import Edit, RowList
from fluxbase_cli.store.transactions import begin_batch
from fluxbase_cli.store.writer import ValueStore
from fluxbase_cli.unexamined import Unexamined

#: How many times a row that other writers keep changing is resealed before it is left to the next pass.
_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class BatchOutcome:
    """The result of a batch.

    Attributes:
        shard: what is left of the shard; None if nothing is left.
        rows: rows that were opened.
        counts: the counts by column.
    """

    shard: Shard | None
    rows: int
    counts: Mapping[str, Counts]


class BatchRecorder(Protocol):
    """Records a batch, in the transaction of its values. `JobStore` is one."""

    def recorded(  # noqa: PLR0913  # what a batch did
        self, shard: Shard, runner: int, after: Shard, *, done: bool, wrote: bool, unwritten: int
    ) -> AbstractContextManager[None]:
        """See `fluxbase_cli.store.shards.ShardStore.recorded`."""
        ...

    def quarantine(self, job: int, entries: Iterable[QuarantineEntry]) -> None:
        """Record undecryptable values."""
        ...

    def note_unexamined(self, job: int, found: Iterable[Unexamined]) -> None:
        """Record rows that others have locked."""
        ...

    def need_full_catch_up(self, job: int) -> None:
        """Make the catch-up passes open the values of this job's own writes again too."""
        ...


class BatchRunner:
    """Does the batches of one relation over connections that are outside a transaction.

    Args:
        context: the job that the batches belong to.
        relation: the relation.
        opener: opens values; it belongs to one worker.
        observer: gets an event for each step.
    """

    def __init__(self, context: RunContext, relation: Relation, opener: Opener, observer: Observer) -> None:
        self._context = context
        self._store = ValueStore(relation)
        self._resealer = RowResealer(relation, opener, context.goal, context.tokens)
        self._observer = observer
        self._refused = 0
        self._steps = {step: BatchStep(relation.qualified, step) for step in Step}
        self._begin = begin_batch(context.access).as_bytes(None)
        self._ahead = ShardReader(
            self._store, context.access, limits_for(relation, context.request.limits).bytes, context.began
        )

    def read_ahead(self, connection: Connection, shard: Shard) -> int:
        """Read a shard's rows before its next batch needs them; return how many there are."""
        return self._ahead.prepare(connection, shard)

    def next_batch(
        self,
        connection: Connection,
        recorder: BatchRecorder,
        shard: Shard,
        *,
        most: int,
        skip_locked: bool = False,
    ) -> BatchOutcome:
        """Read, reseal, write and record the next rows of a shard.

        Args:
            connection: where to work, outside a transaction.
            recorder: records the batch, over the same connection.
            shard: the shard as it is in the database.
            most: rows of this batch, at most.
            skip_locked: leave the rows that others have locked, to the catch-up pass.

        Raises:
            LeaseLostError: another runner has the shard now; nothing was written.
            psycopg.Error: nothing was written; or, if the connection was lost at the commit, all of it may be.
        """
        rows, after = self._ahead.next_rows(connection, shard, most)
        damaged = self._ahead.take_damaged()
        if damaged:
            # A catch-up pass that reads only new row versions would not meet these rows and would not list them.
            recorder.need_full_catch_up(self._context.job)
            self._tell_left(damaged)
        result = self._resealer.process(rows)
        self._notify(Step.READ)
        done = after.lane == after.lanes
        # Pruned in the batch's own transaction, as late as possible: the room that earlier lanes have freed becomes
        # usable only when no snapshot needs it any more.
        pruned = PageRange(rows.first_ctid, rows.last_ctid) if len(rows) and shard.lanes > 1 else EMPTY_PAGE_RANGE

        def attempt(result: ResealResult, writer: ValueStore | CarefulWriter) -> BatchOutcome:
            with self._transaction(connection):
                return self._write(
                    connection, recorder, shard, result, after, writer=writer, rows=len(rows), done=done, pruned=pruned
                )

        outcome = self._tried(attempt, result, skip_locked=skip_locked)
        self._notify(Step.COMMITTED)
        return outcome

    def _tried(
        self,
        attempt: Callable[[ResealResult, ValueStore | CarefulWriter], BatchOutcome],
        result: ResealResult,
        *,
        skip_locked: bool,
    ) -> BatchOutcome:
        """Write a batch. If the database refuses it, write it again with care for each row.

        Args:
            attempt: writes the result through a store.
            result: the resealed rows.
            skip_locked: be careful at once, and leave the rows that others have locked.
        """
        if not skip_locked:
            try:
                return attempt(result, self._store)
            except psycopg.Error as error:
                if not refuses_rows(error):
                    raise
                # The attempt has changed the result.
                result = self._resealer.process(result.rows)
        careful = CarefulWriter(self._store, skip_locked=skip_locked, most_refused=MOST_REFUSED - self._refused)
        outcome = attempt(result, careful)
        self._refused += len(careful.refused)
        self._tell_left(careful.locked)
        return outcome

    def _tell_left(self, rows: Iterable[DamagedRow | LockedRow]) -> None:
        for row in rows:
            self._observer.notify(
                Message(LogEvent.JOB_ROW_LEFT, f"going on without a row: {row.unexamined()}", warning=True)
            )

    def write_found(  # noqa: PLR0913  # what a batch needs
        self,
        connection: Connection,
        recorder: BatchRecorder,
        shard: Shard,
        result: ResealResult,
        *,
        done: bool,
        skip_locked: bool = False,
    ) -> BatchOutcome:
        """Write what a catch-up pass found, and record it.

        Args:
            connection: where to write, outside a transaction.
            recorder: records the batch, over the same connection.
            shard: the shard as it is in the database.
            result: the resealed rows.
            done: whether the catch-up pass over this relation is finished.
            skip_locked: as for `next_batch`.

        Raises:
            LeaseLostError, psycopg.Error: as for `next_batch`.
        """

        def attempt(result: ResealResult, writer: ValueStore | CarefulWriter) -> BatchOutcome:
            with self._transaction(connection):
                return self._write(connection, recorder, shard, result, shard, writer=writer, rows=0, done=done)

        outcome = self._tried(attempt, result, skip_locked=skip_locked)
        self._notify(Step.COMMITTED)
        return outcome

    @contextmanager
    def _transaction(self, connection: Connection) -> Iterator[None]:
        connection.execute(self._begin)
        try:
            self._notify(Step.BEGUN)
            yield
        finally:
            # After a commit, or if the connection is lost, no transaction is open.
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
        writer: ValueStore | CarefulWriter,
        rows: int,
        done: bool,
        pruned: PageRange = EMPTY_PAGE_RANGE,
    ) -> BatchOutcome:
        """Write, record and commit the batch's transaction. `after` is the shard after it, without its new counts."""
        written = self._write_values(connection, result, writer, pruned)
        self._notify(Step.WRITTEN)
        if self._context.access.role is not None:
            # The progress tables are written as the login role: the server's roles have no rights on them.
            connection.execute("SET LOCAL ROLE NONE")
        if result.quarantine:
            recorder.quarantine(self._context.job, result.quarantine)
        if isinstance(writer, CarefulWriter) and writer.locked:
            recorder.note_unexamined(self._context.job, [row.unexamined() for row in writer.locked])
        if written.unwritten:
            recorder.need_full_catch_up(self._context.job)
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
            self._notify(Step.RECORDED)
        return BatchOutcome(None if done else after, rows, counts)

    def _write_values(
        self, connection: Connection, result: ResealResult, writer: ValueStore | CarefulWriter, pruned: PageRange
    ) -> _Written:
        """Write the edits. Reseal and write again what another writer changed meanwhile, whose values always win."""
        written = _Written([0] * len(result.tallies))
        edits, store, resealer = result.edits, self._store, self._resealer
        refused: list[Row] = []
        if edits and not store.relation.keyed:
            # Without a primary key, only its ctid says which row was written. The next catch-up pass does the rows that
            # have another ctid now.
            ctids = writer.write_by_ctid(connection, edits)
            written.wrote = bool(ctids)
            edits = self._without_left(edits, result, writer)
            refused, edits = [row for row, _ in edits if row[TID] not in ctids], []
        for _ in range(_ROUNDS):
            if not edits:
                break
            matched = writer.write(connection, edits, pruned)
            edits = self._without_left(edits, result, writer)
            pruned = EMPTY_PAGE_RANGE
            written.wrote = written.wrote or matched > 0
            if matched == len(edits):
                edits = []
                break
            # Another writer has changed some of the rows. The rows that now hold our values are the ones we wrote.
            now: dict[bytes, Row] = {row[ID]: row for row in store.reread(connection, [row[ID] for row, _ in edits])}
            ours = resealer.written(edits, now)
            lost = [row for row, _ in edits if row[ID] not in ours]
            # If the row version that we read still exists, no other writer changed it. Something refuses our update.
            refused += [row for row in lost if now.get(row[ID]) == row]
            lost = [row for row in lost if now.get(row[ID]) != row]
            before = resealer.process(RowList(lost))
            again = resealer.process(RowList([now[row[ID]] for row in lost if row[ID] in now]))
            for index, tally in enumerate(result.tallies):
                tally.remove(before.tallies[index])
                tally.add(again.tallies[index])
                written.moved[index] += before.tallies[index].moving(self._context.goal)
            gone = {row[ID] for row in lost}
            result.quarantine[:] = [e for e in result.quarantine if e.id.bytes not in gone] + again.quarantine
            edits = again.edits
        # Other writers still change these rows, or a trigger refuses our update. They are not done, and the catch-up
        # pass will open everything again.
        left = [row for row, _ in edits] + refused
        if isinstance(writer, CarefulWriter):
            left += [each.row for each in writer.locked]
        if left:
            unwritten = resealer.process(RowList(left))
            for index, tally in enumerate(result.tallies):
                tally.remove(unwritten.tallies[index])
            written.unwritten = len(left)
        return written

    def _without_left(
        self, edits: Sequence[Edit], result: ResealResult, writer: ValueStore | CarefulWriter
    ) -> Sequence[Edit]:
        """The edits without those that were not written, because the row is locked or the database refuses it.

        What it refuses goes into quarantine, and counts as read only.
        """
        if not isinstance(writer, CarefulWriter):
            return edits
        for each in writer.take_refused():
            again = self._resealer.process(RowList([each.edit[0]]))
            for tally, of_row in zip(result.tallies, again.tallies, strict=True):
                tally.refuse(of_row, self._context.goal)
            result.quarantine += self._resealer.unwritable(each.edit, each.reason)
        left = writer.left
        return [edit for edit in edits if edit[0][TID] not in left]

    def _counts(self, result: ResealResult, written: _Written, *, main_pass: bool) -> Mapping[str, Counts]:
        counts = {}
        for column, tally, moved in zip(self._store.columns, result.tallies, written.moved, strict=True):
            found = tally.counts(self._context.goal, written=True)
            if not main_pass:
                # Values under the old key in a catch-up pass were sealed by another writer since the main pass. The
                # main pass has counted all other values already.
                found = Counts(
                    scanned=found.re_encrypted,
                    re_encrypted=found.re_encrypted,
                    updated=found.updated,
                    moved=found.re_encrypted,
                )
            counts[column.name] = found + Counts(moved=moved)
        return counts

    def _notify(self, step: Step) -> None:
        self._observer.notify(self._steps[step])


@dataclass(slots=True)
class _Written:
    """The result of the writes.

    Attributes:
        moved: how many values another writer changed first, by column.
        wrote: whether anything was written.
        unwritten: rows that this pass does not try to write any more.
    """

    moved: list[int]
    wrote: bool = False
    unwritten: int = 0


def _with_counts(shard: Shard, counts: Mapping[str, Counts]) -> Shard:
    """The shard with a batch's counts added to its counts."""
    if not any(counts.values()):
        return shard
    names = [*shard.counts, *(name for name in counts if name not in shard.counts)]
    return replace(
        shard, counts={name: shard.counts.get(name, Counts()) + counts.get(name, Counts()) for name in names}
    )
