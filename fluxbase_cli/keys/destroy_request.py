"""The request and the outcome of `keys destroy`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fluxbase_cli.catalogue.extra import ONLY_RELEASES, SearchScope
from fluxbase_cli.config import KeyEntry
from fluxbase_cli.engine.read.snapshot import WRITERS_WAIT_S
from fluxbase_cli.errors import ExitCode, interrupted_code
from fluxbase_cli.keys.history import KeyState
from fluxbase_cli.keys.interlocks import NeededBy
from fluxbase_cli.store.limits import Limits
from fluxbase_cli.unexamined import Unexamined


@dataclass(frozen=True, slots=True)
class DestroyRequest:
    """The request of the operator.

    Attributes:
        version: the key to destroy.
        confirm: the fingerprint of the key, for the second step; None means the first step.
        now: do both steps at once, without the cooling-off time.
        reason: recorded with who and when.
        keep_until: do not destroy the key before this moment.
        accept_undecryptable: continue even if no key opens some values.
        skip_copies: do not search branch and tenant databases.
        skip_standbys: continue even if standbys or replication slots are behind, or can't be seen.
        skip_deep: search only the known locations, not every column.
        scope: where values are searched, and what is left out on purpose.
        limits, workers: how the audit reads.
        wait_s: how long to wait for open transactions that may have written sealed values, in seconds.
    """

    version: int
    limits: Limits
    confirm: str | None = None
    now: bool = False
    reason: str | None = None
    keep_until: datetime | None = None
    accept_undecryptable: bool = False
    skip_copies: bool = False
    skip_standbys: bool = False
    skip_deep: bool = False
    scope: SearchScope = ONLY_RELEASES
    workers: int = 4
    wait_s: float = WRITERS_WAIT_S


@dataclass(frozen=True, slots=True)
class DestroyOutcome:
    """The outcome of a request.

    Attributes:
        version, fingerprint, source: the key, and where it is or was kept.
        state: the state of the key now.
        refusals: why nothing was done; empty if something was done.
        already: whether it was destroyed before.
        census: what the audits found, by database.
        not_before: after the first step, the earliest time for the second step.
        left_to_do: what only the operator can remove, one sentence each.
        gone: whether the tool has checked that the key is gone. False if only the operator can remove it.
        interrupted: the signal that ended the audit, if one did.
        lsn: a position in the WAL after everything that the audit saw.
        standbys: the connected standbys, each with `name`, `replay_lsn` and `lag_s`.
        unexamined: what could not be examined, with the standbys and slots that are behind `lsn`.
    """

    version: int
    fingerprint: str
    source: str
    state: KeyState
    refusals: tuple[str, ...] = ()
    already: bool = False
    census: tuple[NeededBy, ...] = ()
    not_before: datetime | None = None
    left_to_do: tuple[str, ...] = ()
    gone: bool = True
    interrupted: int | None = None
    lsn: str | None = None
    standbys: tuple[dict[str, Any], ...] = ()
    unexamined: tuple[Unexamined, ...] = ()

    @property
    def exit_code(self) -> int:
        """The exit code of the command."""
        if self.interrupted is not None:
            return interrupted_code(self.interrupted)
        return ExitCode.CHECK_SAYS_NO if self.refusals else ExitCode.DONE


@dataclass(frozen=True, slots=True)
class Subject:
    """The key of the request as it is, or as it was before it was removed."""

    version: int
    fingerprint: str
    provider: str
    source: str
    entry: KeyEntry | None
