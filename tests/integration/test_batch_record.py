"""The record of a batch after its runner lost the lease: each guard that stops this runner from committing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from uuid import UUID

import pytest

from fluxbase_cli.counts import Counts
from fluxbase_cli.store.connection import Connection, connect_for_values
from fluxbase_cli.store.ctid import Ctid
from fluxbase_cli.store.jobs import JobStore
from fluxbase_cli.store.preflight import inspect
from fluxbase_cli.store.records import JobKind, JobState, NewJob, Shard, ShardLayout
from fluxbase_cli.store.shards import LeaseLostError
from fluxbase_cli.store.transactions import Access, begin_batch
from tests.fixtures.fluxbase import OLD, SECRETS, Fluxbase, Spot, seal

_COLUMN = SECRETS.rpartition(".")[2]
_TEN = {_COLUMN: Counts(scanned=10, re_encrypted=10, updated=10)}
_WRITTEN = "written in the batch"


class Runner:
    """A runner of the job, with a separate session.

    Attributes:
        jobs: the progress tables over that session.
        number: the number of the runner.
    """

    def __init__(self, flux: Fluxbase, connection: Connection, job: int, row: UUID) -> None:
        self._flux = flux
        self._connection = connection
        self._row = row
        self.job = job
        self.jobs = JobStore(connection)
        self.number = self.jobs.runners.register(job, 1)
        assert self.jobs.runners.take_lock(self.number)

    def lease(self) -> Shard:
        """Take the job's only shard."""
        shard = self.jobs.shards.lease(self.job, self.number)
        assert shard is not None
        return shard

    def commit(self, shard: Shard, *, to: Ctid, counts: dict[str, Counts] | None = None, done: bool = False) -> Shard:
        """Commit a batch with one value, recorded up to a ctid, as `BatchRunner` does it."""
        after = replace(shard, cursor=to, counts=_TEN if counts is None else counts, rows_done=shard.rows_done + 10)
        self._connection.execute(begin_batch(Access()))
        try:
            self._connection.execute("UPDATE functions.secrets SET encrypted_value = %s", [_WRITTEN])
            with self.jobs.shards.recorded(shard, self.number, after, done=done, wrote=True, unwritten=0):
                pass
        finally:
            if self._connection.info.transaction_status:
                self._connection.execute("ROLLBACK")
        return after

    @property
    def wrote(self) -> bool:
        """Whether the value of a batch is there."""
        return self._flux.stored()[Spot(SECRETS, self._row, ())][0] == _WRITTEN

    def forget_values(self) -> None:
        """Forget the written values, so that the value of the next batch counts."""
        self._flux.rows("UPDATE functions.secrets SET encrypted_value = 'as before'")


@pytest.fixture
def pair(flux: Fluxbase) -> Iterator[tuple[Runner, Runner]]:
    """Two runners of a job with one shard."""
    row = flux.secret(seal(OLD, "a value"))
    flux.close()
    access = Access()
    with connect_for_values(flux.database, access) as first, connect_for_values(flux.database, access) as second:
        relation = inspect(first, write=True).relations[0]
        assert relation.qualified == "functions.secrets"
        jobs = JobStore(first)
        jobs.schema.ensure()
        job = jobs.create(
            NewJob(
                JobKind.RE_ENCRYPT,
                1,
                2,
                None,
                {},
                "",
                full_census=False,
                total_rows=1,
                shard_layouts={relation: ShardLayout(blocks=10, lanes=1)},
            )
        )
        yield Runner(flux, first, job, row), Runner(flux, second, job, row)


def let_lease_end(flux: Fluxbase) -> None:
    """Let the lease end."""
    flux.rows("UPDATE fluxbase_rotation.shard SET lease_until = clock_timestamp() - interval '1 second'")


def recorded(flux: Fluxbase) -> list[tuple[object, ...]]:
    """Everything that the record of a batch changes, except the end of the lease."""
    return [
        *flux.rows(
            "SELECT stride, cursor, done, rows_done, counts, unwritten, runner FROM fluxbase_rotation.shard ORDER BY id"
        ),
        *flux.rows("SELECT count(*) FROM fluxbase_rotation.batch"),
    ]


def assert_refused(flux: Fluxbase, runner: Runner, shard: Shard, **batch: object) -> None:
    """Check that the batch is rolled back, values and record, and that it changes nothing else."""
    runner.forget_values()
    before = recorded(flux)
    with pytest.raises(LeaseLostError):
        runner.commit(shard, to=Ctid(0, 9), **batch)  # type: ignore[arg-type]  # passed on
    assert not runner.wrote
    assert recorded(flux) == before


