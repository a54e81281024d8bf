"""Old values that are written late: while there is nothing to do, or in a transaction that is open for a long time."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import psycopg
import pytest

from fluxbase_cli.engine.events import Step
from fluxbase_cli.engine.outcome import JobReport
from fluxbase_cli.store.jobs import JobStore
from fluxbase_cli.store.records import JobKind, NewJob
from tests.fixtures.fluxbase import NEW, OLD, SECRETS, Fluxbase, Opened, Spot, Watching, seal


def old_values(flux: Fluxbase) -> int:
    """How many values are still under the old key."""
    return sum(1 in each.versions for each in flux.everything().values())


def run_with(flux: Fluxbase, step: Step, action: Callable[[], object]) -> JobReport:
    """Run a job, with an action when its first batch of secrets reaches a step."""
    meddler = Watching(step, action, table="functions.secrets")
    report = flux.run(observer=meddler)
    assert meddler.acted
    return report


def test_an_old_value_written_while_there_is_nothing_to_do_is_found(flux: Fluxbase) -> None:
    """The main pass finds every value under the new key and writes nothing. A catch-up pass must follow anyway."""
    rows = flux.secrets(4, NEW)
    change = "UPDATE functions.secrets SET encrypted_value = %s WHERE id = %s"

    report = run_with(flux, Step.COMMITTED, lambda: flux.rows(change, seal(OLD, "late"), rows[0]))

    assert (report.state, report.remaining, old_values(flux)) == ("completed", 0, 0)
    assert flux.everything()[Spot(SECRETS, rows[0], ())] == Opened((2,), b"late")


def test_an_old_value_written_while_the_database_is_empty_is_found(flux: Fluxbase) -> None:
    """There is not even a shard: the relation has no page when the job begins."""
    added: list[UUID] = []
    flux.user()
    meddler = Watching(Step.COMMITTED, lambda: added.append(flux.secret(seal(OLD, "late"))), table="auth.users")

    report = flux.run(observer=meddler)

    assert meddler.acted
    assert (report.state, report.remaining) == ("completed", 0)
    assert flux.everything()[Spot(SECRETS, added[0], ())] == Opened((2,), b"late")


@pytest.mark.parametrize("key", [pytest.param(OLD, id="with old values"), pytest.param(NEW, id="with nothing to do")])
def test_a_transaction_that_was_open_when_the_job_began_hides_nothing(flux: Fluxbase, key: bytes) -> None:
    """Its rows are older than the job, and nobody could see them in the main pass."""
    row = flux.secrets(4, key)[0]
    with psycopg.connect(flux.url) as writer:
        writer.execute("UPDATE functions.secrets SET encrypted_value = %s WHERE id = %s", [seal(OLD, "late"), row])
        added = writer.execute(
            "INSERT INTO functions.secrets (id, name, encrypted_value) VALUES (gen_random_uuid(), 'LATE', %s)"
            " RETURNING id",
            [seal(OLD, "added")],
        ).fetchone()
        assert added is not None
        report = run_with(flux, Step.READ, writer.commit)

    opened = flux.everything()
    assert (report.state, report.remaining, old_values(flux)) == ("completed", 0, 0)
    assert opened[Spot(SECRETS, row, ())] == Opened((2,), b"late")
    assert opened[Spot(SECRETS, added[0], ())] == Opened((2,), b"added")


def test_every_pass_reads_what_was_in_open_transactions_when_the_pass_before_began(flux: Fluxbase) -> None:
    """A catch-up pass reads what is new since the pass before began. Transactions that were open then commit later."""
    new = NewJob(JobKind.RE_ENCRYPT, 1, 2, None, {}, "", full_census=False, total_rows=0, shard_layouts={})
    with psycopg.connect(flux.url) as writer, flux.connect() as ours, flux.connect() as other:
        jobs = JobStore(ours)
        jobs.schema.ensure()
        (open_one,) = writer.execute("SELECT pg_current_xact_id()::text::bigint").fetchone() or (0,)
        # Later transactions have ended, so the newest transaction is not the oldest open one.
        other.execute("SELECT pg_current_xact_id()")
        job = jobs.create(new)
        begun = jobs.get(job)
        other.execute("SELECT pg_current_xact_id()")
        jobs.next_pass(job, ())
        first = jobs.get(job)
        writer.commit()
        jobs.next_pass(job, ())
        second = jobs.get(job)

    assert begun is not None
    assert first is not None
    assert second is not None
    assert begun.horizon == open_one < begun.began
    assert first.news_from == begun.horizon
    assert second.news_from == first.horizon == open_one
    assert second.horizon > begun.began
