"""Reading waits for locks of others, and begins again after an error; errors that stay are not retried."""

from __future__ import annotations

import threading
from collections.abc import Callable

import psycopg
import pytest

from fluxbase_cli.engine.events import Event, Waiting
from fluxbase_cli.engine.goal import Goal
from fluxbase_cli.engine.prepare.prepare import prepare
from fluxbase_cli.engine.read import full_read
from fluxbase_cli.engine.read.audit import run_audit
from fluxbase_cli.engine.request import JobRequest
from fluxbase_cli.engine.retry import is_transient
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.store import session_settings
from fluxbase_cli.store.records import JobKind
from tests.fixtures.command import until
from tests.fixtures.fluxbase import FEW, KEYS, Fluxbase, ring_of


class _On:
    """Calls functions when the first event of a type comes, and keeps the reasons of waits."""

    def __init__(self, **actions: Callable[[], None]) -> None:
        self._actions = actions
        self.waits: list[str] = []
        self._lock = threading.Lock()

    def notify(self, event: Event) -> None:
        if isinstance(event, Waiting):
            self.waits.append(event.reason)
        with self._lock:
            action = self._actions.pop(type(event).__name__, None)
        if action is not None:
            action()


@pytest.fixture(autouse=True)
def _short_lock_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(session_settings.SETTINGS, "lock_timeout", "200ms")


def test_a_table_that_is_locked_before_a_job_is_waited_for(full: Fluxbase) -> None:
    with psycopg.connect(full.url) as blocker:
        blocker.execute("LOCK TABLE functions.secrets IN ACCESS EXCLUSIVE MODE")
        seen = _On(Waiting=blocker.rollback)
        request = JobRequest(JobKind.RE_ENCRYPT, Goal(2, source=1), limits=FEW, workers=1)
        assert prepare(full.database, ring_of(KEYS), request, seen).plan.rows > 0
    assert "LockNotAvailable" in seen.waits[0]


def test_patience_says_how_long_a_locked_table_is_waited_for(full: Fluxbase) -> None:
    with psycopg.connect(full.url) as blocker:
        blocker.execute("LOCK TABLE functions.secrets IN ACCESS EXCLUSIVE MODE")
        request = JobRequest(JobKind.RE_ENCRYPT, Goal(2, source=1), limits=FEW, workers=1, retry_limit_s=0.5)
        seen = _On()
        with pytest.raises(Exception, match="LockNotAvailable"):
            prepare(full.database, ring_of(KEYS), request, seen)
    assert seen.waits


def test_an_audit_whose_reading_meets_a_lock_reads_on_in_a_new_transaction(
    full: Fluxbase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A migration waits for its ACCESS EXCLUSIVE lock, so nobody gets a new lock on the table, until it gives up."""
    # A small table is read over the connection that has its lock already.
    monkeypatch.setattr(full_read, "_FEW_ROWS", -1)
    migration = psycopg.connect(full.url)

    def migrate() -> None:
        def lock() -> None:
            with pytest.raises(psycopg.errors.QueryCanceled):
                migration.execute("LOCK TABLE functions.secrets IN ACCESS EXCLUSIVE MODE")

        threading.Thread(target=lock, daemon=True).start()
        until(
            lambda: full.value("SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND NOT granted"),
            "the migration waits",
        )

    seen = _On(PassStarted=migrate, Waiting=migration.cancel_safe)
    try:
        report = run_audit(
            full.database, ring_of(KEYS), key_version=None, limits=FEW, workers=2, stop=Stop(), observer=seen
        )
    finally:
        migration.close()
    assert "LockNotAvailable" in seen.waits[0]
    assert report.scanned == full.audit().scanned


@pytest.mark.parametrize("workers", [1, 2])
def test_an_audit_whose_snapshot_is_lost_reads_everything_again(full: Fluxbase, workers: int) -> None:
    """The server ends the session that holds the snapshot, as a standby does that has to replay changes."""

    def end_the_holder() -> None:
        full.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = 'fluxbase-cli' AND state = 'idle in transaction'"
        )

    seen = _On(BatchDone=end_the_holder)
    report = run_audit(
        full.database, ring_of(KEYS), key_version=None, limits=FEW, workers=workers, stop=Stop(), observer=seen
    )
    assert report.scanned == full.audit().scanned


@pytest.mark.parametrize(
    ("state", "transient"),
    [
        *((state, True) for state in ("08006", "40001", "40P01", "53100", "53200", "53300", "55P03", "57P01", "57P03")),
        *((state, True) for state in ("25P03", "25P04", "57014", "55006", "58030")),
        *((state, False) for state in ("55000", "55P02", "53400", "57P04", "25P02", "22023", "42501", "XX000")),
        *((state, False) for state in ("40002", "25006", "0A000", "P0001")),
    ],
)
def test_only_errors_that_may_end_are_retried(state: str, transient: bool) -> None:  # noqa: FBT001  # a table
    error = psycopg.errors.lookup(state)() if state != "25P04" else psycopg.DatabaseError()
    error.sqlstate = state
    assert is_transient(error) is transient


def test_a_lost_connection_may_come_back() -> None:
    assert is_transient(psycopg.OperationalError("connection refused"))
    assert not is_transient(psycopg.ProgrammingError("no such setting"))
