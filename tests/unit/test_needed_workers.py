"""A small job has fewer workers than were asked for: each has at least a batch of its own."""

from __future__ import annotations

import pytest

from fluxbase_cli.engine.allowed_workers import needed_workers
from fluxbase_cli.store.limits import Limits
from fluxbase_cli.store.table_size import TableSize

_LIMITS = Limits(rows=1_000, bytes=1_000_000)


@pytest.mark.parametrize(
    ("values", "stored", "workers"),
    [
        pytest.param(0, 0, 1, id="nothing"),
        pytest.param(1_000, 400_000, 1, id="one batch"),
        pytest.param(1_001, 400_000, 2, id="two batches"),
        pytest.param(1_000_000, 400_000, 4, id="many batches"),
        pytest.param(10, 3_000_000, 3, id="a few large values"),
        pytest.param(10, 30_000_000, 4, id="large values"),
    ],
)
def test_needed_workers(values: int, stored: int, workers: int) -> None:
    half = TableSize(heap=0, whole=stored // 2, indexes=10**9, entries_a_row=1.0, live=0, dead=0)

    assert needed_workers(values, [half, half], _LIMITS, 4) == workers
