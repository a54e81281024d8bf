"""After the run: finds the tables that would gain from VACUUM, and vacuums them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import psycopg

from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.engine.cost import VacuumCandidate
from fluxbase_cli.engine.events import Message, Observer
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.errors import FluxbaseCliError
from fluxbase_cli.log_events import LogEvent
from fluxbase_cli.store.connection import Connection, connect, first_line
from fluxbase_cli.store.relation import Relation
from fluxbase_cli.store.table_size import TableSize, may_vacuum, vacuum

#: With fewer dead rows, or a smaller share of them, the table is left to autovacuum and not reported. The default of
#: autovacuum is a fifth.
_DEAD_ROWS = 1_000
_DEAD_SHARE = 0.05
_GROWN_BYTES = 1024 * 1024


def vacuum_candidates(before: Mapping[str, TableSize], after: Mapping[str, TableSize]) -> tuple[VacuumCandidate, ...]:
    """The tables that would gain, from their sizes before and after a run; the most dead rows first."""
    found = []
    for name, size in after.items():
        grown = size.total - before[name].total if name in before else 0
        many = size.dead >= _DEAD_ROWS and size.dead >= _DEAD_SHARE * size.live
        if many or (grown >= _GROWN_BYTES and grown >= _DEAD_SHARE * size.total):
            found.append(VacuumCandidate(name, size.dead, grown))
    return tuple(sorted(found, key=lambda gain: -gain.dead_rows))


def vacuum_all(
    database: DatabaseSettings,
    relations: Sequence[Relation],
    found: Sequence[VacuumCandidate],
    *,
    stop: Stop,
    observer: Observer,
) -> tuple[VacuumCandidate, ...]:
    """Vacuum the tables that would gain. If it is not permitted or fails, report that and continue.

    Args:
        database: how to connect.
        relations: all relations.
        found: the tables that would gain.
        stop: ends the vacuum, also in the middle of a table.
        observer: gets a message for each table.
    """
    by_name = {relation.qualified: relation for relation in relations}
    done: list[VacuumCandidate] = []
    try:
        with connect(database) as connection:
            may = may_vacuum(connection, [by_name[gain.table] for gain in found])
            for gain in found:
                done.append(gain)
                if stop.requested:
                    continue
                if gain.table not in may:
                    observer.notify(
                        Message(
                            LogEvent.VACUUM_REFUSED,
                            f"{gain.table} can't be vacuumed by this role: ask its owner to run VACUUM {gain.table};",
                            warning=True,
                        )
                    )
                    continue
                observer.notify(Message(LogEvent.VACUUM_BEGUN, f"vacuuming {gain.table}…"))
                with _cancelled_by(stop, connection):
                    vacuum(connection, by_name[gain.table])
                done[-1] = replace(gain, vacuumed=True)
    except (psycopg.Error, FluxbaseCliError) as error:
        if not stop.requested:
            observer.notify(
                Message(
                    LogEvent.VACUUM_FAILED,
                    f"the vacuum ended early: {first_line(error)}. All values are as the job left them; run VACUUM on "
                    "the tables that are left",
                    warning=True,
                )
            )
    return (*done, *found[len(done) :])


@contextmanager
def _cancelled_by(stop: Stop, connection: Connection) -> Iterator[None]:
    """Cancel the statement that runs in the block when a stop is requested."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.1):
            if stop.requested:
                connection.cancel_safe(timeout=1.0)
                return

    watching = threading.Thread(target=watch, name="vacuum-watch", daemon=True)
    watching.start()
    try:
        yield
    finally:
        ended.set()
        watching.join()
