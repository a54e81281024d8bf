"""The estimate of time, on a fake clock: the time of each batch is known, so the time of all batches is known too."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from fluxbase_cli.engine.prepare import estimate
from fluxbase_cli.store.limits import Limits
from tests.fixtures.fluxbase import OLD, Fluxbase, seal

_SECRETS = 6_000
_BATCH = 100
_BATCHES = _SECRETS / _BATCH
#: The most that a run costs besides its batches: a check of the clock for its catch-up pass, and a constant.
_BESIDES_S = 2.0


@pytest.fixture
def large(flux: Fluxbase) -> Fluxbase:
    """A database with just enough rows in one table for a trial run."""
    flux.rows(
        "INSERT INTO functions.secrets (id, name, encrypted_value)"
        " SELECT gen_random_uuid(), 'SECRET_' || n, %s FROM generate_series(1, %s) AS n",
        seal(OLD, "one of many"),
        _SECRETS,
    )
    flux.rows("VACUUM ANALYZE functions.secrets")
    return flux


def clock(step_s: float) -> Callable[[], float]:
    """A clock that advances by this step each time a thread reads it. So the time between two reads is one step."""
    own = threading.local()

    def monotonic() -> float:
        own.now = getattr(own, "now", 0.0) + step_s
        return float(own.now)

    return monotonic


def estimated_seconds(flux: Fluxbase, monkeypatch: pytest.MonkeyPatch, step_s: float, **request: Any) -> float:
    """The seconds that a dry run estimates when a batch takes this long."""
    # Each estimate begins with the same pages, without the row versions that an earlier trial run has left.
    flux.rows("VACUUM FULL ANALYZE functions.secrets")
    monkeypatch.setattr(estimate, "time", SimpleNamespace(monotonic=clock(step_s)))
    report = flux.run(dry_run=True, limits=Limits(rows=_BATCH, bytes=1 << 20), **request)
    assert report.estimate is not None
    assert report.estimate.cost is not None, report.estimate.reason
    return report.estimate.cost.seconds


def test_the_estimate_is_the_time_of_all_batches(large: Fluxbase, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch takes a second, and a twelfth of one for its share of the read. Rows that stay in a page take less."""
    assert 0.6 * _BATCHES < estimated_seconds(large, monkeypatch, 1.0) < 1.2 * _BATCHES + _BESIDES_S


def test_a_machine_that_is_ten_times_slower_takes_ten_times_longer(
    large: Fluxbase, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast, slow = estimated_seconds(large, monkeypatch, 1.0), estimated_seconds(large, monkeypatch, 10.0)

    assert 8.0 < slow / fast < 12.0


def test_workers_share_the_time(large: Fluxbase, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each worker takes one second for a batch, and they work in parallel."""
    alone, two = estimated_seconds(large, monkeypatch, 1.0), estimated_seconds(large, monkeypatch, 1.0, workers=2)

    assert 1.7 < alone / two < 2.3


def test_a_run_with_a_rate_limit_takes_as_long_as_its_rate_says(
    large: Fluxbase, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = estimated_seconds(large, monkeypatch, 0.001, max_rate_per_s=100.0)
    slow = estimated_seconds(large, monkeypatch, 10.0, max_rate_per_s=100.0)

    assert _SECRETS / 100 <= fast < _SECRETS / 100 + _BESIDES_S
    assert slow > 0.6 * 10 * _BATCHES


@pytest.mark.parametrize(
    ("first_wal", "byte_s"),
    [
        pytest.param(3_300.0, 0.01 / 3_000, id="pages were logged whole"),
        pytest.param(301.0, 0.0, id="nearly as much"),
        pytest.param(300.0, 0.0, id="as much"),
        pytest.param(299.0, 0.0, id="less"),
    ],
)
def test_slow_batches_are_not_mistaken_for_pages_that_are_logged_as_a_whole(first_wal: float, byte_s: float) -> None:
    """One more byte for each row, written by another session, changed the estimate from a second to an hour."""
    sample = estimate._Sample(estimate._Phase(100, 0.02, first_wal), estimate._Phase(100, 0.01, 300.0))

    assert sample.page_byte_s == pytest.approx(byte_s)
