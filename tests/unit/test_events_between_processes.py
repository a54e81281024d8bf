"""Every event of the worker process reaches the first process."""

from __future__ import annotations

import multiprocessing

import pytest

from fluxbase_cli.counts import Counts
from fluxbase_cli.engine.events import BatchDone, Event, Message, PassStarted, Waiting
from fluxbase_cli.engine.run.worker_process import _Sender
from fluxbase_cli.log_events import LogEvent


@pytest.mark.parametrize(
    "event",
    [
        PassStarted(1, {"a.b.c": 2}, {}),
        BatchDone("a.b", 3, {"c": Counts(scanned=3)}, 0),
        Waiting("a lock", 0.5),
        Message(LogEvent.JOB_ROW_LEFT, "going on without a row", warning=True),
        Message(LogEvent.JOB_RESUMED, "Resuming job 1", fields={"job": 1}),
    ],
    ids=lambda event: type(event).__name__,
)
def test_an_event_arrives_as_it_was_sent(event: Event) -> None:
    ours, theirs = multiprocessing.Pipe()
    with ours, theirs:
        _Sender(theirs).notify(event)
        assert ours.poll(5.0)
        assert ours.recv() == event
