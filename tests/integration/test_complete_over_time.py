"""Values that were uncommitted or moved during an audit or a job are found, or what hides them is named."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import psycopg
import pytest

from fluxbase_cli.engine.events import BatchDone, Event, NullObserver, Observer, PassStarted, Waiting
from fluxbase_cli.engine.outcome import AuditReport
from fluxbase_cli.engine.read.audit import run_audit
from fluxbase_cli.engine.read.snapshot import WRITERS_WAIT_S
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.errors import ExitCode
from fluxbase_cli.store.jobs import JobStore
from fluxbase_cli.unexamined import UnexaminedKind
from tests.fixtures.fluxbase import FEW, KEYS, NEW, OLD, SECRETS, Fluxbase, open_all, ring_of, seal


class Interrupting:
    """An observer that does something once, when it gets a message."""

    def __init__(self, when: Callable[[Event], bool], action: Callable[[], Any]) -> None:
        self._when, self._action = when, action
        self._lock = threading.Lock()
        self.done = False

    def notify(self, event: Event) -> None:
        with self._lock:
            if self.done or not self._when(event):
                return
            self.done = True
        self._action()


def audit_of(
    flux: Fluxbase, version: int, *, observer: Observer | None = None, wait_s: float = WRITERS_WAIT_S
) -> AuditReport:
    """An audit with an observer."""
    return run_audit(
        flux.database,
        ring_of(KEYS),
        key_version=version,
        limits=FEW,
        workers=2,
        stop=Stop(),
        observer=observer or NullObserver(),
        wait_s=wait_s,
    )


def values_under(
    flux: Fluxbase, version: int, table: str = "functions.secrets", column: str = "encrypted_value"
) -> int:
    """How many values of a column the independent reader opens with the key of a version."""
    found = [row[0] for row in flux.rows(f"SELECT {column} FROM {table} WHERE {column} IS NOT NULL")]
    return sum(version in open_all(text, KEYS).versions for text in found)


@contextmanager
def open_transaction(flux: Fluxbase) -> Iterator[psycopg.Connection[Any]]:
    """A session with an open transaction. What it has not committed is rolled back."""
    with flux.connect() as connection:
        connection.autocommit = False
        yield connection
        if not connection.closed:
            connection.rollback()


def insert_secret(connection: psycopg.Connection[Any], text: str, name: str) -> None:
    connection.execute(
        "INSERT INTO functions.secrets (name, scope, encrypted_value) VALUES (%s, 'global', %s)", [name, text]
    )


# --- the audit ----------------------------------------------------------------------------------------------------


def test_a_migration_that_rewrites_a_table_during_the_audit_waits_and_hides_nothing(flux: Fluxbase) -> None:
    """An ALTER with a volatile default rewrites the table. An older snapshot sees an empty table."""
    flux.secrets(40)
    failures: list[str] = []

    def alter() -> None:
        with flux.connect() as connection:
            connection.execute("SET lock_timeout = '200ms'")
            try:
                connection.execute("ALTER TABLE functions.secrets ADD COLUMN ref uuid DEFAULT gen_random_uuid()")
            except psycopg.errors.LockNotAvailable:
                failures.append("waited")

    observer = Interrupting(lambda event: isinstance(event, PassStarted), alter)
    report = audit_of(flux, 1, observer=observer)
    assert observer.done
    assert failures == ["waited"]
    assert (report.found, report.exit_code) == (40, ExitCode.CHECK_SAYS_NO)


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_an_audit_waits_for_an_open_transaction_that_wrote_a_value(flux: Fluxbase, end: str) -> None:
    flux.secrets(3, NEW)
    with open_transaction(flux) as writer:
        insert_secret(writer, seal(OLD, "not committed yet"), "late")
        observer = Interrupting(lambda event: isinstance(event, Waiting), getattr(writer, end))
        report = audit_of(flux, 1, observer=observer, wait_s=30.0)
    assert observer.done
    assert report.unexamined == ()
    assert report.found == (1 if end == "commit" else 0)


def test_an_open_transaction_that_does_not_end_is_named_and_the_audit_proves_nothing(flux: Fluxbase) -> None:
    flux.secrets(3, NEW)
    with open_transaction(flux) as writer:
        insert_secret(writer, seal(OLD, "never committed"), "late")
        report = audit_of(flux, 1, wait_s=0.2)
        pid = writer.info.backend_pid
    (left,) = report.unexamined
    assert (left.kind, left.where) == (UnexaminedKind.TRANSACTION, f"of process {pid}")
    assert "functions.secrets" in left.reason
    assert (report.found, report.exit_code) == (0, ExitCode.UNDECRYPTABLE_LEFT)


def test_a_prepared_transaction_is_named_by_its_name(prepared: Fluxbase) -> None:
    prepared.secrets(3, NEW)
    with open_transaction(prepared) as writer:
        insert_secret(writer, seal(OLD, "prepared"), "late")
        writer.execute("PREPARE TRANSACTION 'orphan'")
    try:
        report = audit_of(prepared, 1, wait_s=0.2)
        (left,) = report.unexamined
        assert (left.kind, left.where) == (UnexaminedKind.PREPARED_TRANSACTION, "'orphan'")
        assert report.exit_code == ExitCode.UNDECRYPTABLE_LEFT
    finally:
        prepared.rows("COMMIT PREPARED 'orphan'")
    after = audit_of(prepared, 1)
    assert (after.found, after.unexamined) == (1, ())


def test_readers_and_writers_of_other_tables_cause_no_waiting(flux: Fluxbase) -> None:
    flux.secrets(3, NEW)
    with open_transaction(flux) as dump, open_transaction(flux) as other:
        dump.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        dump.execute("SELECT count(*) FROM functions.secrets")
        other.execute("CREATE TABLE elsewhere (id integer)")
        other.execute("INSERT INTO elsewhere VALUES (1)")
        observer = Interrupting(lambda event: isinstance(event, Waiting), list)
        report = audit_of(flux, 1, observer=observer, wait_s=20.0)
    assert (report.unexamined, observer.done) == ((), False)
    assert report.exit_code == ExitCode.DONE


def test_an_audit_also_reads_what_a_transaction_commits_while_it_reads(flux: Fluxbase) -> None:
    """The transaction lasts longer than the audit waits, and ends before the audit. Its value is read afterwards."""
    flux.secrets(5, NEW)
    with open_transaction(flux) as writer:
        insert_secret(writer, seal(OLD, "committed in the midst"), "late")
        observer = Interrupting(lambda event: isinstance(event, PassStarted), writer.commit)
        report = audit_of(flux, 1, observer=observer, wait_s=0.0)
    assert observer.done
    assert (report.found, report.unexamined) == (1, ())


def test_a_value_written_in_a_savepoint_is_read_too(flux: Fluxbase) -> None:
    """Its row has the number of the subtransaction, which no snapshot lists."""
    with open_transaction(flux) as writer:
        writer.execute("SELECT pg_current_xact_id()")
        writer.execute("SAVEPOINT inner_one")
        insert_secret(writer, seal(OLD, "in a savepoint"), "late")
        writer.execute("RELEASE inner_one")
        observer = Interrupting(lambda event: isinstance(event, PassStarted), writer.commit)
        report = audit_of(flux, 1, observer=observer, wait_s=0.0)
    assert (report.found, report.unexamined) == (1, ())


# --- the job ------------------------------------------------------------------------------------------------------


def test_a_job_waits_for_a_transaction_with_an_old_value_and_moves_it(flux: Fluxbase) -> None:
    flux.secrets(5)
    with open_transaction(flux) as writer:
        insert_secret(writer, seal(OLD, "not committed yet"), "late")
        observer = Interrupting(lambda event: isinstance(event, Waiting), writer.commit)
        report = flux.run(observer=observer, wait_s=30.0)
    assert observer.done
    assert (report.state, values_under(flux, 1), values_under(flux, 2)) == ("completed", 0, 6)


def test_a_job_is_completed_only_after_a_transaction_with_an_old_value_has_ended(flux: Fluxbase) -> None:
    flux.secrets(5)
    with open_transaction(flux) as writer:
        insert_secret(writer, seal(OLD, "never committed"), "late")
        report = flux.run(wait_s=0.2)
        assert (report.state, report.exit_code) == ("failed", ExitCode.FAILED)
        assert [each.kind for each in report.unexamined] == [UnexaminedKind.TRANSACTION]
        assert "could not be examined" in (report.error or "")
        writer.commit()
    again = flux.run(wait_s=0.2)
    assert (again.state, again.job, values_under(flux, 1)) == ("completed", report.job, 0)


def test_a_job_is_not_completed_while_there_is_a_prepared_transaction(prepared: Fluxbase) -> None:
    prepared.secrets(5)
    with open_transaction(prepared) as writer:
        insert_secret(writer, seal(OLD, "prepared"), "late")
        writer.execute("PREPARE TRANSACTION 'orphan of a job'")
    try:
        report = prepared.run(wait_s=0.2)
        assert report.state == "failed"
        assert [each.where for each in report.unexamined] == ["'orphan of a job'"]
    finally:
        prepared.rows("COMMIT PREPARED 'orphan of a job'")
    assert (prepared.run().state, values_under(prepared, 1)) == ("completed", 0)


@pytest.fixture
def prepared(flux: Fluxbase) -> Fluxbase:
    """A database on a server that allows prepared transactions."""
    if int(flux.value("SELECT current_setting('max_prepared_transactions')")) == 0:
        pytest.skip("this server takes no prepared transactions (max_prepared_transactions)")
    return flux


# --- partitions and tables that inherit ---------------------------------------------------------------------------


def partition(flux: Fluxbase) -> None:
    """Make `functions.secrets` a partitioned table with one partition for each half of the ids."""
    flux.rows(
        "ALTER TABLE functions.secrets RENAME TO plain;"
        "CREATE TABLE functions.secrets (LIKE functions.plain INCLUDING DEFAULTS) PARTITION BY RANGE (id);"
        "ALTER TABLE functions.secrets ADD PRIMARY KEY (id);"
        "CREATE TABLE functions.low PARTITION OF functions.secrets"
        " FOR VALUES FROM (MINVALUE) TO ('80000000-0000-0000-0000-000000000000');"
        "DROP TABLE functions.plain CASCADE"
    )


def attach_high(flux: Fluxbase, rows: int) -> None:
    """Attach a partition that holds old values already."""
    flux.rows("CREATE TABLE functions.high (LIKE functions.secrets INCLUDING DEFAULTS INCLUDING INDEXES)")
    for number in range(rows):
        flux.rows(
            "INSERT INTO functions.high (id, name, scope, encrypted_value) VALUES (%s, %s, 'global', %s)",
            UUID(int=2**127 + number),
            f"high {number}",
            seal(OLD, "high"),
        )
    flux.rows(
        "ALTER TABLE functions.secrets ATTACH PARTITION functions.high"
        " FOR VALUES FROM ('80000000-0000-0000-0000-000000000000') TO (MAXVALUE)"
    )


def low_secrets(flux: Fluxbase, count: int) -> None:
    flux.secrets(count, first_id=1)


def test_a_partition_that_is_attached_during_a_job_is_done_too(flux: Fluxbase) -> None:
    partition(flux)
    low_secrets(flux, 30)
    observer = Interrupting(lambda event: isinstance(event, BatchDone), lambda: attach_high(flux, 20))
    report = flux.run(observer=observer, limits=FEW)
    assert observer.done
    assert (report.state, values_under(flux, 1), values_under(flux, 2)) == ("completed", 0, 50)


def test_a_partition_that_is_dropped_during_a_job_does_not_end_the_job(flux: Fluxbase) -> None:
    partition(flux)
    low_secrets(flux, 5)
    attach_high(flux, 30)
    flux.github(seal(OLD, "a webhook secret"))
    observer = Interrupting(
        lambda event: isinstance(event, BatchDone), lambda: flux.rows("DROP TABLE functions.high CASCADE")
    )
    report = flux.run(observer=observer, limits=FEW, workers=1)
    assert observer.done
    assert (report.state, values_under(flux, 1), values_under(flux, 2)) == ("completed", 0, 5)
    assert values_under(flux, 1, "branching.github_config", "webhook_secret") == 0


def test_a_partition_that_is_attached_during_an_audit_is_read_too(flux: Fluxbase) -> None:
    partition(flux)
    low_secrets(flux, 10)
    observer = Interrupting(lambda event: isinstance(event, PassStarted), lambda: attach_high(flux, 4))
    assert audit_of(flux, 1, observer=observer).found == 14


def test_a_job_fails_when_a_sealed_table_is_renamed_and_resumes_when_it_is_back(flux: Fluxbase) -> None:
    flux.secrets(30)
    flux.github(seal(OLD, "a webhook secret"))
    observer = Interrupting(
        lambda event: isinstance(event, BatchDone),
        lambda: flux.rows("ALTER TABLE branching.github_config RENAME TO github_config_old"),
    )
    report = flux.run(observer=observer, limits=FEW, workers=1)
    assert observer.done
    assert (report.state, report.exit_code) == ("failed", ExitCode.FAILED)
    assert [each.where for each in report.unexamined] == ["branching.github_config"]
    flux.rows("ALTER TABLE branching.github_config_old RENAME TO github_config")
    again = flux.run()
    assert (again.state, again.job) == ("completed", report.job)
    assert values_under(flux, 1, "branching.github_config", "webhook_secret") == 0


def test_a_table_that_inherits_is_read_and_written_separately(flux: Fluxbase) -> None:
    flux.rows("CREATE TABLE functions.secrets_archive () INHERITS (functions.secrets)")
    flux.secrets(25)
    for number in range(25):
        flux.rows(
            "INSERT INTO functions.secrets_archive (name, scope, encrypted_value) VALUES (%s, 'global', %s)",
            f"archived {number}",
            seal(OLD, "archived"),
        )
    assert audit_of(flux, 1).found == 50
    report = flux.run(limits=FEW)
    assert (report.state, report.total.re_encrypted, values_under(flux, 1)) == ("completed", 50, 0)
    assert audit_of(flux, 1).exit_code == ExitCode.DONE
    # The archive is one of the relations, and no row of it moved into the parent.
    assert int(flux.value("SELECT count(*) FROM ONLY functions.secrets")) == 25


def test_rows_with_the_same_id_in_a_table_that_inherits_are_all_moved(flux: Fluxbase) -> None:
    """Such a table has no primary key, so nothing prevents equal ids."""
    flux.rows("CREATE TABLE functions.archive () INHERITS (functions.secrets)")
    for number in range(4):
        flux.rows(
            "INSERT INTO functions.archive (id, name, scope, encrypted_value) VALUES (%s, %s, 'global', %s)",
            UUID(int=7),
            f"version {number}",
            seal(OLD, f"plaintext {number}"),
        )
    assert flux.run().state == "completed"
    texts = {open_all(row[0], KEYS) for row in flux.rows("SELECT encrypted_value FROM functions.archive")}
    assert {(each.versions, each.text) for each in texts} == {((2,), f"plaintext {n}".encode()) for n in range(4)}


# --- numbers that no longer mean the same -----------------------------------------------------------------------------


def test_the_storage_mark_names_the_cluster_and_its_timeline(flux: Fluxbase) -> None:
    flux.secrets(1)
    report = flux.run()
    marks = flux.value("SELECT storage FROM fluxbase_rotation.job WHERE id = %s", report.job)
    identifier = str(flux.value("SELECT system_identifier FROM pg_control_system()"))
    assert marks
    assert all(mark.split(":")[:2] == [identifier, "00000001"] for mark in marks)


def test_a_job_with_the_storage_mark_of_another_cluster_opens_everything(flux: Fluxbase) -> None:
    """As when a dump of a half-done job is restored elsewhere: finished shards say nothing about these rows."""
    flux.secrets(30)
    stop = Stop()
    observer = Interrupting(lambda event: isinstance(event, BatchDone), stop.request)
    report = flux.run(stop=stop, observer=observer, limits=FEW, workers=1)
    assert report.state == "interrupted"
    flux.rows(
        "UPDATE fluxbase_rotation.job SET storage ="
        " ARRAY(SELECT regexp_replace(mark, '^[0-9]+:', '1:') FROM unnest(storage) AS mark)"
    )
    # These rows have other ctids than the rows that were done.
    flux.rows("UPDATE fluxbase_rotation.shard SET done = true")
    again = flux.run(limits=FEW)
    assert (again.state, again.job, values_under(flux, 1)) == ("completed", report.job, 0)
    assert flux.value("SELECT full_census FROM fluxbase_rotation.job WHERE id = %s", report.job)


def test_after_2_to_the_32_transactions_everything_is_opened(flux: Fluxbase, monkeypatch: pytest.MonkeyPatch) -> None:
    flux.secrets(5)
    assert not flux.value("SELECT full_census FROM fluxbase_rotation.job WHERE id = %s", flux.run().job)
    flux.secrets(5)
    monkeypatch.setattr(JobStore, "beyond_32_bits", lambda _jobs: True)
    assert flux.value("SELECT full_census FROM fluxbase_rotation.job WHERE id = %s", flux.run().job)


def test_a_table_and_the_tables_that_inherit_from_it_count_as_one_location(flux: Fluxbase) -> None:
    flux.rows("CREATE TABLE functions.archive () INHERITS (functions.secrets)")
    flux.secrets(2)
    assert flux.audit().locations[SECRETS].scanned == 2
