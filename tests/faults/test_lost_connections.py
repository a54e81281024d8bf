"""Sessions that an administrator ends, a server that restarts, a failing network: the same process continues."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal

import psycopg
import pytest

from fluxbase_cli.demo.server import EmbeddedServer
from fluxbase_cli.demo.tables import create_tables
from tests.faults.reader import Contents, read
from tests.fixtures.command import NEW_KEY, OLD_KEY, Command, Outcome, Rotation, Running, until
from tests.fixtures.proxy import Proxy

_COUNT = 20_000
_BEFORE_JOB = 17_000
_RE_ENCRYPT = (
    *("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2"),
    *("--batch-size", "100", "-o", "json"),
)


def _progress_beyond(rotation: Rotation, running: Running, rows: int) -> Callable[[], bool]:
    return lambda: running.ended or rotation.rows_done() > rows


def _refused_more_than(proxy: Proxy, number: int) -> bool:
    return proxy.refused > number


def _assert_done(outcome: Outcome, before: Contents, rotation: Rotation) -> None:
    assert outcome.code == 0, outcome.stderr
    assert outcome.json["state"] == "completed"
    assert outcome.json["job"] == 1
    counts = [outcome.json[name] for name in ("scanned", "re_encrypted", "updated", "already_current")]
    assert counts == [_COUNT, _BEFORE_JOB, _BEFORE_JOB, _COUNT - _BEFORE_JOB]
    after = read(rotation.url)
    assert after.lost == ()
    assert after.versions == {2: _COUNT}
    assert after.plaintexts == before.plaintexts
    assert after.rest == before.rest


def test_a_job_survives_sessions_that_are_terminated_many_times(rotation: Rotation) -> None:
    rotation.seed(_COUNT)
    before = read(rotation.url)
    terminated = 0
    with rotation.command.start(*_RE_ENCRYPT) as running:
        for number in range(1, 8):
            until(_progress_beyond(rotation, running, number * 2000), "progress")
            ended = rotation.rows(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'fluxbase-cli'"
            )
            terminated += len(ended)
        # Each session waits and reconnects, on a machine that can be busy.
        outcome = running.finish(timeout_s=180)

    assert terminated > 10
    assert "waiting" in outcome.stderr
    assert "AdminShutdown" in outcome.stderr
    _assert_done(outcome, before, rotation)


@pytest.fixture(scope="module")
def own_server() -> Iterator[EmbeddedServer]:
    """A server that only the tests of this module use, so that they can restart it."""
    with EmbeddedServer.start(settings={"fsync": "off"}) as server:
        yield server


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_job_survives_a_restart_of_the_server(
    own_server: EmbeddedServer, command: Command, mode: Literal["fast", "immediate"]
) -> None:
    """`fast` closes the sessions first; `immediate` is a crash with recovery."""
    with psycopg.connect(own_server.url(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE restarts_{mode}".encode())
    url = own_server.url(f"restarts_{mode}")
    with psycopg.connect(url) as connection:
        create_tables(connection)
    rotation = Rotation(
        command.having(
            FLUXBASE_DATABASE_URL=url, FLUXBASE_SECRET_KEY_1=OLD_KEY.hex(), FLUXBASE_SECRET_KEY_2=NEW_KEY.hex()
        ),
        url,
    )
    rotation.seed(_COUNT)
    before = read(url)

    with rotation.command.start(*_RE_ENCRYPT) as running:
        until(_progress_beyond(rotation, running, 3000), "progress")
        assert not running.ended
        own_server.restart(mode)
        outcome = running.finish()

    assert "waiting" in outcome.stderr
    _assert_done(outcome, before, rotation)


def test_a_job_survives_a_network_that_fails_and_comes_back(rotation: Rotation, proxy: Proxy) -> None:
    rotation.seed(_COUNT)
    before = read(rotation.url)

    with rotation.command.start(*_RE_ENCRYPT, FLUXBASE_DATABASE_URL=proxy.url) as running:
        for rows in (2000, 6000):
            until(_progress_beyond(rotation, running, rows), "progress")
            assert not running.ended
            proxy.cut()
            until(partial(_refused_more_than, proxy, proxy.refused + 3), "attempts to come back")
            assert not running.ended
            proxy.mend()
        outcome = running.finish()

    assert "waiting" in outcome.stderr
    _assert_done(outcome, before, rotation)


def test_after_a_network_failure_during_a_stop_the_job_can_be_resumed(rotation: Rotation, proxy: Proxy) -> None:
    """The final numbers cannot be read: exit code 1 and a message, soon. The same command resumes the job later."""
    rotation.seed(5000)
    with rotation.command.start(*_RE_ENCRYPT, FLUXBASE_DATABASE_URL=proxy.url) as running:
        until(_progress_beyond(rotation, running, 500), "progress")
        proxy.cut()
        running.send(signal.SIGTERM)
        outcome = running.finish(timeout_s=20)

    assert outcome.code in (1, 143)
    assert "Error: unexpected" not in outcome.stderr
    proxy.mend()
    again = rotation.command(*_RE_ENCRYPT)
    assert again.code == 0
    assert again.json["re_encrypted"] == 4250
    assert read(rotation.url).versions == {2: 5000}
