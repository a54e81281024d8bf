"""What a rotation gets from its caller: a command, the daemon or a test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from enum import Enum

from fluxbase_cli.catalogue.extra import ONLY_RELEASES, SearchScope
from fluxbase_cli.config import Settings
from fluxbase_cli.engine.events import NullObserver, Observer
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.log_events import LogEvent, Teller, about
from fluxbase_cli.notifications.notifier import Notifier, notifier_for
from fluxbase_cli.notifications.recipient import Webhook
from fluxbase_cli.store.clock import Clock
from fluxbase_cli.store.databases import Databases
from fluxbase_cli.store.limits import DEFAULT_LIMITS, Limits
from fluxbase_cli.store.rotations import RotationStep


class Moment(Enum):
    """How far a step is, for listeners."""

    BEGUN = "begun"
    #: Its work is done, and not recorded yet.
    DONE = "done"
    RECORDED = "recorded"


StepListener = Callable[[RotationStep, Moment], None]


def _null_listener(_step: RotationStep, _moment: Moment) -> None:
    """Take a moment of a step and do nothing."""


@dataclass(frozen=True, slots=True)
class RotationContext:
    """What a rotation gets from its caller.

    Attributes:
        load: reads the configuration. It is called again after a change of the configuration.
        environ: the environment, for providers and the reload command.
        tell, warn: called with messages for the operator.
        observer: gets the progress of the engine.
        stop: set by signals.
        clock: the clock; None means the database server's clock.
        notifier: makes the object that sends notifications.
        listener: called at the moments of each step.
        around: the daemon enters it around each run.
        limits, workers: how the engine reads and writes.
        databases: which databases are re-encrypted and audited. None: all of them if the server knows one key, because
            it opens the values of all with that key; otherwise the main database.
        scope: where sealed values are searched, and what is left out on purpose.
    """

    load: Callable[[], Settings]
    environ: Mapping[str, str]
    tell: Teller
    warn: Teller
    observer: Observer = field(default_factory=NullObserver)
    stop: Stop = field(default_factory=Stop)
    clock: Clock | None = None
    notifier: Callable[[Webhook | None], Notifier] = notifier_for
    listener: StepListener = _null_listener
    around: Callable[[], AbstractContextManager[None]] = nullcontext
    limits: Limits = DEFAULT_LIMITS
    workers: int = 4
    databases: Databases | None = None
    scope: SearchScope = ONLY_RELEASES

    @property
    def warn_of_keys(self) -> Callable[[str], None]:
        """Takes the warnings of key sources and of the key ring."""
        return about(LogEvent.KEY_WARNING, self.warn)
