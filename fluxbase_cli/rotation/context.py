"""What a rotation is given by who runs it: a command, the daemon or a test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from fluxbase_cli.catalogue.extra import ONLY_RELEASES, SearchScope
from fluxbase_cli.config import Settings
from fluxbase_cli.engine.events import NullObserver, Observer
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.notifications.recipient import Webhook
from fluxbase_cli.notifications.webhook import Notifier, notifier_for
from fluxbase_cli.store.clock import Clock
from fluxbase_cli.store.databases import Databases
from fluxbase_cli.store.rotations import RotationStep
from fluxbase_cli.store.rows import DEFAULT_LIMITS, Limits


class Moment(Enum):
    """Where a step is, for who listens."""

    BEGUN = "begun"
    #: Its work is done, and not recorded.
    DONE = "done"
    RECORDED = "recorded"


StepListener = Callable[[RotationStep, Moment], None]


def _unheard(_step: RotationStep, _moment: Moment) -> None:
    """Listen to nothing."""


@dataclass(frozen=True, slots=True)
class RotationContext:
    """What a rotation is given by who runs it.

    Attributes:
        load: reads the configuration, again after it was changed.
        environ: the environment, for providers and the reload command.
        tell, warn: are called with lines for the operator.
        observer: is told of the engine's progress.
        stop: asked for by signals.
        clock: what time it is; the database server's when left out.
        notifier: makes who takes the notifications.
        listener: is told of each step.
        limits, workers: how the engine reads and writes.
        databases: which databases are re-encrypted and audited.
        places: where sealed values are looked for, and what is left out on purpose.
    """

    load: Callable[[], Settings]
    environ: Mapping[str, str]
    tell: Callable[[str], None]
    warn: Callable[[str], None]
    observer: Observer = field(default_factory=NullObserver)
    stop: Stop = field(default_factory=Stop)
    clock: Clock | None = None
    notifier: Callable[[Webhook | None], Notifier] = notifier_for
    listener: StepListener = _unheard
    limits: Limits = DEFAULT_LIMITS
    workers: int = 4
    databases: Databases = Databases.MAIN
    scope: SearchScope = ONLY_RELEASES
