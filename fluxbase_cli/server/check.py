"""Checks before a cutover, and for `config check`, whether the server can be stopped, given a key, and started."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from fluxbase_cli.config.files import read_bytes
from fluxbase_cli.config.server import SERVER_KEY_VARIABLE, ServerSettings
from fluxbase_cli.keyring import Key, server_text
from fluxbase_cli.keyring.env_file import CantChangeError, changed_text, read_variables
from fluxbase_cli.printable import Lines
from fluxbase_cli.server.control import ServerControl
from fluxbase_cli.store.findings import CheckStatus, Finding

_CHECK = "server"
_SAMPLE = "A" * 32
#: These keep the environment that the container was created with.
_KEEPS_ENVIRONMENT = ("restart", "start")


def settings_to_add() -> Lines:
    """The lines that a cutover needs, for a message."""
    return Lines(
        "security:\n"
        "  encryption:\n"
        "    server:\n"
        "      keyring: single\n"
        "      env_file: /srv/fluxbase/.env        # or install_key_command: [...], which reads the key from stdin\n"
        "      stop_command: [docker, compose, stop, fluxbase]\n"
        "      start_command: [docker, compose, up, -d, --no-deps, fluxbase]\n"
        "      health_url: http://localhost:8080/health\n"
    )


def examine_server(control: ServerControl, server_key: Key | None) -> tuple[Finding, ...]:
    """Check everything that can be checked while the server runs. Changes nothing.

    Args:
        control: the server.
        server_key: the key that the server has; None if that is not configured.
    """
    return tuple(_findings(control, server_key))


def examine_env_file(settings: ServerSettings, server_key: Key | None) -> tuple[Finding, ...]:
    """Check only the server's own file, in which keys may be kept. Changes nothing."""
    return () if settings.env_file is None else tuple(_env_file(settings, settings.env_file, server_key))


def _findings(control: ServerControl, server_key: Key | None) -> Iterator[Finding]:
    settings = control.settings
    yield from _commands(control)
    if settings.env_file is None and not settings.install_key_command:
        yield _refuse(
            f"neither {settings.place('env_file')} nor install_key_command is set",
            "Name the file in which the server's FLUXBASE_ENCRYPTION_KEY stands, or a program that installs the key, "
            "which it reads from standard input.",
        )
    if settings.env_file is not None:
        yield from _env_file(settings, settings.env_file, server_key)
    elif server_key is not None and server_text(server_key.secret) is None:
        yield _refuse(
            f"the server's present key at {server_key.source} is not text of 32 bytes",
            "Set it to the key that the server has now.",
        )
    yield from _health(control)


def _commands(control: ServerControl) -> Iterator[Finding]:
    settings = control.settings
    needed = {
        "stop_command": "[docker, compose, stop, fluxbase]",
        "start_command": "[docker, compose, up, -d, --no-deps, fluxbase]",
    }
    for name in (*needed, "install_key_command", "verify_command"):
        words: tuple[str, ...] = getattr(settings, name)
        place = settings.place(name)
        if not words:
            if name in needed:
                yield _refuse(f"{place} is not set", f"Set it. For Docker Compose: `{needed[name]}`.")
            continue
        program = control.command(name, words).program
        if program is None:
            yield _refuse(f"{place}: there is no program {words[0]}", "Write its full path, or correct PATH.")
        else:
            yield Finding(_CHECK, CheckStatus.GOOD, f"{name}: {program}")
    start = settings.start_command
    if start[:1] == ("docker",) and set(start) & set(_KEEPS_ENVIRONMENT) and settings.env_file is not None:
        yield Finding(
            _CHECK,
            CheckStatus.TELL,
            "start_command keeps the environment with which the container was created, and so the old key",
            "`docker compose up -d --no-deps fluxbase` creates it again.",
        )


def _env_file(settings: ServerSettings, path: Path, server_key: Key | None) -> Iterator[Finding]:
    place = settings.place("env_file")
    try:
        values = read_variables(path)
        # The new key has this form. So it is known now whether the file can be changed.
        changed_text(read_bytes(path).decode("utf-8"), {SERVER_KEY_VARIABLE: _SAMPLE})
        mode = path.stat().st_mode
    except (CantChangeError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        yield _refuse(f"{place}: {path} can't be used: {reason}", "Correct the path or the file.")
        return
    if not stat.S_ISREG(mode):
        yield _refuse(f"{place}: {path} is not a regular file", "Name the file itself.")
        return
    if not os.access(path, os.W_OK):
        yield _refuse(f"{place}: {path} can't be written by this user", "Run as its owner, or allow it to write.")
    text = values.get(SERVER_KEY_VARIABLE)
    if not text:
        yield _refuse(
            f"{place}: {path} has no {SERVER_KEY_VARIABLE}",
            "Name the file from which the server reads its key.",
        )
    elif server_key is not None and text != server_text(server_key.secret):
        yield _refuse(
            f"{place}: {SERVER_KEY_VARIABLE} in {path} is not the key version {server_key.version}",
            "Find out which of the two keys the server has now, and correct the other one.",
        )
    else:
        yield Finding(_CHECK, CheckStatus.GOOD, f"env_file: {path} can be changed")
    if mode & stat.S_IROTH:
        yield Finding(_CHECK, CheckStatus.TELL, f"everybody on this machine may read {path}", f"chmod o-r {path}")


def _health(control: ServerControl) -> Iterator[Finding]:
    settings = control.settings
    if settings.health_url is None:
        yield _refuse(
            f"{settings.place('health_url')} is not set",
            "Set it, as in http://localhost:8080/health: it shows whether the server is up after a cutover.",
        )
        return
    problem = control.problem()
    if problem is None:
        yield Finding(_CHECK, CheckStatus.GOOD, f"health_url: {settings.health_url} answers")
    else:
        yield _refuse(
            f"health_url: {settings.health_url}: {problem}",
            "Start the server, or correct the URL: the server must be healthy before a cutover.",
        )


def _refuse(message: str, remedy: str) -> Finding:
    return Finding(_CHECK, CheckStatus.REFUSE, message, remedy)
