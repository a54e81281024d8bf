"""A job that crosses 2**32 transactions: the 32 bits in a row can then mean two different transactions."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from fluxbase_cli.demo.installation import installations
from fluxbase_cli.demo.server import EmbeddedServer
from fluxbase_cli.demo.tables import create_tables
from fluxbase_cli.engine.events import BatchDone, Event
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.store.jobs import JobStore
from tests.fixtures.fluxbase import FEW, KEYS, Fluxbase, open_all

_VALUES = 200
#: A number a little below 2**32, and a number for which all earlier transactions ended long ago.
_NEXT, _OLDEST = 2**32 - 200, 2**32 - 100_000


def set_transaction_number(server: EmbeddedServer) -> None:
    """Make the server continue near 2**32, like a server that has run for years."""
    server._end_process(signal.SIGINT)
    # The status of the transactions there: 256 KiB for each file, a million transactions for each file.
    status = server._data / "pg_xact" / "0FFF"
    status.write_bytes(bytes(256 * 1024))
    status.chmod(0o600)
    server._hand_over(status)
    program = Path(server._installation.program("pg_resetwal"))
    if not program.exists():
        # The server runs from a copy that has only the files that it needs.
        major = server._installation.major
        there = next(each for each in installations() if each.major == major)
        shutil.copy(there.program("pg_resetwal"), program)
        program.chmod(0o755)
    reset = server._popen(
        [
            str(program),
            *("-x", str(_NEXT), "-u", str(_OLDEST)),
            *("-D", str(server._data)),
        ],
        stdout=subprocess.DEVNULL,
    )
    assert reset.wait(30) == 0
    server._launch_again()


@pytest.fixture
def old_server() -> Iterator[EmbeddedServer]:
    """A separate server for these tests."""
    with EmbeddedServer.start(settings={"fsync": "off", "autovacuum": "off"}) as server:
        yield server


def pass_by(flux: Fluxbase, transaction: int) -> None:
    """Use up transaction numbers."""
    with flux.connect() as connection:
        while True:
            row = connection.execute("SELECT pg_current_xact_id()::text::bigint").fetchone()
            assert row is not None
            if int(row[0]) >= transaction:
                return


@pytest.mark.parametrize("guarded", [True, False])
def test_no_value_is_missed_when_row_versions_and_batches_share_their_numbers(
    old_server: EmbeddedServer,
    monkeypatch: pytest.MonkeyPatch,
    guarded: bool,  # noqa: FBT001
) -> None:
    """The values are older than the job, frozen, and have the numbers that its batches will get.

    Without the guard, values are left behind or the job gives up. That shows that the test can fail.
    """
    with psycopg.connect(old_server.url(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE numbers")
    flux = Fluxbase(old_server.url("numbers"))
    with psycopg.connect(flux.url) as connection:
        create_tables(connection)
    for number in range(_VALUES):
        flux.secrets(1, first_id=number)
    flux.close()
    first = int(flux.value("SELECT min(xmin::text::bigint) FROM functions.secrets"))
    assert int(flux.value("SELECT count(DISTINCT xmin::text) FROM functions.secrets")) > _VALUES // 2
    for database in ("template1", "postgres", "numbers"):
        with psycopg.connect(old_server.url(database), autocommit=True) as connection:
            connection.execute("VACUUM (FREEZE)")
    set_transaction_number(old_server)

    stop = Stop()

    class StopsAtOnce:
        def notify(self, event: Event) -> None:
            if isinstance(event, BatchDone):
                stop.request()

    if not guarded:
        monkeypatch.setattr(JobStore, "beyond_32_bits", lambda _jobs: False)
    begun = flux.run(stop=stop, observer=StopsAtOnce(), limits=FEW)
    assert begun.state == "interrupted"
    assert not flux.value("SELECT full_census FROM fluxbase_rotation.job")
    pass_by(flux, 2**32 + first - 5)
    report = flux.run(limits=FEW)
    assert report.job == begun.job
    texts = [row[0] for row in flux.rows("SELECT encrypted_value FROM functions.secrets")]
    left = sum(1 in open_all(text, KEYS).versions for text in texts)
    assert len(texts) == _VALUES
    assert ((report.state, left) == ("completed", 0)) is guarded
