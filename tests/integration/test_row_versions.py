"""Which row versions a pass reads. The main pass reads those from before the job, even if others write meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from fluxbase_cli.counts import Counts
from fluxbase_cli.engine.events import NullObserver
from fluxbase_cli.engine.goal import Goal
from fluxbase_cli.engine.prepare.prepare import prepare
from fluxbase_cli.engine.request import JobRequest
from fluxbase_cli.engine.run.batch import BatchRunner
from fluxbase_cli.engine.run.context import RunContext
from fluxbase_cli.keyring import Opener
from fluxbase_cli.store import reader
from fluxbase_cli.store.connection import connect_for_values
from fluxbase_cli.store.ctid import WHOLE_TABLE
from fluxbase_cli.store.jobs import JobStore
from fluxbase_cli.store.limits import Limits
from fluxbase_cli.store.preflight import inspect
from fluxbase_cli.store.reader import BeforeJob, Reader
from fluxbase_cli.store.records import JobKind, NewJob, Shard, ShardLayout
from fluxbase_cli.store.relation import ID
from fluxbase_cli.store.row_block import RowBlock
from fluxbase_cli.store.shards import LeaseLostError
from fluxbase_cli.store.transactions import Access, begin_reading
from tests.fixtures.fluxbase import KEYS, NEW, Fluxbase, ring_of, seal

FIVE = Limits(rows=5, bytes=1 << 20)


@pytest.mark.parametrize("in_blocks", [True, False])
def test_what_is_committed_between_two_statements_of_one_read_does_not_count_as_old(
    flux: Fluxbase, *, in_blocks: bool
) -> None:
    """The second statement sees it. PostgreSQL computes ages from the newest transaction at the first statement."""
    changed, *rest = flux.secrets(5)
    began = int(flux.value("SELECT pg_snapshot_xmax(pg_current_snapshot())"))
    with connect_for_values(flux.database, Access()) as connection:
        reader = Reader(inspect(connection, write=True).relations[0])

        def read() -> set[bytes]:
            if in_blocks:
                (rows,) = (reader.list_blocks(connection, WHOLE_TABLE, 99, began=began) or {}).values()
                return {rows.id(index) for index in range(len(rows))}
            return {row[ID] for row in reader.list_rows(connection, WHOLE_TABLE, 99, BeforeJob(began))}

        connection.execute(begin_reading(Access()))
        assert read() == {each.bytes for each in (changed, *rest)}
        for _ in range(3):
            flux.rows("UPDATE functions.secrets SET encrypted_value = %s WHERE id = %s", seal(NEW, "news"), changed)
        assert read() == {each.bytes for each in rest}


def test_a_shard_that_two_threads_had_is_counted_once(flux: Fluxbase, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a restart of the server, leases are released, and a shard can go to two threads of one runner.

    One writes a batch while the other one reads. The second thread loses its batch and gets the shard again, with the
    same cursor to which its batch would have led. It continues with the rows that it had read. These rows must not
    contain anything that the first thread wrote.
    """
    flux.secrets(20)
    monkeypatch.setattr(reader, "_AT_A_TIME", 5)
    unpack, armed = RowBlock.of, [True]
    access, ring = Access(), ring_of(KEYS)
    prepared = prepare(flux.database, ring, JobRequest(JobKind.RE_ENCRYPT, Goal(2, source=1), limits=FIVE))
    relation = prepared.preflight.relations[0]
    with connect_for_values(flux.database, access) as first, connect_for_values(flux.database, access) as second:
        one, other = JobStore(first), JobStore(second)
        one.schema.ensure()
        shard_layouts = {relation: ShardLayout(blocks=10, lanes=1)}
        new = NewJob(
            JobKind.RE_ENCRYPT, 1, 2, None, {}, "", full_census=False, total_rows=20, shard_layouts=shard_layouts
        )
        job = one.create(new)
        begun = one.get(job)
        assert begun is not None
        runner = one.runners.register(job, 2)

        context = RunContext(flux.database, ring, prepared, job, runner, begun.began, last_pass=1)

        def batches() -> BatchRunner:
            return BatchRunner(context, relation, Opener(ring, first=1), NullObserver())

        def write_meanwhile(*arguments: Any, **options: Any) -> RowBlock:
            if armed:
                armed.clear()
                flux.rows("UPDATE fluxbase_rotation.shard SET runner = NULL")
                shard = other.shards.lease(job, runner)
                assert shard is not None
                batches().next_batch(second, other, shard, most=5)
            return unpack(*arguments, **options)

        leased = one.shards.lease(job, runner)
        assert leased is not None
        monkeypatch.setattr(RowBlock, "of", write_meanwhile)
        ours = batches()
        with pytest.raises(LeaseLostError):
            ours.next_batch(first, one, leased, most=5)
        shard: Shard | None = one.shards.reread(leased.id, runner)
        while shard is not None:
            shard = ours.next_batch(first, one, shard, most=5).shard

        (total,) = one.shards.totals(job)
    assert total.counts == {"encrypted_value": Counts(scanned=20, re_encrypted=20, updated=20)}
    assert [each.versions for each in flux.everything().values()] == [(2,)] * 20
