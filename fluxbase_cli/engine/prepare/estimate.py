"""Estimates the cost of a run by a trial run: batches of a sample that are rolled back before they are recorded.

A batch of the trial run is a normal batch (`fluxbase_cli.engine.run.batch`) whose record fails on purpose, so its
transaction never commits. It locks a row no longer than a normal batch does, ends at once if another session holds a
row, and fires no triggers, like a normal batch. If triggers can't be kept silent, there is no trial run.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

import psycopg

from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.engine.cost import FEW_ROWS, Cost, Estimate
from fluxbase_cli.engine.cost_meter import key_calls
from fluxbase_cli.engine.events import NullObserver
from fluxbase_cli.engine.prepare.prepare import Prepared
from fluxbase_cli.engine.run.batch import BatchRunner
from fluxbase_cli.engine.run.context import RunContext
from fluxbase_cli.engine.run.worker_process import share_workers
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.engine.tables import limits_for
from fluxbase_cli.errors import FluxbaseCliError
from fluxbase_cli.keyring import Keyring, Opener
from fluxbase_cli.store.connection import Connection, connect_for_values, first_line
from fluxbase_cli.store.ctid import Ctid, CtidRange
from fluxbase_cli.store.reader import ChangedSince, Reader
from fluxbase_cli.store.records import Shard
from fluxbase_cli.store.relation import Relation
from fluxbase_cli.store.server_load import standbys
from fluxbase_cli.store.table_size import TableSize, table_sizes
from fluxbase_cli.store.transactions import Access, begin_snapshot
from fluxbase_cli.store.trial import (
    TrialRecorder,
    TriedError,
    WalSettings,
    next_transaction,
    wal_position,
    wal_settings,
    writers,
)

#: Rows that each worker tries out at a time, in one batch or several.
_WORKER_ROWS = 1_000


#: The trial run uses at most this share of a relation, because each row leaves a dead row until the next vacuum.
_SAMPLED_SHARE = 1 / 8


_WARM_UP_ROWS = 20


#: Pages on which the time of a catch-up pass is measured.
_CATCH_UP_BLOCKS = 400


#: The share of the rows after the first lane that find room in their page. Measured on 1,000,000 rows of
#: `functions.secrets` that were just loaded, without any free room at the start: 0.93 to 0.96.
_ROOM_SHARE = 0.95


#: Extra bytes of WAL for a row that finds no room: its old page is locked and its record is longer, minus what pruning
#: logs for the other rows.
#: Counted with `pg_waldump --stats=record` on the same run.
_ELSEWHERE_WAL = 103


#: Extra bytes of WAL for each new entry in an index, counted on the same run.
_ENTRY_WAL = 73


#: How much of its time a row saves when it finds room, as a share of what it saves of its WAL. Measured on the same
#: run: a row takes 0.62 to 0.70 of the time of a row of the trial run.
_ELSEWHERE_S = 0.5


#: If pages are logged whole, the first batches write at least this share more WAL than the same batches again. A few
#: bytes a row come from other sessions, and are not the reason that the first batches took longer.
_LOGGED_WHOLE = 0.5


#: The share of an index's size that is logged: not the free room in a page, and no pages that get no entry.
_PAGE_FILL = 0.55


#: The share of its time that a run needs when a worker process has half of the workers: 0.80 with batches of 1,000
#: rows, 0.72 with batches of 100 rows.
_TWO_PROCESSES_S = 0.77


#: What a run costs otherwise, in seconds: a small trial run, connections, leases, the report.
_OVERHEAD_S = 0.4


@dataclass(frozen=True, slots=True)
class _Phase:
    """What all workers did in parallel.

    Attributes:
        rows: rows of their batches.
        row_s: seconds per row, of all workers together.
        row_wal: bytes of WAL per row.
    """

    rows: int
    row_s: float
    row_wal: float


@dataclass(frozen=True, slots=True)
class _Sample:
    """The trial run of one relation.

    Attributes:
        first: batches on pages that were not used for a while, so they are read from disk and logged whole.
        again: the same batches again.
    """

    first: _Phase
    again: _Phase

    @property
    def rows(self) -> int:
        """Rows of the trial run; a row counts each time that it is written."""
        return self.first.rows + self.again.rows

    @property
    def page_byte_s(self) -> float:
        """Seconds for each byte of pages that are logged whole; 0 if none were, because that was done before."""
        whole = self.first.row_wal - self.again.row_wal
        if whole < _LOGGED_WHOLE * self.again.row_wal:
            return 0.0
        return max(0.0, self.first.row_s - self.again.row_s) / whole


@dataclass(frozen=True, slots=True)
class _Worker:
    connection: Connection
    opener: Opener


@dataclass(frozen=True, slots=True)
class _Done:
    rows: int
    seconds: float


class TrialRun:
    """Measures a sample of a plan's batches.

    Args:
        database: how to connect.
        keyring: the keys.
        prepared: the job; its limits and its number of workers are used here too.
        stop: ends it early.
        rounds: how many times each worker does its batches again.
    """

    def __init__(
        self,
        database: DatabaseSettings,
        keyring: Keyring,
        prepared: Prepared,
        *,
        stop: Stop,
        rounds: int,
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._prepared = prepared
        self._request = prepared.request
        self._preflight = prepared.preflight
        self._plan = prepared.plan
        self._stop = stop
        self._rounds = rounds

    def run(self) -> Estimate:
        """Do the trial run and estimate. Commits nothing. If it fails, the estimate says why."""
        large = [relation for relation, found in self._plan.stats.items() if found.rows >= FEW_ROWS]
        if not large:
            return Estimate(None, "there are too few rows")
        if self._preflight.triggers_fire:
            return Estimate(None, "triggers would fire")
        try:
            return self._try_out(large)
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            return Estimate(None, "other sessions hold the rows of the sample")
        except (psycopg.Error, FluxbaseCliError) as error:
            return Estimate(None, first_line(error))

    def _try_out(self, large: list[Relation]) -> Estimate:
        began = time.monotonic()
        with connect_for_values(self._database, self._access) as connection, ExitStack() as stack:
            before = table_sizes(connection, self._preflight.relations)
            settings = wal_settings(connection)
            workers = [stack.enter_context(self._worker()) for _ in range(self._request.workers)]
            sampled: dict[Relation, _Sample] = {}
            for relation in large:
                if self._stop.requested:
                    return Estimate(None, "it was interrupted")
                sampled[relation] = self._sample(connection, workers, relation)
            catch_up_s = max(self._catch_up_s(connection, relation) for relation in large)
            costs = [
                self._relation(relation, sample, before[relation.qualified], settings)
                for relation, sample in sampled.items()
            ]
            # The small relations are estimated like the large ones. Their part is small.
            done = sum(self._plan.stats[relation].rows for relation in large)
            share = self._plan.rows / done
            seconds = sum(cost.seconds for cost in costs) * share
            if len(share_workers(self._plan.work, self._request.workers)) > 1:
                seconds *= _TWO_PROCESSES_S
            seconds = self._at_the_rate(seconds)
            cost = Cost(
                seconds=seconds + catch_up_s + _OVERHEAD_S,
                wal_bytes=int(sum(cost.wal_bytes for cost in costs) * share),
                growth_bytes=int(sum(cost.growth_bytes for cost in costs) * share),
                key_calls=key_calls(self._keyring),
                standbys=len(standbys(connection)),
            )
        return Estimate(cost, rows=sum(sample.rows for sample in sampled.values()), took_s=time.monotonic() - began)

    def _relation(self, relation: Relation, sample: _Sample, size: TableSize, settings: WalSettings) -> Cost:
        """The cost of the main pass over a relation."""
        rows, lanes = self._plan.stats[relation].rows, self._plan.shard_layouts[relation].lanes
        # A trial run frees no room in a page, so each row goes to another page, with a new entry in every index. In the
        # real run most rows find room that earlier lanes have freed in their page (HOT updates), and need neither. In a
        # page of few rows, each row is in another lane.
        first = max(1 / lanes, self._plan.stats[relation].blocks / max(rows, 1))
        hot = _ROOM_SHARE * max(0.0, 1 - first) if lanes > 1 else 0.0
        again = sample.again
        saved = min(_ELSEWHERE_WAL + _ENTRY_WAL * size.entries_a_row, again.row_wal)
        row_s = again.row_s * (1 - hot * _ELSEWHERE_S * saved / max(again.row_wal, 1.0))
        row_wal = rows * (again.row_wal - hot * saved)
        # Large values outside the rows (TOAST) are written again, and their old room is free only after a VACUUM.
        growth = (1 - hot) * (size.heap + size.indexes / 4) + size.whole - size.heap
        whole = 0.0
        if settings.full_page_writes:
            # A page is logged whole at its first change after a checkpoint. For pages of rows that is once, because a
            # shard is done without a break. For pages of indexes it is after every checkpoint, because new entries go
            # to pages everywhere in the index.
            index_pages = _PAGE_FILL * size.indexes
            once = size.heap + index_pages
            whole = once + index_pages * (once + row_wal) / settings.checkpoint_bytes
        return Cost(
            seconds=rows * row_s + whole * sample.page_byte_s,
            wal_bytes=int(row_wal + whole),
            growth_bytes=int(growth),
            key_calls=0,
            standbys=0,
        )

    def _at_the_rate(self, seconds: float) -> float:
        rate = self._request.max_rate_per_s
        return max(seconds, sum(self._plan.values_by_location.values()) / rate) if rate else seconds

    # --- one relation ---------------------------------------------------------------------------------------------

    @contextmanager
    def _worker(self) -> Iterator[_Worker]:
        with connect_for_values(self._database, self._access) as connection:
            # Neither a trial run nor a session that holds a row may wait long for the other.
            connection.execute("SET lock_timeout = '200ms'")
            yield _Worker(connection, Opener(self._keyring, first=self._request.goal.source))

    def _sample(self, holder: Connection, workers: Sequence[_Worker], relation: Relation) -> _Sample:
        """Let all workers do batches of a relation in parallel, as in the real run, and then the same batches again."""
        began = next_transaction(holder)
        share = int(self._plan.stats[relation].rows * _SAMPLED_SHARE) // (1 + self._rounds)
        rows = max(1, min(_WORKER_ROWS, limits_for(relation, self._request.limits).rows, share))
        used = workers[: max(1, share // rows)]
        # If batches are small, each worker does several.
        batches = max(1, min(_WORKER_ROWS, share // len(used)) // rows)
        shards = _spread(list(self._shards(relation)), len(used) * batches)
        pairs = [(worker, shards[number :: len(used)]) for number, worker in enumerate(used)]

        def phase(rows: int, rounds: int) -> _Phase:
            wal = wal_position(holder)
            with ThreadPoolExecutor(len(pairs), "trial") as pool:
                done = list(
                    pool.map(
                        lambda pair: self._batches(*pair, relation=relation, began=began, rows=rows, rounds=rounds),
                        pairs,
                    )
                )
            number = sum(each.rows for each in done)
            per_s = sum(each.rows / each.seconds for each in done)
            return _Phase(number, 1 / per_s if per_s else 0.0, (wal_position(holder) - wal) / max(number, 1))

        # A warm-up, so that the server has made its plans and read its catalogues.
        phase(_WARM_UP_ROWS, 1)
        return _Sample(phase(rows, 1), phase(rows, self._rounds))

    def _shards(self, relation: Relation) -> Iterator[Shard]:
        """A relation's shards, as `create_shards` would cut them."""
        found, cut = self._plan.stats[relation], self._plan.shard_layouts[relation]
        for number, block in enumerate(range(0, found.blocks, cut.blocks)):
            first = Ctid(block, 0)
            upto = Ctid(min(block + cut.blocks, found.blocks), 0)
            yield Shard(
                id=number,
                pass_number=0,
                table=relation.table.qualified,
                relation=relation.qualified,
                first=first,
                upto=upto,
                lanes=cut.lanes,
                lane=number % cut.lanes,
                cursor=first,
                rows_done=0,
                counts={},
            )

    def _batches(  # noqa: PLR0913  # all that a batch needs
        self, worker: _Worker, shards: Sequence[Shard], *, relation: Relation, began: int, rows: int, rounds: int
    ) -> _Done:
        done = [self._batch(worker, relation, began, shard, rows) for _ in range(rounds) for shard in shards]
        return _Done(sum(each.rows for each in done), sum(each.seconds for each in done))

    def _batch(self, worker: _Worker, relation: Relation, began: int, shard: Shard, rows: int) -> _Done:
        """Do a batch, roll it back, and measure it."""
        most = min(rows, limits_for(relation, self._request.limits).rows)
        context = RunContext(self._database, self._keyring, self._prepared, job=0, runner=0, began=began, last_pass=0)
        runner = BatchRunner(context, relation, worker.opener, NullObserver())
        start = time.monotonic()
        listed = runner.read_ahead(worker.connection, self._shard_part(relation, shard, rows))
        # Rows of all lanes are read at once. A batch gets its share of that time.
        reading_s = (time.monotonic() - start) / max(listed, 1)
        start = time.monotonic()
        try:
            runner.next_batch(worker.connection, TrialRecorder(), shard, most=most)
        except TriedError as tried:
            done = tried.after.rows_done
            return _Done(done, max(time.monotonic() - start + done * reading_s, 1e-6))
        message = "a batch of the trial run was not rolled back"
        raise AssertionError(message)

    def _shard_part(self, relation: Relation, shard: Shard, rows: int) -> Shard:
        """The first pages of a shard, as many as one lane needs for this number of rows."""
        found = self._plan.stats[relation]
        blocks = -(-rows * shard.lanes * found.blocks // max(found.rows, 1))
        return replace(shard, upto=min(shard.upto, Ctid(shard.first.block + blocks, 0)))

    @property
    def _access(self) -> Access:
        return self._preflight.access

    def _catch_up_s(self, connection: Connection, relation: Relation) -> float:
        """How long the catch-up pass over a relation will take: one thread lists all rows, which we have written."""
        blocks = self._plan.stats[relation].blocks
        timed = min(blocks, _CATCH_UP_BLOCKS)
        ctid_range = CtidRange(Ctid(0, 0), Ctid(timed, 0))
        connection.execute(begin_snapshot(self._access))
        try:
            ours = writers(connection, relation, ctid_range)
            start = time.monotonic()
            Reader(relation).list_rows(
                connection, ctid_range, self._request.limits.rows, ChangedSince(_FIRST_TRANSACTION, ours)
            )
            return (time.monotonic() - start) * blocks / timed
        finally:
            connection.execute("ROLLBACK")


#: The first transaction id that a row can have; 0 to 2 are reserved.
_FIRST_TRANSACTION = 3


def _spread(shards: list[Shard], number: int) -> list[Shard]:
    """This number of shards, evenly spread. If there are too few, some come more than once."""
    return [shards[index * len(shards) // number] for index in range(number)]
