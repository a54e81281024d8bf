"""`kill -9` at any moment, at every step of a batch, and while writers work (promises 1 and 4).

`FLUXBASE_TEST_FAULT_ROUNDS` says how many kills a job survives. `FLUXBASE_TEST_FAULT_VALUES` says how many values it
has.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from functools import partial
from pathlib import Path

import pytest

from fluxbase_cli.engine.events import Step
from tests.faults.reader import Contents, read
from tests.faults.writers import Writers
from tests.fixtures.command import Rotation, Running, until

_COUNT = int(os.environ.get("FLUXBASE_TEST_FAULT_VALUES", "10000"))
_ROUNDS = int(os.environ.get("FLUXBASE_TEST_FAULT_ROUNDS", "8"))
_RE_ENCRYPT = ("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2")
_BATCH, _WORKERS = 100, 4
_SMALL = (*_RE_ENCRYPT, "--batch-size", str(_BATCH), "--concurrency", str(_WORKERS))
_TABLES = 8


def test_kills_at_random_moments_lose_nothing_while_others_write(rotation: Rotation) -> None:
    """A deployment kills the job many times, while the server writes to all tables without a pause.

    The moments are spread over the whole job; the last ones are in its catch-up pass. After each kill, the independent
    reader opens everything.
    """
    rotation.seed(_COUNT)
    before = read(rotation.url)
    writers = Writers(rotation.url, 3, before.values)
    chance = random.Random()  # noqa: S311
    with writers.at_work():
        rows = None
        for number in range(_ROUNDS):
            with rotation.command.start(*_SMALL) as running:
                if number == _ROUNDS - 1:
                    until(lambda: _in_catch_up(rotation) or running.ended, "the catch-up pass")
                else:
                    rows = rows or _total_rows(rotation)
                    target = chance.uniform(number, number + 1) / _ROUNDS * (rows or 0)
                    until(partial(_beyond, rotation, running, target), "the moment to die")
                running.kill()
            _assert_nothing_else_changed(before, read(rotation.url), writers)
        until(lambda: len(writers.tables) == 3 * _TABLES, "inserts, updates and deletes in every table")
        writers.switch_to_the_new_key()
        last = rotation.command(*_SMALL, "-o", "json")

    assert last.code == 0, last.all
    assert last.json["remaining"] == 0
    after = read(rotation.url)
    _assert_nothing_else_changed(before, after, writers)
    assert set(after.versions) == {2}
    assert after.plaintexts == writers.plaintexts(before.plaintexts)
    again = _written_again(rotation, writers)
    print(f"{_ROUNDS} kills, {sum(writers.done.values())} writes of others, {again} rows written again")  # noqa: T201
    assert 0 <= again < 2 * _BATCH * _WORKERS * _ROUNDS


def _assert_nothing_else_changed(before: Contents, after: Contents, writers: Writers) -> None:
    """Check that nothing is lost, and that what the writers did not touch is as before, in all columns."""
    touched = writers.touched
    assert after.lost == ()
    assert {place: text for place, text in after.plaintexts.items() if place not in touched} == {
        place: text for place, text in before.plaintexts.items() if place not in touched
    }
    rows = {(place[0].rpartition(".")[0], place[1]) for place in touched}
    assert {row: rest for row, rest in after.rest.items() if row not in rows} == {
        row: rest for row, rest in before.rest.items() if row not in rows
    }


def _written_again(rotation: Rotation, writers: Writers) -> int:
    """How many rows of `functions.secrets` killed runs wrote in vain. The server counts rolled-back updates too."""
    until(
        lambda: (
            not rotation.value(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name <> ''"
            )
        ),
        "all sessions have told their statistics",
    )
    table = "functions.secrets"
    all_updates = rotation.value("SELECT n_tup_upd FROM pg_stat_user_tables WHERE relid = %s::regclass", table)
    recorded = rotation.value(
        "SELECT sum((counts -> 'encrypted_value' ->> 'updated')::bigint) FROM fluxbase_rotation.shard"
        " WHERE table_name = %s",
        table,
    )
    return int(all_updates - recorded - writers.done["update", table])


def _beyond(rotation: Rotation, running: Running, rows: float) -> bool:
    return running.ended or rotation.rows_done() > rows


def _total_rows(rotation: Rotation) -> int | None:
    if not rotation.value("SELECT to_regclass('fluxbase_rotation.event') IS NOT NULL"):
        return None
    value = rotation.value("SELECT max(total_rows) FROM fluxbase_rotation.job")
    return None if value is None else int(value)


def _in_catch_up(rotation: Rotation) -> bool:
    return bool(rotation.value("SELECT max(pass) > 0 FROM fluxbase_rotation.job"))


@pytest.mark.parametrize("nth", [1, 9])
@pytest.mark.parametrize("step", list(Step))
def test_a_kill_at_any_step_of_a_batch_loses_nothing(rotation: Rotation, step: Step, nth: int) -> None:
    """`fatal.py` runs the job with an observer that kills its own process."""
    rotation.seed(1000)
    before = read(rotation.url)
    driver = str(Path(__file__).with_name("fatal.py"))

    with rotation.command.start_line([sys.executable, driver, step.value, str(nth)]) as running:
        assert running.finish().code == -signal.SIGKILL

    between = read(rotation.url)
    assert between.lost == ()
    assert between.plaintexts == before.plaintexts
    last = rotation.command(*_RE_ENCRYPT, "-o", "json")
    assert last.code == 0, last.all
    assert "Resuming job 1" in last.stderr
    assert (last.json["re_encrypted"], last.json["updated"], last.json["scanned"]) == (850, 850, 1000)
    after = read(rotation.url)
    assert after.versions == {2: 1000}
    assert after.plaintexts == before.plaintexts
    assert after.rest == before.rest


def test_a_killed_rollback_can_be_resumed_too(rotation: Rotation) -> None:
    rotation.seed(5000, new_share=0.9)
    rollback = ("secrets", "rollback", "--to-version", "1", "--reason", "test", "--batch-size", "50")
    with rotation.command.start(*rollback) as running:
        until(lambda: rotation.rows_done() > 1000, "a part is done")
        running.kill()

    last = rotation.command(*rollback, "-o", "json")

    assert last.code == 0
    assert (last.json["job"], last.json["re_encrypted"]) == (1, 4500)
    assert read(rotation.url).versions == {1: 5000}


def test_a_rollback_of_a_half_finished_job_supersedes_it(rotation: Rotation) -> None:
    rotation.seed(5000)
    with rotation.command.start(*_RE_ENCRYPT, "--batch-size", "50") as running:
        until(lambda: rotation.rows_done() * 2 > (_total_rows(rotation) or 10_000), "half is done")
        running.kill()

    before = read(rotation.url).plaintexts
    back = rotation.command("secrets", "rollback", "--to-version", "1", "--reason", "leaked on Monday", "-o", "json")

    assert back.code == 0
    assert "Scanned 5000 secrets. Would re-encrypt " in back.stderr
    assert "Reason: leaked on Monday" in rotation.command("secrets", "status", "2").stdout
    assert read(rotation.url).plaintexts == before
    assert read(rotation.url).versions == {1: 5000}
    jobs = rotation.command("secrets", "status", "-o", "json").json["jobs"]
    assert [(job["job"], job["state"]) for job in jobs] == [(2, "completed"), (1, "superseded")]
