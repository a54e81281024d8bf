"""A request to stop: who made it, how it is shown, and which parts of a run it reaches."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.store.records import StopRequest

_AT = datetime(2026, 1, 1, tzinfo=UTC)
_ORDER = StopRequest(_AT, "ann on db1", "a sale")


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        (_ORDER, "stopped by ann on db1: a sale"),
        (StopRequest(_AT, "Ann on DB1"), "stopped by Ann on DB1"),
        # It is shown on the terminals of others.
        (StopRequest(_AT, "ann on db1", "\x1b[2Ja\nsale"), "stopped by ann on db1: \\x1b[2Ja\\nsale"),
    ],
)
def test_a_request_says_by_whom_and_why(request_: StopRequest, text: str) -> None:
    assert str(request_) == text
    assert request_.sentence == f"S{text[1:]}"


def test_a_request_is_read_from_the_columns_of_a_job() -> None:
    assert StopRequest.from_columns(None, None, None) is None
    assert StopRequest.from_columns(_AT, "ann on db1", "a sale") == _ORDER
    assert StopRequest.from_columns(_AT, None, None) == StopRequest(_AT, "somebody")


def test_the_first_signal_and_the_first_order_are_kept() -> None:
    stop = Stop()
    stop.request(order=_ORDER)
    stop.request(15)
    stop.request(2, order=StopRequest(_AT, "bob on db2"))
    assert (stop.requested, stop.signal, stop.order) == (True, 15, _ORDER)


def test_a_stop_reaches_the_parts_of_a_run_and_a_stop_of_a_part_nothing_else() -> None:
    whole = Stop()
    with whole.child() as first, whole.child() as second:
        first.request(order=_ORDER)
        assert (first.requested, second.requested, whole.requested) == (True, False, False)
        whole.request(15)
        assert (second.requested, second.signal, second.order) == (True, 15, None)
        assert (first.signal, first.order) == (15, _ORDER)
    assert whole.order is None
    with whole.child() as late:
        assert (late.requested, late.signal) == (True, 15)
