"""Jobs: stopped and resumed, refused and joined, superseded, rolled back; and the record that nobody can change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from fluxbase_cli.counts import Counts
from fluxbase_cli.engine.events import NullObserver, Step
from fluxbase_cli.engine.goal import Goal
from fluxbase_cli.engine.outcome import JobReport
from fluxbase_cli.engine.prepare.prepare import prepare
from fluxbase_cli.engine.request import JobRequest
from fluxbase_cli.engine.run.job_run import JobRun
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.errors import ConfigurationError, ExitCode, JobRunningError
from fluxbase_cli.store.connection import connect
from fluxbase_cli.store.jobs import JobStore
from fluxbase_cli.store.limits import Limits
from fluxbase_cli.store.records import JobKind
from tests.fixtures.fluxbase import (
    COLUMNS,
    KEYS,
    KEYS_OF_THREE,
    NEW,
    OLD,
    SECRETS,
    STRANGER,
    THIRD,
    Fluxbase,
    Watching,
    ring_of,
    seal,
)

FIVE = Limits(rows=5, bytes=1 << 20)


def stop_after(flux: Fluxbase, batches: int, **options: Any) -> JobReport:
    """A run that is asked to stop after some committed batches."""
    stop = Stop()
    left = iter(range(batches - 1))

    def count_down() -> None:
        if next(left, None) is None:
            stop.request(15)

    observer = Watching(Step.COMMITTED, count_down, times=batches)
    return flux.run(observer=observer, stop=stop, **options)


def state_of(flux: Fluxbase, job: int | None) -> str:
    return str(flux.value("SELECT state FROM fluxbase_rotation.job WHERE id = %s", job))


def versions(flux: Fluxbase) -> list[int]:
    return sorted(version for each in flux.everything().values() for version in each.versions)


# --- stopping and resuming --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batches", [1, 4])
def test_a_stopped_job_is_resumed_where_it_was_and_touches_no_value_twice(flux: Fluxbase, batches: int) -> None:
    flux.secrets(25)
    flux.secrets(5, NEW)
    bad = flux.secret(seal(STRANGER, "x"))
    first = stop_after(flux, batches, limits=FIVE)
    assert (first.state, first.exit_code, first.remaining) == ("interrupted", ExitCode.SIGTERM, None)
    assert first.total.updated == 5 * batches
    done = {row[0]: row for row in flux.places()["functions.secrets"]}
    moved = {spot.id for spot, each in flux.everything().items() if each.versions == (2,)}
    second = flux.run(limits=FIVE)
    assert (second.job, second.state, second.remaining) == (first.job, "completed", 0)
    assert second.total == Counts(scanned=31, re_encrypted=25, updated=25, already_current=5, undecryptable=1)
    assert [entry.id for entry in second.quarantine] == [bad]
    # The counts are those of the whole job, the rate is the rate of this run.
    assert second.handled == 31 - first.total.scanned
    now = {row[0]: row for row in flux.places()["functions.secrets"]}
    assert [row for row in moved if now[row] != done[row]] == []


def test_a_job_with_every_kind_of_value_that_is_stopped_at_every_batch_reports_exact_counts(full: Fluxbase) -> None:
    before, dump = full.everything(), full.dump()
    reports = [stop_after(full, 4, limits=Limits(rows=4, bytes=1 << 20))]
    while reports[-1].state == "interrupted":
        assert len(reports) < 40
        # Stop later each time: an interrupted catch-up pass begins again, so one run must be allowed to complete it.
        reports.append(stop_after(full, max(4, len(reports) - 10), limits=Limits(rows=4, bytes=1 << 20)))
    last = reports[-1]
    assert len(reports) > 4
    assert last.state == "completed"
    assert {location: last.locations[location] for location in COLUMNS} == dict(full.expected)
    after = full.everything()
    assert {spot: each.text for spot, each in after.items()} == {spot: each.text for spot, each in before.items()}
    assert full.dump() == dump
    assert {(entry.location, entry.id, entry.path) for entry in last.quarantine} == full.bad


def test_a_job_that_is_stopped_during_the_catch_up_pass_is_resumed_there(flux: Fluxbase) -> None:
    flux.secrets(10)
    stop = Stop()
    added: list[object] = []

    def interfere() -> None:
        if not added:
            added.extend(flux.secrets(6))
        elif len(added) == 6 and flux.value("SELECT max(pass) FROM fluxbase_rotation.job") > 0:
            stop.request(15)

    observer = Watching(Step.COMMITTED, interfere, table="functions.secrets", times=99)
    first = flux.run(observer=observer, stop=stop, limits=Limits(rows=2, bytes=1 << 20))
    assert first.state == "interrupted"
    assert 1 in versions(flux)
    second = flux.run()
    assert (second.job, second.state) == (first.job, "completed")
    assert versions(flux) == [2] * 16
    assert second.total.updated == second.total.re_encrypted == 16
    assert second.total.moved == 6


def test_what_was_sealed_under_the_old_key_while_the_job_was_stopped_is_done_too(flux: Fluxbase) -> None:
    rows = flux.secrets(20)
    stop_after(flux, 2, limits=FIVE)
    flux.rows("UPDATE functions.secrets SET encrypted_value = %s WHERE id = ANY(%s)", seal(OLD, "between"), rows)
    flux.secrets(3)
    report = flux.run(limits=FIVE)
    assert report.state == "completed"
    assert versions(flux) == [2] * 23


def test_a_table_rewritten_while_the_job_was_stopped_hides_no_row(flux: Fluxbase) -> None:
    gone = flux.secrets(10, NEW)
    flux.secrets(20)
    stop_after(flux, 3, limits=FIVE)
    flux.rows("DELETE FROM functions.secrets WHERE id = ANY(%s)", gone)
    flux.rows("VACUUM FULL functions.secrets")
    report = flux.run(limits=FIVE)
    assert report.state == "completed"
    assert versions(flux) == [2] * 20


# --- who may resume ---------------------------------------------------------------------------------------------------


def test_a_job_is_not_resumed_with_other_keys_than_it_began_with(flux: Fluxbase) -> None:
    flux.secrets(6, THIRD)
    flux.secrets(6)
    stopped = stop_after(flux, 1)
    places = flux.places()
    for keys in ({1: OLD, 2: STRANGER}, KEYS_OF_THREE):
        with pytest.raises(ConfigurationError, match="other keys"):
            flux.run(keys=keys, accept_undecryptable=True)
    assert flux.places() == places
    assert state_of(flux, stopped.job) == "interrupted"


def test_another_goal_is_refused_while_a_job_is_unfinished_and_restart_supersedes_it(flux: Fluxbase) -> None:
    flux.secrets(12)
    stopped = stop_after(flux, 2, keys=KEYS_OF_THREE)
    with pytest.raises(ConfigurationError, match=rf"job {stopped.job} .*version 1 to 2.* is not finished") as refused:
        flux.run(target=3, keys=KEYS_OF_THREE)
    assert "`fluxbase-cli secrets re-encrypt --from-version 1 --to-version 2`" in str(refused.value.hint)
    with pytest.raises(ConfigurationError, match="not finished"):
        flux.run(source=None, keys=KEYS_OF_THREE)
    report = flux.run(source=None, target=3, keys=KEYS_OF_THREE, restart=True)
    assert report.state == "completed"
    assert report.job != stopped.job
    assert state_of(flux, stopped.job) == "superseded"
    assert {each.versions for each in flux.everything().values()} == {(3,)}
    happened = flux.rows("SELECT job, what FROM fluxbase_rotation.event ORDER BY id")
    assert (stopped.job, "superseded") in happened


def test_restart_with_the_same_goal_begins_again_and_counts_from_0(flux: Fluxbase) -> None:
    flux.secrets(12)
    stopped = stop_after(flux, 2)
    report = flux.run(restart=True)
    assert report.job != stopped.job
    assert report.total == Counts(scanned=12, re_encrypted=6, updated=6, already_current=6)


def test_there_is_nothing_to_join_without_an_unfinished_job(flux: Fluxbase) -> None:
    flux.secrets(2)
    with pytest.raises(ConfigurationError, match="no unfinished job"):
        flux.run(join=True)
    flux.run()
    with pytest.raises(ConfigurationError, match="no unfinished job"):
        flux.run(join=True)


# --- two at the same time ---------------------------------------------------------------------------------------------


@contextmanager
def alive(flux: Fluxbase, job: int | None) -> Iterator[None]:
    """Another runner of the job that is alive."""
    assert job is not None
    with connect(flux.database) as connection:
        store = JobStore(connection)
        assert store.runners.take_lock(store.runners.register(job, 1))
        yield


def test_a_second_runner_is_refused_while_one_is_alive_and_can_join(flux: Fluxbase) -> None:
    flux.secrets(12)
    stopped = stop_after(flux, 2)
    with alive(flux, stopped.job):
        with pytest.raises(JobRunningError, match=rf"job {stopped.job} .*50% done") as caught:
            flux.run()
        assert caught.value.exit_code == ExitCode.JOB_RUNNING
        for options in ({"restart": True}, {"source": None, "target": 1, "kind": JobKind.ROLLBACK}):
            with pytest.raises(JobRunningError):
                flux.run(**options)
        joined = flux.run(join=True)
    assert (joined.job, joined.state) == (stopped.job, "completed")
    assert joined.total == Counts(scanned=12, re_encrypted=12, updated=12)


def test_a_runner_that_joins_must_have_the_same_goal(flux: Fluxbase) -> None:
    flux.secrets(6)
    stopped = stop_after(flux, 1)
    with alive(flux, stopped.job):
        with pytest.raises(ConfigurationError, match="not finished"):
            flux.run(source=None, join=True)
        with pytest.raises(ConfigurationError, match="other keys"):
            flux.run(keys=KEYS_OF_THREE, join=True)


def test_a_rollback_with_join_does_not_supersede_a_job_that_is_alive(flux: Fluxbase) -> None:
    flux.secrets(6)
    stopped = stop_after(flux, 1)
    with alive(flux, stopped.job), pytest.raises((ConfigurationError, JobRunningError)):
        flux.run(source=None, target=1, kind=JobKind.ROLLBACK, join=True)
    assert state_of(flux, stopped.job) == "interrupted"


def test_the_shards_of_a_dead_runner_are_taken_at_once(flux: Fluxbase) -> None:
    flux.secrets(6)
    stopped = stop_after(flux, 1)
    flux.rows(
        "UPDATE fluxbase_rotation.shard SET runner = 4711, lease_until = now() + interval '1 hour' WHERE NOT done"
    )
    assert flux.run().state == "completed"
    assert state_of(flux, stopped.job) == "completed"


def prepared_run(flux: Fluxbase, *, target: int = 2, source: int | None = 1) -> JobRun:
    request = JobRequest(JobKind.RE_ENCRYPT, Goal(target, source=source), workers=1)
    ring = ring_of(KEYS)
    return JobRun(flux.database, ring, prepare(flux.database, ring, request), stop=Stop(), observer=NullObserver())


def test_of_two_jobs_that_were_prepared_at_the_same_time_the_second_does_not_supersede_the_first(
    flux: Fluxbase,
) -> None:
    """Two operators answer their questions. The second must see the first job, which already runs by then."""
    flux.secrets(6)
    second = prepared_run(flux)
    stopped = stop_after(flux, 1)
    with alive(flux, stopped.job), pytest.raises(JobRunningError):
        second.run()
    assert state_of(flux, stopped.job) == "interrupted"


def supersede(flux: Fluxbase) -> Watching:
    """An observer that supersedes the job after its first batch."""
    statement = "UPDATE fluxbase_rotation.job SET state = 'superseded', finished_at = now()"
    return Watching(Step.COMMITTED, lambda: flux.rows(statement), table="functions.secrets")


def test_a_job_that_was_superseded_under_its_runner_is_not_reported_as_done(flux: Fluxbase) -> None:
    flux.secrets(9)
    report = flux.run(observer=supersede(flux))
    assert report.state == "failed"
    assert report.error is not None
    assert "superseded" in report.error
    assert report.exit_code == ExitCode.FAILED


def test_a_runner_whose_job_was_superseded_writes_no_further_batch(flux: Fluxbase) -> None:
    """Otherwise it would still write the new key while a rollback of its job moves everything back, and after it."""
    flux.secrets(9)
    flux.run(observer=supersede(flux), limits=Limits(rows=3, bytes=1 << 20))
    assert versions(flux) == [1] * 6 + [2] * 3


# --- rollback ---------------------------------------------------------------------------------------------------------


def test_a_half_done_job_is_rolled_back_and_superseded(flux: Fluxbase) -> None:
    flux.secrets(12)
    stopped = stop_after(flux, 2)
    assert versions(flux) == [1] * 6 + [2] * 6
    report = flux.run(source=None, target=1, kind=JobKind.ROLLBACK, reason="wrong day")
    assert report.state == "completed"
    assert report.total == Counts(scanned=12, re_encrypted=6, updated=6, already_current=6)
    assert versions(flux) == [1] * 12
    assert state_of(flux, stopped.job) == "superseded"
    assert flux.value("SELECT reason FROM fluxbase_rotation.job WHERE id = %s", report.job) == "wrong day"


def test_a_half_done_rollback_is_resumed_and_a_re_encryption_does_not_supersede_it(flux: Fluxbase) -> None:
    flux.secrets(12, NEW)
    back: dict[str, Any] = {"source": None, "target": 1, "kind": JobKind.ROLLBACK, "reason": "why"}
    stopped = stop_after(flux, 2, **back)
    with pytest.raises(ConfigurationError, match="not finished"):
        flux.run()
    report = flux.run(**back)
    assert (report.job, report.state) == (stopped.job, "completed")
    assert versions(flux) == [1] * 12


# --- the record ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("replica", [False, True])
@pytest.mark.parametrize(
    "statement", ["UPDATE {} SET what = 'x'", "DELETE FROM {}", "TRUNCATE {}", "TRUNCATE {} CASCADE"]
)
def test_even_a_superuser_cannot_change_the_events(flux: Fluxbase, statement: str, replica: bool) -> None:  # noqa: FBT001
    flux.run()
    events = flux.rows("SELECT * FROM fluxbase_rotation.event")
    assert len(events) == 2
    with flux.connect() as connection:
        if replica:
            connection.execute("SET session_replication_role = replica")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
            connection.execute(statement.format("fluxbase_rotation.event").encode())
    assert flux.rows("SELECT * FROM fluxbase_rotation.event") == events


def test_the_record_says_who_did_what_and_why(flux: Fluxbase) -> None:
    flux.secrets(4)
    report = flux.run(source=None, target=2, reason="the yearly rotation")
    rows = flux.rows(
        "SELECT job, what, reason, db_user = session_user, os_user <> '', host <> '' FROM fluxbase_rotation.event"
    )
    assert rows == [
        (report.job, "started", "the yearly rotation", True, True, True),
        (report.job, "completed", None, True, True, True),
    ]


def test_the_progress_tables_hold_no_key_and_no_value(full: Fluxbase) -> None:
    stored = {text for text, _ in full.stored().values() if len(text) >= 40}
    plaintexts = {each.text.decode("utf-8", "replace") for each in full.everything().values() if each.versions}
    full.run()
    stored |= {text for text, _ in full.stored().values() if len(text) >= 40}
    names = full.rows(
        "SELECT relname FROM pg_class WHERE relnamespace = 'fluxbase_rotation'::regnamespace AND relkind = 'r'"
    )
    assert len(names) >= 5
    kept = "\n".join(str(full.rows(f"SELECT t::text FROM fluxbase_rotation.{name} AS t")) for (name,) in names)
    assert SECRETS in kept
    assert [text for text in stored if text in kept] == []
    assert [text for text in plaintexts if len(text) > 8 and text in kept] == []
    assert [key for key in KEYS.values() if key.hex() in kept or str(key) in kept] == []
