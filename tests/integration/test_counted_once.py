"""An open transaction ends during an audit: values that were committed before the audit are counted once.

The stateful test found the first of these cases. The other tests say what the fix must not lose.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import psycopg

from fluxbase_cli.engine.events import Event, PassStarted
from fluxbase_cli.engine.outcome import AuditReport
from fluxbase_cli.engine.read.audit import run_audit
from fluxbase_cli.engine.stop import Stop
from tests.fixtures.fluxbase import FEW, KEYS, NEW, OLD, SECRETS, Fluxbase, ring_of, seal

_CHANGE = "UPDATE functions.secrets SET encrypted_value = %s WHERE id = %s"


@dataclass(frozen=True)
class _AfterTheSnapshot:
    """Acts when the snapshot is taken and nothing is read yet."""

    action: Callable[[], object]

    def notify(self, event: Event) -> None:
        """Wait until the pass begins."""
        if isinstance(event, PassStarted):
            self.action()


def _audit(flux: Fluxbase, meanwhile: Callable[[], object]) -> AuditReport:
    return run_audit(
        flux.database,
        ring_of(KEYS),
        key_version=None,
        limits=FEW,
        workers=1,
        stop=Stop(),
        observer=_AfterTheSnapshot(meanwhile),
        wait_s=0.1,
    )


def test_rows_that_were_committed_before_the_snapshot_are_counted_once(flux: Fluxbase) -> None:
    rows = flux.secrets(8, OLD)
    with psycopg.connect(flux.url) as other:
        other.execute(_CHANGE, [seal(NEW, "taken back"), rows[0]])
        # These are committed before the audit begins, in transactions that are younger than the open one.
        for row in rows[1:6]:
            flux.rows(_CHANGE, seal(NEW, "younger"), row)
        report = _audit(flux, other.rollback)

    assert not report.unexamined
    assert (report.scanned, report.locations[SECRETS].by_version) == (8, {1: 3, 2: 5})


def test_a_value_that_was_written_after_a_savepoint_is_found(flux: Fluxbase) -> None:
    """Its row has the number of a subtransaction, which no snapshot lists."""
    rows = flux.secrets(4, NEW)
    with psycopg.connect(flux.url) as other:
        other.execute("SELECT pg_current_xact_id()")
        with other.transaction():
            other.execute(_CHANGE, [seal(OLD, "late"), rows[0]])
        # So the number of the subtransaction is lower than everything that the snapshot of the audit treats as future.
        flux.rows(_CHANGE, seal(NEW, "younger"), rows[1])
        report = _audit(flux, other.commit)

    # The row whose value was replaced during the audit is counted with both values.
    assert report.locations[SECRETS].by_version == {1: 1, 2: 4}


def test_a_value_that_was_written_after_the_snapshot_is_found(flux: Fluxbase) -> None:
    """Also if a value that was committed before was at the same ctid, or in the same row."""
    rows = flux.secrets(4, NEW)
    with psycopg.connect(flux.url) as other:
        other.execute(_CHANGE, [seal(NEW, "open"), rows[0]])
        flux.rows(_CHANGE, seal(NEW, "younger"), rows[1])

        def write_on() -> None:
            other.commit()
            flux.rows(_CHANGE, seal(OLD, "late"), rows[1])
            flux.rows("DELETE FROM functions.secrets WHERE id = %s", rows[2])
            with psycopg.connect(flux.url, autocommit=True) as upkeep:
                upkeep.execute("VACUUM functions.secrets")
            flux.secret(seal(OLD, "added"))

        report = _audit(flux, write_on)

    assert report.locations[SECRETS].by_version == {1: 2, 2: 5}
