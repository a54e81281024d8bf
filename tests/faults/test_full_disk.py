"""A full disk: the job waits, then gives up with a report. When there is space, the same command resumes it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from fluxbase_cli.demo.server import EmbeddedServer
from tests.faults.reader import read
from tests.fixtures.command import Rotation, until
from tests.fixtures.embedded import PostgresServer

_RE_ENCRYPT = ("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2", "--batch-size", "50")
_FULL = "No space left on device"


@contextmanager
def small_disk(server: EmbeddedServer) -> Iterator[str]:
    """Mount a disk of 2 MB that the server can write to, and return its folder.

    A process mounts it in a separate namespace, so root rights are not necessary. Others see it through the root of
    that process. It disappears with that process.
    """
    if sys.platform != "linux":
        pytest.skip("only Linux lets anybody mount a disk")
    owner = (server.directory / "data").stat()
    as_root = os.getuid() == 0
    script = "mount -t tmpfs -o size=2m,mode=0700 disk /mnt && cd /mnt && mkdir space && echo mounted && exec cat"
    with subprocess.Popen(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        user=owner.st_uid if as_root else None,
        group=owner.st_gid if as_root else None,
        extra_groups=[] if as_root else None,
    ) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stderr is not None
        if holder.stdout.readline() != "mounted\n":
            pytest.skip(f"this system lets nobody mount a disk: {holder.stderr.read().strip()}")
        try:
            # Only its working directory leads from outside to the disk that this process alone has mounted.
            yield f"/proc/{holder.pid}/cwd/space"
        finally:
            holder.stdin.close()


@pytest.fixture
def full(rotation: Rotation, postgres_server: PostgresServer) -> Iterator[Rotation]:
    """A database with `functions.secrets` on a full disk. A table named `ballast` fills the disk."""
    if not isinstance(postgres_server, EmbeddedServer):
        pytest.skip("the disks of somebody else's server are not ours to fill")
    rotation.seed(1000)
    space = f"small_{os.getpid()}"
    with small_disk(postgres_server) as folder:
        rotation.rows(f"CREATE TABLESPACE {space} LOCATION '{folder}'")
        try:
            rotation.rows(f"ALTER TABLE functions.secrets SET TABLESPACE {space}")
            rotation.rows(f"CREATE TABLE ballast (filling text) TABLESPACE {space}")
            with pytest.raises(psycopg.errors.DiskFull):
                rotation.rows("INSERT INTO ballast SELECT repeat('x', 1000) FROM generate_series(1, 10000)")
            yield rotation
        finally:
            rotation.rows("DROP TABLE IF EXISTS ballast")
            rotation.rows("ALTER TABLE functions.secrets SET TABLESPACE pg_default")
            rotation.rows(f"DROP TABLESPACE {space}")


def test_a_job_waits_for_a_full_disk_then_gives_up_and_the_same_command_resumes_it_when_there_is_space(
    full: Rotation,
) -> None:
    before = read(full.url)

    impatient = full.command(*_RE_ENCRYPT, "--patience", "1", "-o", "json")
    status = full.command("secrets", "status", "1")

    assert impatient.code == 1
    assert (impatient.json["state"], impatient.json["remaining"]) == ("failed", None)
    assert _FULL in impatient.json["error"]
    assert "waiting" in impatient.stderr
    # The report is exact: its numbers agree with the database.
    between = read(full.url)
    assert between.plaintexts == before.plaintexts
    assert between.versions[2] == 150 + impatient.json["updated"]
    assert "failed" in status.stdout
    assert _FULL in status.stdout

    with full.command.start(*_RE_ENCRYPT, "-o", "json") as running:
        until(lambda: _FULL in running.stderr, "the command says what it waits for")
        full.rows("DROP TABLE ballast")
        outcome = running.finish()

    assert outcome.code == 0, outcome.all
    assert "Resuming job 1" in outcome.stderr
    assert [outcome.json[name] for name in ("job", "scanned", "re_encrypted", "updated")] == [1, 1000, 850, 850]
    after = read(full.url)
    assert after.versions == {2: 1000}
    assert after.plaintexts == before.plaintexts
    assert after.rest == before.rest
