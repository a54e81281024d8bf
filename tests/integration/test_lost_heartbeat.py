"""The session that shows that a process is alive is lost before the first shard is taken."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.store.runners import RunnerStore
from tests.fixtures.fluxbase import Fluxbase


class Losing:
    """Ends the session of the first heartbeats of a process.

    Attributes:
        begun: how many heartbeats were begun.
    """

    def __init__(
        self, flux: Fluxbase, monkeypatch: pytest.MonkeyPatch, *, losses: int, stop: Stop | None = None
    ) -> None:
        self.begun = 0
        heartbeat = RunnerStore.heartbeat

        def lost_at_first(store: RunnerStore, runner: int, shards: Iterable[int], workers: int) -> None:
            self.begun += 1
            if self.begun <= losses:
                connection: Any = store._connection
                flux.rows("SELECT pg_terminate_backend(%s, 5000)", connection.info.backend_pid)
                if stop is not None:
                    stop.request()
            heartbeat(store, runner, shards, workers)

        monkeypatch.setattr(RunnerStore, "heartbeat", lost_at_first)


def test_a_job_whose_first_heartbeat_is_lost_connects_again(flux: Fluxbase, monkeypatch: pytest.MonkeyPatch) -> None:
    flux.secrets(7)
    losing = Losing(flux, monkeypatch, losses=2)
    report = flux.run(workers=1)
    assert (report.state, report.error, report.total.re_encrypted) == ("completed", None, 7)
    assert losing.begun >= 3


def test_a_job_that_is_stopped_while_its_first_heartbeat_is_lost_is_interrupted_and_not_failed(
    flux: Fluxbase, monkeypatch: pytest.MonkeyPatch
) -> None:
    flux.secrets(7)
    stop = Stop()
    Losing(flux, monkeypatch, losses=1, stop=stop)
    report = flux.run(workers=1, stop=stop)
    assert (report.state, report.error, report.total.re_encrypted) == ("interrupted", None, 0)
    assert flux.run().total.re_encrypted == 7
