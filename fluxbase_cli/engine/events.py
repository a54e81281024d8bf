"""How the engine tells what it does: to a terminal, a log, metrics or a test. All of them are listeners.

Events come from several threads; a listener locks what it must. What a listener raises ends the job, so none should.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from fluxbase_cli.counts import Counts


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
        number: 0 is the main pass, from 1 on it is a closing census.
        rows: the rows of each location, by `schema.table.column`.
        done: the rows that an earlier run has done already, likewise.
    """

    number: int
    rows: Mapping[str, int]
    done: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class BatchStep:
    """A batch has come to a step."""

    table: str
    step: Step


@dataclass(frozen=True, slots=True)
class BatchDone:
    """A batch was committed (or, when only reading, judged)."""

    table: str
    rows: int
    counts: Mapping[str, Counts]
    pass_number: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nothing is being done for a while, and why.

    Attributes:
        reason: what is waited for.
        seconds: for how long; None where that depends on others.
    """

    reason: str
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Message:
    """Something the operator should know."""

    message: str
    warning: bool = False


Event = PassStarted | BatchStep | BatchDone | Waiting | Message


class Observer(Protocol):
    """A listener."""

    def notify(self, event: Event) -> None:
        """Take note of an event; called from any thread."""
        ...


class NullObserver:
    """A listener that does nothing."""

    def notify(self, event: Event) -> None:
        """Do nothing."""
