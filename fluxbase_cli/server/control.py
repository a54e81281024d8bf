"""Stops and starts the server, and gives it its key."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fluxbase_cli.config import DatabaseSettings, ServerSettings
from fluxbase_cli.config.command_environment import clean_environment
from fluxbase_cli.config.server import SERVER_KEY_VARIABLE
from fluxbase_cli.counts import worded
from fluxbase_cli.errors import ConfigurationError, JobFailedError
from fluxbase_cli.keyring.env_file import CantChangeError, change_variables, read_variables, refuse
from fluxbase_cli.log_events import LogEvent, Teller, no_message
from fluxbase_cli.server.commands import Command, CommandEnd, CommandError
from fluxbase_cli.server.health import problem_of, wait_until_healthy
from fluxbase_cli.store.connection import Connection, session
from fluxbase_cli.store.sessions import OtherSession, named, other_sessions, without

_POLL_S = 0.1
#: A start command that was interrupted may have begun to start the server. Its health is awaited for so many seconds.
BEGUN_START_S = 10.0


@dataclass(frozen=True, slots=True)
class ServerControl:
    """The server as its settings describe it.

    Attributes:
        settings: the section `security.encryption.server`.
        database: the database that the server uses.
        environ: our own variables, from which the commands get a few.
        tell: called with lines for the operator.
    """

    settings: ServerSettings
    database: DatabaseSettings
    environ: Mapping[str, str]
    tell: Teller = no_message

    def stop(self, databases: Sequence[str], *, begun_before: bool, is_stopped: Callable[[], bool]) -> float:
        """Stop all servers, and wait until no other session is left.

        Args:
            databases: the databases besides the main one on which no session may be left.
            begun_before: whether an earlier process may have stopped them. Then a stop command that fails because
                nothing runs is accepted.
            is_stopped: whether to give up early.

        Returns:
            How long the command took, in seconds.

        Raises:
            JobFailedError: the command fails, or sessions are left.
        """
        try:
            seconds = self._run("stop_command", self.settings.stop_command).seconds
        except CommandError:
            if not (begun_before and self.problem() is not None and not self._sessions(databases)):
                raise
            seconds = 0.0
        self.tell(LogEvent.SERVER_STOPPED, f"✓ Stopped the server ({self.settings.stop_command[0]}, {seconds:.1f}s)")
        left = self._wait_for_sessions(databases, is_stopped)
        if left:
            raise JobFailedError(
                f"{worded(len(left), 'session is', 'sessions are')} still on the database "
                f"{self.settings.session_timeout.total_seconds():.0f} s after the server was stopped: {named(left)}",
                hint="Stop what they belong to. If they may stay, such as those of a monitor, name their application "
                "or role in security.encryption.server.ignore_sessions.",
            )
        return seconds

    def install(self, text: str) -> None:
        """Give the server a key: in its file, or by the install command.

        Args:
            text: the key, as the server reads it.

        Raises:
            ConfigurationError: the file can't be changed.
            JobFailedError: the command fails.
        """
        path = self.settings.env_file
        if path is not None:
            try:
                change_variables(path, {SERVER_KEY_VARIABLE: text})
                installed = read_variables(path).get(SERVER_KEY_VARIABLE)
            except CantChangeError as error:
                raise refuse(path, error, "The server's key was not changed.") from None
            if installed != text:
                raise ConfigurationError(
                    f"{path} does not hold the key that was written to it",
                    hint="Look whether another program writes this file, and whether the disk is full.",
                )
        if self.settings.install_key_command:
            self._run("install_key_command", self.settings.install_key_command, text)

    def start(self, *, may_be_up_s: float = 0.0, is_stopped: Callable[[], bool] = lambda: False) -> float:
        """Start the server, and wait until it is healthy.

        Args:
            may_be_up_s: if the server may be up or starting already, how long its health is awaited before the start
                command is run, in seconds. 0 runs the command at once.
            is_stopped: whether to give up early.

        Returns:
            How long it took until the server was healthy, in seconds.

        Raises:
            JobFailedError: the command fails, or the server does not become healthy in time.
        """
        started = time.monotonic()
        limit = self.settings.health_timeout.total_seconds()
        if may_be_up_s and self._healthy_within(min(limit, may_be_up_s), is_stopped) is None:
            return time.monotonic() - started
        self._run("start_command", self.settings.start_command)
        problem = self._healthy_within(limit, is_stopped)
        if problem is not None:
            raise JobFailedError(
                f"the server was started and is not healthy after {limit:.0f} s: {self.settings.health_url}: {problem}"
            )
        return time.monotonic() - started

    def verify(self) -> None:
        """Run the verify command, if there is one.

        Raises:
            JobFailedError: it fails.
        """
        if self.settings.verify_command:
            self._run("verify_command", self.settings.verify_command)

    def problem(self) -> str | None:
        """What is wrong with the server's health now. None if it is healthy."""
        return None if self.settings.health_url is None else problem_of(self.settings.health_url)

    def command(self, name: str, words: tuple[str, ...]) -> Command:
        """A command of the settings."""
        return Command(name, words, clean_environment(self.environ, self.settings.pass_environment))

    def _healthy_within(self, limit_s: float, is_stopped: Callable[[], bool]) -> str | None:
        url = self.settings.health_url
        return None if url is None else wait_until_healthy(url, limit_s, is_stopped)

    def _run(self, name: str, words: tuple[str, ...], text: str | None = None) -> CommandEnd:
        try:
            return self.command(name, words).run(text)
        except CommandError as error:
            for line in error.lines:
                self.tell(LogEvent.COMMAND_OUTPUT, f"  {line}")
            raise

    def _sessions(self, databases: Sequence[str]) -> tuple[OtherSession, ...]:
        with session(self.database) as connection:
            return self._left(connection, databases)

    def _left(self, connection: Connection, databases: Sequence[str]) -> tuple[OtherSession, ...]:
        everywhere = [connection.info.dbname, *databases]
        return without(other_sessions(connection, everywhere), self.settings.ignore_sessions)

    def _wait_for_sessions(self, databases: Sequence[str], is_stopped: Callable[[], bool]) -> tuple[OtherSession, ...]:
        deadline = time.monotonic() + self.settings.session_timeout.total_seconds()
        told = False
        with session(self.database) as connection:
            while True:
                left = self._left(connection, databases)
                if not left or time.monotonic() > deadline or is_stopped():
                    return left
                if not told:
                    self.tell(LogEvent.SERVER_SESSIONS, f"Waiting until no other session is left: {named(left)}")
                    told = True
                time.sleep(_POLL_S)
