"""The clock of the server: the tool asks once, and then adds the time that has passed locally."""

from __future__ import annotations

from datetime import timedelta

from fluxbase_cli.store.clock import ServerClock, seconds_since_boot
from fluxbase_cli.store.connection import connect
from tests.fixtures.fluxbase import Fluxbase


def test_the_time_is_that_of_the_server_plus_the_time_that_passed_here(flux: Fluxbase) -> None:
    elapsed = 1000.0
    with connect(flux.database) as connection:
        clock = ServerClock(connection, elapsed=lambda: elapsed)
        first = clock()
        elapsed += 8 * 86_400

        assert clock() - first == timedelta(days=8)
        assert abs(flux.value("SELECT clock_timestamp()") - first) < timedelta(minutes=1)


def test_the_time_is_never_ahead_of_the_server(flux: Fluxbase) -> None:
    """The network can be slow. Then the time is early, so no key is destroyed too soon."""
    readings = iter([0.0, 0.0])
    with connect(flux.database) as connection:
        clock = ServerClock(connection, elapsed=lambda: next(readings))
        assert clock() <= flux.value("SELECT clock_timestamp()")


def test_the_local_count_is_never_set_back() -> None:
    assert seconds_since_boot() <= seconds_since_boot()
