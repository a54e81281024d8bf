"""`kill -9`: at any moment, at every step of a batch, and with writers at work meanwhile (promises 1 and 4).

`FLUXBASE_TEST_FAULT_ROUNDS` says how many kills a run must survive.
"""

from __future__ import annotations

import base64
import os
import random
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fluxbase_cli.engine.observer import Step
from tests.faults.reader import read
from tests.fixtures.command import NEW_KEY, OLD_KEY, Rotation, Running, until

_COUNT = 20_000
_ROUNDS = int(os.environ.get("FLUXBASE_TEST_FAULT_ROUNDS", "8"))
_RE_ENCRYPT = ("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2")
_SMALL = (*_RE_ENCRYPT, "--batch-size", "100")
_LOCATION = "functions.secrets.encrypted_value"


def _seal(key: bytes, plaintext: bytes) -> str:
    nonce = os.urandom(12)
    return base64.b64encode(nonce + AESGCM(key).encrypt(nonce, plaintext, None)).decode()


class Writers:
    """Servers that go on writing: some know the new key already.

    Each has rows of its own, so that what it wrote last is what must be there in the end.

    Args:
        url: the database.
        number: how many.
    """

    def __init__(self, url: str, number: int) -> None:
        self._url = url
        self._ended = threading.Event()
        self._switched = threading.Event()
        self._failures: list[BaseException] = []
        #: What must be there in the end; None for what was deleted.
        self.written: dict[UUID, bytes | None] = {}
        with psycopg.connect(url) as connection:
            rows = [row[0] for row in connection.execute("SELECT id FROM functions.secrets ORDER BY id")]
        self._threads = [
            threading.Thread(target=self._body, args=(n, rows[n::number]), daemon=True) for n in range(number)
        ]

    @property
    def writes(self) -> int:
        """How many rows were touched so far."""
        return len(self.written)

    def switch_to_the_new_key(self) -> None:
        """As when the servers are restarted with the new configuration."""
        self._switched.set()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Within the block they write."""
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._ended.set()
            for thread in self._threads:
                thread.join()
        assert self._failures == []

    def _body(self, number: int, own: list[UUID]) -> None:
        try:
            with psycopg.connect(self._url, autocommit=True, application_name="fluxbase-server") as connection:
                self._write(connection, own, random.Random(number))  # noqa: S311
        except BaseException as error:  # noqa: BLE001  # told by the main thread
            self._failures.append(error)

    def _write(self, connection: psycopg.Connection[tuple[UUID]], own: list[UUID], chance: random.Random) -> None:
        while not self._ended.is_set():
            key = NEW_KEY if self._switched.is_set() or chance.random() < 0.5 else OLD_KEY
            plaintext = f"written-{uuid4()}".encode()
            kind = chance.random()
            row = own[chance.randrange(len(own))]
            if kind < 0.7:
                updated = connection.execute(
                    "UPDATE functions.secrets SET encrypted_value = %s WHERE id = %s", [_seal(key, plaintext), row]
                )
                assert updated.rowcount == 1
                self.written[row] = plaintext
            elif kind < 0.9:
                row = uuid4()
                connection.execute(
                    "INSERT INTO functions.secrets (id, name, scope, encrypted_value) VALUES (%s, %s, 'global', %s)",
                    [row, f"INSERTED_{row}", _seal(key, plaintext)],
                )
                own.append(row)
                self.written[row] = plaintext
            else:
                own.remove(row)
                connection.execute("DELETE FROM functions.secrets WHERE id = %s", [row])
                self.written[row] = None
            # A writer that never rests would get nothing but lock waits from a machine with two cores.
            self._ended.wait(0.002)


def test_kills_at_random_moments_lose_nothing_while_others_write(rotation: Rotation) -> None:
    """A deployment kills the job again and again, and the server never stops writing.

    The moments are spread over the whole job, the last of them over its closing census.
    """
    rotation.seed(_COUNT)
    rotation.rows("ALTER TABLE functions.secret_versions DROP CONSTRAINT IF EXISTS secret_versions_secret_id_fkey")
    before = read(rotation.url)
    chance = random.Random()  # noqa: S311
    writers = Writers(rotation.url, 3)
    with writers.at_work():
        rows = None
        for number in range(_ROUNDS):
            with rotation.command.start(*_SMALL) as running:
                if number == _ROUNDS - 1:
                    until(lambda: _in_census(rotation) or running.ended, "the closing census")
                else:
                    rows = rows or _total_rows(rotation)
                    target = chance.uniform(number, number + 1) / _ROUNDS * (rows or 0)
                    until(partial(_beyond, rotation, running, target), "the moment to die")
                running.kill()
        assert writers.writes > 50
        writers.switch_to_the_new_key()
        last = rotation.command(*_SMALL, "-o", "json")

    assert last.code == 0, last.all
    assert last.json["remaining"] == 0
    after = read(rotation.url)
    assert after.lost == ()
    assert set(after.versions) == {2}
    expected = {
        place: plaintext
        for place, plaintext in before.plaintexts.items()
        if not (place[0] == _LOCATION and UUID(place[1]) in writers.written)
    }
    expected |= {(_LOCATION, str(row), ()): text for row, text in writers.written.items() if text is not None}
    cascaded = {place for place in expected if place[0].startswith("functions.secret_versions")} - set(after.values)
    deleted = {str(row) for row, text in writers.written.items() if text is None}
    assert {before.rest["functions.secret_versions", place[1]]["secret_id"] for place in cascaded} <= deleted
    assert after.plaintexts == {place: text for place, text in expected.items() if place not in cascaded}


def _beyond(rotation: Rotation, running: Running, rows: float) -> bool:
    return running.ended or rotation.rows_done() > rows


def _total_rows(rotation: Rotation) -> int | None:
    if not rotation.value("SELECT to_regclass('fluxbase_rotation.event') IS NOT NULL"):
        return None
    value = rotation.value("SELECT max(total_rows) FROM fluxbase_rotation.job")
    return None if value is None else int(value)


def _in_census(rotation: Rotation) -> bool:
    return bool(rotation.value("SELECT max(pass) > 0 FROM fluxbase_rotation.job"))


@pytest.mark.parametrize("nth", [1, 9])
@pytest.mark.parametrize("step", list(Step))
def test_a_kill_at_any_step_of_a_batch_loses_nothing(rotation: Rotation, step: Step, nth: int) -> None:
    """`fatal.py` runs the job with a listener that kills its own process."""
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


def test_a_killed_rollback_goes_on_too(rotation: Rotation) -> None:
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
        until(lambda: rotation.rows_done() > 1000, "a part is done")
        running.kill()

    back = rotation.command("secrets", "rollback", "--to-version", "1", "--reason", "test", "-o", "json")

    assert back.code == 0
    assert read(rotation.url).versions == {1: 5000}
    jobs = rotation.command("secrets", "status", "-o", "json").json["jobs"]
    assert [(job["job"], job["state"]) for job in jobs] == [(2, "completed"), (1, "superseded")]
