"""A job that was interrupted in its catch-up pass reads again what it had read before the interruption.

The stateful test found these cases. Hours can pass between an interruption and the resumption, and a server still
writes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import psycopg
import pytest

from fluxbase_cli.engine.events import BatchStep, Event, PassStarted, Step
from fluxbase_cli.engine.stop import Stop
from tests.fixtures.fluxbase import GITHUB, OLD, SECRETS, Fluxbase, seal

_TABLES = [SECRETS.rpartition(".")[0], GITHUB.rpartition(".")[0]]


@dataclass
class _InCatchUp:
    """Acts when the catch-up pass begins, and stops the job when the pass has completed a table.

    Attributes:
        stop: is asked to stop.
        table: the table.
        before: what happens when the catch-up pass begins; in the main pass nothing is done.
        main: what happens at the first batch of the main pass.
    """

    stop: Stop
    table: str
    begins: Callable[[], object] = lambda: None
    main: Callable[[], object] | None = None
    _pass: int = 0

    def notify(self, event: Event) -> None:
        """React to an event."""
        if isinstance(event, PassStarted):
            self._pass = event.number
            if event.number == 1:
                self.begins()
        elif isinstance(event, BatchStep) and event.step is Step.COMMITTED:
            if self._pass == 0 and self.main is not None and event.table == self.table:
                self.main()
                self.main = None
            if self._pass == 1 and event.table == self.table:
                self.stop.request()


def _versions(flux: Fluxbase) -> set[tuple[int, ...]]:
    return {opened.versions for opened in flux.everything().values()}


@pytest.mark.parametrize("last", _TABLES)
@pytest.mark.parametrize("written", _TABLES)
def test_what_was_written_between_interruption_and_resumption_is_found(flux: Fluxbase, last: str, written: str) -> None:
    """The catch-up pass has read one table, or all of them, and the process dies. A server seals under the old key."""
    flux.secrets(3)
    flux.github(seal(OLD, "hook"))
    stop = Stop()
    assert flux.run(stop=stop, observer=_InCatchUp(stop, last)).state == "interrupted"
    if written == _TABLES[0]:
        flux.secret(seal(OLD, "written meanwhile"))
    else:
        flux.github(seal(OLD, "written meanwhile"))

    report = flux.run()

    assert (report.state, report.remaining, report.total.updated) == ("completed", 0, 5)
    assert _versions(flux) == {(2,)}


def test_a_catch_up_pass_that_was_interrupted_with_something_unexamined_skips_nothing(flux: Fluxbase) -> None:
    """The interrupted pass had found an open transaction in one table, and had not yet read another table."""
    flux.secrets(3)
    flux.github(seal(OLD, "hook"))
    stop = Stop()
    with psycopg.connect(flux.url) as other:

        def open_transaction() -> None:
            other.execute("UPDATE functions.secrets SET description = 'open'")

        report = flux.run(
            stop=stop,
            wait_s=0.0,
            observer=_InCatchUp(
                stop,
                _TABLES[0],
                begins=open_transaction,
                main=lambda: flux.github(seal(OLD, "behind the main pass")),
            ),
        )
        assert report.state == "interrupted"
        assert [each.where for each in report.unexamined] != []
        other.rollback()

    report = flux.run()

    assert (report.state, report.remaining) == ("completed", 0)
    assert _versions(flux) == {(2,)}
