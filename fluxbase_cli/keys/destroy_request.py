"""What an operator asks of `keys destroy`, and what has come of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fluxbase_cli.catalogue.extra import ONLY_RELEASES, SearchScope
from fluxbase_cli.config import KeyEntry
from fluxbase_cli.engine.read.snapshot import WRITERS_WAIT_S
from fluxbase_cli.errors import ExitCode
from fluxbase_cli.keys.history import KeyState
from fluxbase_cli.keys.interlocks import NeededBy
from fluxbase_cli.store.rows import Limits
from fluxbase_cli.unexamined import Unexamined


@dataclass(frozen=True, slots=True)
class DestroyRequest:
    """What the operator asks for.

    Attributes:
        version: the key to destroy.
        confirm: its fingerprint, which asks for the second step; None asks for the first.
        now: both steps at once, without the cooling-off time.
        reason: kept with who and when.
        keep_until: no destruction before this moment.
        accept_undecryptable: go on though values open under no key.
        skip_copies: do not look into branch and tenant databases.
        skip_standbys: go on though standbys or replication slots are behind, or can't be seen.
        skip_deep: look only where values are known to be, not into every column.
        scope: where values are looked for, and what is left out on purpose.
        limits, workers: how the audit reads.
        wait_s: how long open transactions that may have written sealed values are waited for, in seconds.
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
    """What has come of it.

    Attributes:
        version, fingerprint, source: the key, and the place where it is or was.
        state: where it stands now.
        refusals: why nothing was done; empty where something was.
        already: whether it was destroyed before.
        census: what the censuses found, by database.
        not_before: when the second step may be taken, after the first.
        left_to_do: what only the operator can remove, a sentence each.
        gone: whether the key was seen to be gone; False where only the operator can remove it.
        interrupted: the signal that ended the census, if one did.
        lsn: the position in the WAL behind all that the audit saw.
        standbys: the connected standbys, each with `name`, `replay_lsn` and `lag_s`.
        unexamined: what could not be examined, standbys and slots that are behind that position among it.
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
        """How the command ends."""
        if self.interrupted is not None:
            return 128 + self.interrupted
        return ExitCode.CHECK_SAYS_NO if self.refusals else ExitCode.DONE


@dataclass(frozen=True, slots=True)
class Subject:
    """The key in question: as it is, or as it was where it is gone."""

    version: int
    fingerprint: str
    provider: str
    source: str
    entry: KeyEntry | None
