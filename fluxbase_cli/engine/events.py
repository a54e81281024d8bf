"""The events with which the engine reports what it does: to a terminal, a log, metrics or a test.

The receiver is an observer. Events come from several threads, so an observer must lock its state. An exception from an
observer ends the job, so an observer should raise none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from fluxbase_cli.counts import Counts
from fluxbase_cli.log_events import LogEvent


class Step(Enum):
    """The steps of a batch, in order."""

    READ = "read"
    BEGUN = "begun"
    WRITTEN = "written"
    RECORDED = "recorded"
    COMMITTED = "committed"


@dataclass(frozen=True, slots=True)
class PassStarted:
    """A pass over all tables begins.

    Attributes:
        number: 0 is the main pass, from 1 on it is a catch-up pass.
        rows: the rows of each location, by `schema.table.column`.
        done: the rows of each location that an earlier run has processed.
    """

    number: int
    rows: Mapping[str, int]
    done: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class BatchStep:
    """A batch has reached a step."""

    table: str
    step: Step


@dataclass(frozen=True, slots=True)
class BatchDone:
    """A batch was committed or, in a full read, opened."""

    table: str
    rows: int
    counts: Mapping[str, Counts]
    pass_number: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """The job waits.

    Attributes:
        reason: what is waited for.
        seconds: for how long; None if that is unknown.
        paused: whether somebody has paused the job. The wait ends with the message `job.continued`.
    """

    reason: str
    seconds: float | None
    paused: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """Something the operator should know.

    Attributes:
        event: its name, for programs.
        message: the text.
        warning: whether it is a warning.
        fields: facts of the text, for programs.
    """

    event: LogEvent
    message: str
    warning: bool = False
    # Events of the worker process are pickled, which not every kind of mapping can be.
    fields: Mapping[str, object] = field(default_factory=dict)


Event = PassStarted | BatchStep | BatchDone | Waiting | Message


class Observer(Protocol):
    """A receiver of events."""

    def notify(self, event: Event) -> None:
        """Receive an event; called from any thread."""
        ...


class NullObserver:
    """An observer that does nothing."""

    def notify(self, event: Event) -> None:
        """Do nothing."""


class Several:
    """Several observers that get the same events."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def notify(self, event: Event) -> None:
        """Pass an event to all observers."""
        for observer in self._observers:
            observer.notify(event)
