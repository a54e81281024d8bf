"""Says that a commit waits for a synchronous standby. Without that, a job stands still without a word."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Self

import psycopg

from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.engine.events import Observer, Waiting
from fluxbase_cli.errors import FluxbaseCliError
from fluxbase_cli.printable import printable
from fluxbase_cli.store.connection import Connection, connect
from fluxbase_cli.store.queries import Statements

_LOOK_S = 1.0
_REPORT_AGAIN_S = 60.0


class CommitWatch:
    """Looks for commits of our sessions that wait. As a context manager it does so from a thread.

    Args:
        database: where to look, over a connection that is opened when a block lasts longer than a second.
        observer: gets an event when a commit waits, and again after a minute.
    """

    def __init__(self, database: DatabaseSettings, observer: Observer) -> None:
        self._database = database
        self._observer = observer
        self._reported_at: float | None = None
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def look(self, connection: Connection) -> None:
        """Look once, and report.

        Raises:
            psycopg.Error: nothing is reported then.
        """
        row = Statements(connection, "sessions.sql").rows("waits_for_standby")[0]
        if not row["waiting"]:
            self._reported_at = None
            return
        now = time.monotonic()
        if self._reported_at is not None and now - self._reported_at < _REPORT_AGAIN_S:
            return
        self._reported_at = now
        standbys = f"{row['connected']} standbys are" if row["connected"] != 1 else "1 standby is"
        self._observer.notify(
            Waiting(
                f"a synchronous standby that confirms a commit (synchronous_standby_names = "
                f"{printable(row['wanted'])}; {standbys} connected)",
                None,
            )
        )

    def __enter__(self) -> Self:
        # A thread of its own event: an earlier one may still be connecting.
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(self._ended,), name="commit-watch", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join(_LOOK_S)

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Inside the block, the watch is paused. Use it only inside the watch's own block."""
        self.__exit__()
        try:
            yield
        finally:
            self.__enter__()

    def _run(self, ended: threading.Event) -> None:
        if ended.wait(_LOOK_S):
            return
        # The job does not depend on this, so errors are ignored.
        with suppress(psycopg.Error, FluxbaseCliError), connect(self._database) as connection:
            while not ended.is_set():
                self.look(connection)
                ended.wait(_LOOK_S)
