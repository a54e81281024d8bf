"""Rows that others have locked: the job waits and says so, and a deadlock costs one batch."""

from __future__ import annotations

import threading

import psycopg

from fluxbase_cli.seal import Sealer
from tests.faults.reader import read
from tests.fixtures.command import NEW_KEY, OLD_KEY, Rotation, until

_RE_ENCRYPT = ("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2", "-o", "json")


def test_a_job_waits_for_a_row_that_is_locked_for_long(rotation: Rotation) -> None:
    """The lock lasts longer than our lock timeout. The job reports it, holds no lock meanwhile, and retries."""
    rotation.seed(1000)
    with psycopg.connect(rotation.url) as blocker:
        row = blocker.execute("SELECT id FROM functions.secrets LIMIT 1 FOR UPDATE").fetchone()
        assert row is not None
        with rotation.command.start(*_RE_ENCRYPT) as running:
            until(lambda: "LockNotAvailable" in running.stderr, "the command says what it waits for")
            assert not running.ended
            # The rest of the work does not wait for this one row.
            until(
                lambda: rotation.value(
                    "SELECT count(*) FROM fluxbase_rotation.shard WHERE done AND table_name <> 'functions.secrets'"
                ),
                "other tables are done",
            )
            blocker.execute(
                "UPDATE functions.secrets SET encrypted_value = %s WHERE id = %s",
                [Sealer(OLD_KEY).seal(b"the other writer's").decode(), row[0]],
            )
            blocker.commit()
            outcome = running.finish()

    assert outcome.code == 0
    assert "waiting" in outcome.stderr
    assert "lock timeout" in outcome.stderr
    after = read(rotation.url)
    assert after.versions == {2: 1000}
    assert after.plaintexts["functions.secrets.encrypted_value", str(row[0]), ()] == b"the other writer's"


def test_a_writer_that_locks_rows_in_the_other_order_wins_the_deadlock(rotation: Rotation) -> None:
    """Our batch holds a row that the writer needs, and waits for a row that the writer holds."""
    rotation.seed(1000)
    with psycopg.connect(rotation.url) as writer:
        # So the server finds our session first, and our transaction is the one that it cancels.
        writer.execute("SET deadlock_timeout = '30s'")
        last = writer.execute("SELECT id FROM functions.secrets ORDER BY ctid DESC LIMIT 1 FOR UPDATE").fetchone()
        assert last is not None
        with rotation.command.start(*_RE_ENCRYPT) as running:
            until(rotation.waits_for_a_lock, "the batch waits for the writer")
            held = rotation.value(
                "SELECT id FROM functions.secrets WHERE id NOT IN"
                " (SELECT id FROM functions.secrets FOR UPDATE SKIP LOCKED) AND id <> %s LIMIT 1",
                last[0],
            )
            assert held is not None
            wanted = Sealer(NEW_KEY).seal(b"the writer's").decode()
            done = threading.Event()

            def want() -> None:
                writer.execute(
                    "UPDATE functions.secrets SET encrypted_value = %s WHERE id = ANY(%s)", [wanted, [held, last[0]]]
                )
                writer.commit()
                done.set()

            wanting = threading.Thread(target=want)
            wanting.start()
            wanting.join()
            outcome = running.finish()

    assert done.is_set()
    assert outcome.code == 0
    assert "DeadlockDetected" in outcome.stderr
    after = read(rotation.url)
    assert after.versions == {2: 1000}
    for row in (held, last[0]):
        assert after.plaintexts["functions.secrets.encrypted_value", str(row), ()] == b"the writer's"
