"""A server that was never restarted still seals under the old key while the job tries to end."""

from __future__ import annotations

import threading

import psycopg

from fluxbase_cli.seal import Sealer
from tests.faults.reader import read
from tests.fixtures.command import OLD_KEY, Rotation

_RE_ENCRYPT = ("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2", "-o", "json")


def test_a_server_that_is_not_restarted_is_reported_and_after_its_restart_the_same_command_finishes(
    rotation: Rotation,
) -> None:
    """The number of catch-up passes is limited. The message advises another run, and that run must complete the job."""
    rotation.seed(1000)
    ended = threading.Event()
    failures: list[BaseException] = []

    def serve() -> None:
        sealer = Sealer(OLD_KEY)
        try:
            with psycopg.connect(rotation.url, autocommit=True) as connection:
                rows = [row[0] for row in connection.execute("SELECT id FROM functions.secrets ORDER BY id LIMIT 20")]
                while not ended.is_set():
                    for row in rows:
                        connection.execute(
                            "UPDATE functions.secrets SET encrypted_value = %s WHERE id = %s",
                            [sealer.seal(b"by the old server").decode(), row],
                        )
        except BaseException as error:  # noqa: BLE001  # the main thread reports it
            failures.append(error)

    server = threading.Thread(target=serve)
    server.start()
    try:
        first = rotation.command(*_RE_ENCRYPT)
    finally:
        ended.set()
        server.join()
    assert failures == []
    assert first.code == 1, first.all
    assert first.json["state"] == "failed"
    assert first.json["remaining"] > 0
    assert "restart the server with the new key, then run this again" in first.json["error"]

    again = rotation.command(*_RE_ENCRYPT)

    assert again.code == 0, again.all
    assert again.json["state"] == "completed"
    assert again.json["remaining"] == 0
    assert read(rotation.url).versions == {2: 1000}