def test_a_batch_of_the_lease_holder_is_recorded_with_its_values(flux: Fluxbase, pair: tuple[Runner, Runner]) -> None:
    """This shows that the refusals below have no other reason."""
    runner, _ = pair
    runner.commit(runner.lease(), to=Ctid(0, 5))

    assert runner.wrote
    (shard, batches) = recorded(flux)
    assert shard[1:4] == (5, False, 10)
    assert shard[6] == runner.number
    assert batches == (1,)


def test_a_batch_is_refused_when_another_runner_has_the_shard_and_has_done_nothing_yet(
    flux: Fluxbase, pair: tuple[Runner, Runner]
) -> None:
    """The cursor is as it was: only the number of the runner is different."""
    loser, taker = pair
    shard = loser.lease()
    let_lease_end(flux)
    assert taker.lease() == shard

    assert_refused(flux, loser, shard)


def test_a_batch_is_refused_when_another_runner_has_the_shard_and_has_moved_on(
    flux: Fluxbase, pair: tuple[Runner, Runner]
) -> None:
    loser, taker = pair
    shard = loser.lease()
    let_lease_end(flux)
    taker.commit(taker.lease(), to=Ctid(0, 5))

    assert_refused(flux, loser, shard)


def test_a_batch_is_refused_when_another_thread_of_the_same_runner_has_moved_on(
    flux: Fluxbase, pair: tuple[Runner, Runner]
) -> None:
    """The runner's number is the same for both: only the cursor is different."""
    runner, _ = pair
    shard = runner.lease()
    let_lease_end(flux)
    runner.commit(runner.lease(), to=Ctid(0, 5))

    assert_refused(flux, runner, shard)


def test_a_batch_is_refused_when_another_thread_of_the_same_runner_is_in_a_later_lane(
    flux: Fluxbase, pair: tuple[Runner, Runner]
) -> None:
    runner, _ = pair
    flux.rows("UPDATE fluxbase_rotation.shard SET strides = 2")
    shard = runner.lease()
    flux.rows("UPDATE fluxbase_rotation.shard SET stride = 1")

    assert_refused(flux, runner, shard)


def test_a_batch_is_refused_when_another_thread_counts_in_the_same_catch_up_pass(
    flux: Fluxbase, pair: tuple[Runner, Runner]
) -> None:
    """The cursor does not move in a catch-up pass, so it shows nothing. What was counted meanwhile must stay."""
    runner, _ = pair
    runner.commit(runner.lease(), to=Ctid(1, 0), done=True)
    with flux.connect() as connection:
        assert runner.jobs.next_pass(runner.job, inspect(connection, write=True).relations[:1]) == 1
    shard = runner.lease()
    let_lease_end(flux)
    same = runner.lease()
    assert (same.id, same.cursor) == (shard.id, shard.cursor)
    runner.commit(same, to=same.cursor)

    runner.forget_values()
    before = recorded(flux)
    with pytest.raises(LeaseLostError):
        runner.commit(shard, to=shard.cursor, counts={}, done=True)
    assert not runner.wrote
    assert recorded(flux) == before


def test_a_session_whose_batch_was_refused_records_the_next_one(flux: Fluxbase, pair: tuple[Runner, Runner]) -> None:
    """The COMMIT after a refused record never reaches the server. So nothing may rely on any part of it later."""
    runner, _ = pair
    # The state after a read and a batch that was rolled back: at the second ROLLBACK of a session, the driver does not
    # forget its prepared statements, and it does not ask again about those that it knows.
    for statement in ("BEGIN", "COMMIT", "BEGIN", "ROLLBACK"):
        runner._connection.execute(statement)
    shard = runner.lease()
    flux.rows("UPDATE fluxbase_rotation.shard SET runner = NULL")
    assert_refused(flux, runner, shard)

    runner.commit(runner.lease(), to=Ctid(0, 5))

    assert runner.wrote


def test_a_shard_that_is_done_is_not_done_again(flux: Fluxbase, pair: tuple[Runner, Runner]) -> None:
    """Its last batch was empty and left the shard with the same cursor."""
    runner, _ = pair
    shard = runner.lease()
    flux.rows("UPDATE fluxbase_rotation.shard SET done = true")

    assert_refused(flux, runner, shard)


@pytest.mark.parametrize("state", [JobState.SUPERSEDED, JobState.INTERRUPTED, JobState.COMPLETED])
def test_a_job_that_no_longer_runs_accepts_no_batch(
    flux: Fluxbase, pair: tuple[Runner, Runner], state: JobState
) -> None:
    runner, _ = pair
    shard = runner.lease()
    runner.jobs.set_state(runner.job, state)

    assert_refused(flux, runner, shard)
