"""Counts the values under each key, with progress and signals as in an audit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fluxbase_cli.cli.options import Options
from fluxbase_cli.cli.signals import stop_on_signals
from fluxbase_cli.engine.read.audit import run_audit
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.report.messages import Messages
from fluxbase_cli.report.progress import progress_for
from fluxbase_cli.store.limits import DEFAULT_LIMITS

if TYPE_CHECKING:
    from fluxbase_cli.config import DatabaseSettings
    from fluxbase_cli.keyring import Keyring

_WORKERS = 4


def count_values(
    options: Options, database: DatabaseSettings, keyring: Keyring, messages: Messages, stop: Stop
) -> Mapping[int, int]:
    """Return how many values need the key of each version. After a signal to stop, the counts are incomplete."""
    with stop_on_signals(stop, messages.tell), progress_for(messages, color=options.color) as progress:
        report = run_audit(
            database,
            keyring,
            key_version=None,
            limits=DEFAULT_LIMITS,
            workers=_WORKERS,
            stop=stop,
            observer=progress,
        )
    return report.by_version
