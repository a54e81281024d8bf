"""Workers are divided among as many processes as there are processors, workers and values for."""

from __future__ import annotations

import os

import pytest

from fluxbase_cli.engine.run.worker_process import VALUES_A_PROCESS, share_workers

_MANY = 100 * VALUES_A_PROCESS


@pytest.fixture
def processors(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr("sys.platform", "linux")
    return monkeypatch


@pytest.mark.parametrize(
    ("number", "values", "workers", "shares"),
    [
        pytest.param(1, _MANY, 4, (4,), id="one processor"),
        pytest.param(2, _MANY, 4, (2, 2), id="two processors"),
        pytest.param(2, _MANY, 5, (3, 2), id="an odd number of workers"),
        pytest.param(8, _MANY, 4, (1, 1, 1, 1), id="no process without a worker"),
        pytest.param(8, _MANY, 20, (3, 3, 3, 3, 2, 2, 2, 2), id="eight processors"),
        pytest.param(8, 3 * VALUES_A_PROCESS, 16, (6, 5, 5), id="no process without enough values"),
        pytest.param(8, VALUES_A_PROCESS - 1, 16, (16,), id="few values"),
        pytest.param(8, 0, 1, (1,), id="no value"),
    ],
)
def test_shares(
    processors: pytest.MonkeyPatch, number: int, values: int, workers: int, shares: tuple[int, ...]
) -> None:
    processors.setattr(os, "sched_getaffinity", lambda _pid: set(range(number)), raising=False)
    assert share_workers(values, workers) == shares
    assert sum(shares) == workers


def test_there_is_one_process_where_a_fork_is_not_safe(processors: pytest.MonkeyPatch) -> None:
    processors.setattr("sys.platform", "darwin")
    assert share_workers(_MANY, 4) == (4,)
