"""The real database of a run, and all that is done to it; the machine decides what happens, and when."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from fluxbase_cli.config import DatabaseSettings, Settings, load_settings
from fluxbase_cli.engine.events import NullObserver
from fluxbase_cli.engine.outcome import AuditReport
from fluxbase_cli.engine.read.audit import run_audit
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.keyring import Key, Keyring
from fluxbase_cli.keys.destroy import Destruction
from fluxbase_cli.keys.destroy_request import DestroyOutcome, DestroyRequest
from fluxbase_cli.keys.enable import enable_key
from fluxbase_cli.store.limits import Limits
from tests.fixtures.command import until
from tests.stateful.layouts import MAIN, Layout
from tests.stateful.model import Effect, Model
from tests.stateful.reader import Contents, Row, key_of, places, read
from tests.stateful.writer import Connection, Write, Writer

#: No foreign keys: deleting a row deletes no other row.
_NO_FOREIGN_KEYS = """
DO $$
DECLARE
    it record;
BEGIN
    FOR it IN SELECT conrelid::regclass AS of, conname FROM pg_constraint WHERE contype = 'f' LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', it.of, it.conname);
    END LOOP;
END
$$
"""
#: A write that waits longer than this for one of our locks is given up, as a server's request would be in the end.
_SESSION = "SET lock_timeout = '300ms'; SET statement_timeout = '20s'"


#: How long the product waits for open transactions, in seconds: here, a writer with an open transaction does nothing
#: meanwhile.
WRITERS_WAIT_S = 0.1


@dataclass(slots=True)
class Held:
    """A transaction that a writer keeps open.

    Attributes:
        writer: writes in it.
        effects: what it has done.
        locked: tables in which it locks rows that others may need.
    """

    writer: Writer
    effects: list[Effect] = field(default_factory=list)
    locked: set[str] = field(default_factory=set)

    @property
    def rows(self) -> set[Row]:
        """The rows that it holds."""
        return {effect.row for effect in self.effects}


class World:
    """One database with one layout, emptied before each example.

    Args:
        url: a database with the tables that the demo creates, used by nothing else.
        directory: an empty folder, where no configuration is found.
    """

    def __init__(self, url: str, directory: Path) -> None:
        self.layout = MAIN
        self.database = DatabaseSettings.from_url(url, "the test")
        self._url = url
        self._directory = directory
        with psycopg.connect(url) as connection:
            connection.execute(_NO_FOREIGN_KEYS)
        self._connection = self._connect()
        self._second = self._connect()
        self._numbers = [0]
        self.held: Held | None = None

    def _connect(self) -> Connection:
        connection = psycopg.connect(self._url, autocommit=True, application_name="fluxbase-server")
        connection.execute(_SESSION)
        return connection

    def close(self) -> None:
        """Close all connections."""
        self._connection.close()
        self._second.close()

    def reset(self, model: Model) -> None:
        """Empty the database."""
        if self._second.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            self._second.execute("ROLLBACK")
        self.held = None
        self._numbers[0] = 0
        names = ", ".join(table.name for table in self.layout.tables)
        self._connection.execute(
            "DROP SCHEMA IF EXISTS fluxbase_rotation CASCADE; DROP SCHEMA IF EXISTS fluxbase_keys CASCADE;"
            f" TRUNCATE {names}".encode()
        )
        self.upgrade(model.layout)
        self._writer = Writer(self._connection, model, self._numbers)

    # --- writing --------------------------------------------------------------------------------------------------

    def write(self, model: Model, writes: tuple[Write, ...]) -> list[Effect]:
        """Write, and record it in the model; a write that waits too long for a lock is left out."""
        done: list[Effect] = []
        for write in writes:
            try:
                effects = self._writer.write(write, but=self.held.rows if self.held else ())
            except psycopg.errors.LockNotAvailable:
                continue
            for effect in effects:
                model.take(effect, self._writer.rest(effect))
            done += effects
        return done

    def hold(self, model: Model, writes: tuple[Write, ...]) -> None:
        """Begin a transaction, write in it, and keep it open."""
        self._second.execute("BEGIN")
        self.held = held = Held(Writer(self._second, model, self._numbers))
        for write in writes:
            effects = held.writer.write(write, but=held.rows)
            new = {effect.row for effect in effects if effect.row not in model.rest}
            held.locked |= {effect.row.table for effect in effects if effect.row not in new}
            held.effects += effects

    def end_held(self, model: Model, *, commit: bool) -> list[Effect]:
        """End the open transaction; return what it changed."""
        held, self.held = self.held, None
        assert held is not None
        self._second.execute("COMMIT" if commit else "ROLLBACK")
        if not commit:
            return []
        for effect in held.effects:
            model.take(effect, held.writer.rest(effect))
        return held.effects

    @property
    def has_open_writes(self) -> bool:
        """Whether something is written and not committed."""
        return self.held is not None and bool(self.held.effects)

    # --- maintenance ----------------------------------------------------------------------------------------------

    def upgrade(self, layout: Layout) -> None:
        """Give the database the tables of other releases."""
        if layout is not self.layout:
            with self._connection.transaction():
                self._connection.execute(layout.upgrade.encode())
            self.layout = layout

    def execute(self, statement: str) -> None:
        """Run a statement as a superuser; if it waits too long for a lock, it is left out."""
        with contextlib.suppress(psycopg.errors.LockNotAvailable):
            self._connection.execute(statement.encode())

    def let_leases_run_out(self) -> None:
        """Act as if no runner had done anything for longer than a lease lasts."""
        self._connection.execute(
            "UPDATE fluxbase_rotation.shard SET lease_until = now() - interval '1 hour' WHERE lease_until IS NOT NULL"
        )

    def cut(self) -> None:
        """End all sessions of the product, as an administrator or a restart would."""
        self._connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'fluxbase-cli'"
        )

    def wait_until_the_process_is_gone(self) -> None:
        """Wait until the server has noticed that the product's process has ended."""
        until(lambda: not self._sessions(), "the server notices that the process is gone")

    def _sessions(self) -> int:
        found = self._connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = %s",
            ["fluxbase-cli"],
        ).fetchone()
        return int(found[0]) if found else 0

    # --- reading --------------------------------------------------------------------------------------------------

    def read(self) -> Contents:
        """All that the sealed tables hold, by an independent reader."""
        return read(self._connection, self.layout)

    @contextmanager
    def nothing_written(self) -> Iterator[None]:
        """No row may be written within the block."""
        before = places(self._connection, self.layout)
        yield
        assert places(self._connection, self.layout) == before, "rows were written"

    # --- the product ----------------------------------------------------------------------------------------------

    @staticmethod
    def ring(model: Model) -> Keyring:
        """The keys that exist."""
        keys = (Key(version, key_of(version), "env", f"version {version}") for version in sorted(model.ring))
        return Keyring(tuple(keys), active=model.server)

    def audit(self, model: Model, version: int | None, *, limits: Limits, workers: int) -> AuditReport:
        """Run an audit."""
        return run_audit(
            self.database,
            self.ring(model),
            key_version=version,
            limits=limits,
            workers=workers,
            stop=Stop(),
            observer=NullObserver(),
            wait_s=WRITERS_WAIT_S,
        )

    def _settings(self, model: Model, cooling_off: str) -> tuple[Settings, dict[str, str]]:
        environ = {f"FLUXBASE_SECRET_KEY_{version}": key_of(version).hex() for version in model.ring}
        environ["FLUXBASE_SECURITY_ENCRYPTION_ACTIVE_KEY_VERSION"] = str(model.server)
        environ["FLUXBASE_SECURITY_ENCRYPTION_KEY_DESTRUCTION_COOLING_OFF"] = cooling_off
        return load_settings(database_url=self._url, directory=self._directory, environ=environ), environ

    def destroy(
        self, model: Model, request: DestroyRequest, *, cooling_off: str, warn: Callable[[str], None] = lambda _: None
    ) -> DestroyOutcome:
        """Take a step to destroy a key."""
        settings, environ = self._settings(model, cooling_off)
        return Destruction(settings, environ, request, stop=Stop(), observer=NullObserver(), warn=warn).run()

    def enable(self, model: Model, version: int) -> None:
        """Undo the first step to destroy a key."""
        settings, environ = self._settings(model, "7d")
        enable_key(settings, environ, version, warn=lambda _: None)
