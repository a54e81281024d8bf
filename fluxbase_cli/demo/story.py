"""The demo: a complete rotation on an embedded PostgreSQL. It runs the commands that an operator would type."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from fluxbase_cli.counts import worded
from fluxbase_cli.demo.seed import seed
from fluxbase_cli.demo.server import EmbeddedServer
from fluxbase_cli.demo.tables import SchemaRelease, create_tables
from fluxbase_cli.errors import ExitCode, JobFailedError

_DATABASE = "fluxbase"
_OLD_KEY, _NEW_KEY = "FLUXBASE_SECRET_KEY_1", "FLUXBASE_SECRET_KEY_2"


@dataclass(frozen=True, slots=True)
class _Step:
    """One command of the demo: the text before it, its arguments, and the exit code that it must have."""

    words: str
    arguments: tuple[str, ...]
    exit_code: ExitCode = ExitCode.DONE


_STEPS = (
    _Step("Which keys are there? Fingerprints only; a key itself is never shown.", ("keys", "list")),
    _Step(
        "How many values still need the old key? (Exit code 3: some do.)",
        ("secrets", "audit", "--key-version", "1"),
        ExitCode.CHECK_SAYS_NO,
    ),
    _Step(
        "What would be done? A dry run opens every value and writes nothing.",
        ("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2", "--dry-run"),
    ),
    _Step(
        "Now the real run. (Without --yes, it asks first if it runs on a terminal.)",
        ("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2", "--yes"),
    ),
    _Step("The proof: every value is opened again.", ("secrets", "audit", "--key-version", "1")),
    _Step("How many values are under each key now?", ("secrets", "audit")),
)


def run_demo(*, release: SchemaRelease, count: int, keep: bool, say: Callable[[str], None]) -> None:
    """Run the demo.

    Args:
        release: whose database to show.
        count: how many values to seal, 85% of them under the old key.
        keep: leave the server running.
        say: called with each line of text.

    Raises:
        ConfigurationError: no embedded PostgreSQL is installed.
        DatabaseError: the server does not start.
        JobFailedError: a command of the demo ended with another exit code than expected.
    """
    say("This is a rotation from start to end, on a temporary PostgreSQL server that is removed afterwards.")
    with tempfile.TemporaryDirectory(prefix="fluxbase-cli-demo-") as folder, EmbeddedServer.start() as server:
        environment = _environment(server, Path(folder))
        _prepare(server, environment, release, count, say)
        for step in _STEPS:
            _run(step, environment, Path(folder), say)
        say("")
        say("Done. On a real system: restart the server with the new key as active, run the audit again, and only then")
        say("retire the old key. Backups and dead rows hold values under it until they are gone.")
        if keep:
            _leave(server, environment, say)


def _environment(server: EmbeddedServer, folder: Path) -> dict[str, str]:
    """The environment of the demo's commands: the caller's environment, without its Fluxbase settings."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FLUXBASE_")}
    environment["FLUXBASE_DATABASE_URL"] = server.url(_DATABASE)
    for name in (_OLD_KEY, _NEW_KEY):
        environment[name] = _output(("keys", "generate", "--encoding", "raw"), environment, folder)
    return environment


def _prepare(
    server: EmbeddedServer,
    environment: Mapping[str, str],
    release: SchemaRelease,
    count: int,
    say: Callable[[str], None],
) -> None:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_DATABASE)))
    with psycopg.connect(server.url(_DATABASE)) as connection:
        create_tables(connection, release=release)
        seeded = seed(
            connection,
            count=count,
            old_key=environment[_OLD_KEY].encode(),
            new_key=environment[_NEW_KEY].encode(),
            rng_seed=1,
        )
    say("")
    say("The old key is there already; the new one is made like this:")
    say("")
    say(f"$ export {_NEW_KEY}=$(fluxbase-cli keys generate --encoding raw)")
    say("")
    say(f"This is a database of release {release}. {seeded.total} sealed values are in {seeded.tables} of its tables:")
    say(f"{seeded.old} under version 1, and {seeded.new} that a server has sealed under version 2.")
    if seeded.plaintext:
        say(
            worded(
                seeded.plaintext,
                "more secret is plaintext, as older releases wrote it; it stays as it is.",
                "more secrets are plaintext, as older releases wrote them; they stay as they are.",
            )
        )


def _run(step: _Step, environment: Mapping[str, str], folder: Path, say: Callable[[str], None]) -> None:
    say("")
    say(step.words)
    say("")
    say(f"$ fluxbase-cli {shlex.join(step.arguments)}")
    sys.stdout.flush()
    done = subprocess.run(  # noqa: S603  # our own program
        [sys.executable, "-m", "fluxbase_cli", *step.arguments], env=environment, cwd=folder, check=False
    )
    if done.returncode != step.exit_code:
        raise JobFailedError(
            f"`fluxbase-cli {shlex.join(step.arguments)}` ended with exit code {done.returncode}, "
            f"{int(step.exit_code)} was expected",
            hint="Its messages are above. Correct what they say, then run `fluxbase-cli demo` again.",
        )


def _output(arguments: tuple[str, ...], environment: Mapping[str, str], folder: Path) -> str:
    done = subprocess.run(  # noqa: S603  # our own program
        [sys.executable, "-m", "fluxbase_cli", *arguments],
        env=environment,
        cwd=folder,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return done.stdout.strip()


def _leave(server: EmbeddedServer, environment: Mapping[str, str], say: Callable[[str], None]) -> None:
    """Leave the server running. The password and the keys are written to a private file, not to the screen."""
    path = server.directory / "environment"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        for name in ("FLUXBASE_DATABASE_URL", _OLD_KEY, _NEW_KEY):
            file.write(f"export {name}={shlex.quote(environment[name])}\n")
    stop = server.keep()
    say("")
    say(f"The server is still running (PostgreSQL {server.major} on 127.0.0.1, port {server.port}).")
    say("")
    say(f"    . {path}              # sets the database's address and both keys")
    say("    fluxbase-cli secrets status")
    say('    fluxbase-cli secrets rollback --to-version 1 --reason "just to see"')
    say('    psql "$FLUXBASE_DATABASE_URL"')
    say(f"    {stop}                     # stops it and removes everything")
