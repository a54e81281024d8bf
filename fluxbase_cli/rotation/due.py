"""Whether a rotation of a database is due, and since when its key is in use."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from fluxbase_cli.config import Settings
from fluxbase_cli.keys.history import KeyHistory
from fluxbase_cli.rotation.policy import Policy
from fluxbase_cli.rotation.schedule import DueDecision, decide_due
from fluxbase_cli.store.key_records import KeyEvent
from fluxbase_cli.store.rotations import RotationStore

_NOT_ENABLED = "key_rotation.enabled is false"


def due(policy: Policy, settings: Settings, history: KeyHistory, store: RotationStore, now: datetime) -> DueDecision:
    """Whether a rotation is due by the schedule. Writes nothing."""
    if not policy.enabled or policy.schedule is None:
        return DueDecision(due=False, why=_NOT_ENABLED)
    newest = store.newest() if store.exists() else None
    use = _use_of_active_key(settings, history, store)
    return decide_due(
        policy.schedule,
        now,
        last_rotation=None if newest is None else newest.started_at,
        active_since=use.since,
        by_hand=use.by_hand,
        min_age=policy.min_age,
    )


def active_since(settings: Settings, history: KeyHistory, store: RotationStore) -> datetime | None:
    """Since when the active key is in use, as far as the database knows. None if it does not know."""
    return _use_of_active_key(settings, history, store).since


@dataclass(frozen=True, slots=True)
class _Use:
    """Since when a key is in use, and whether a person brought it into use, and not a rotation."""

    since: datetime | None = None
    by_hand: bool = False


def _use_of_active_key(settings: Settings, history: KeyHistory, store: RotationStore) -> _Use:
    """The use of the active key.

    A rotation records when it makes a key active. If values were moved to another version since then, or if no rotation
    made it active, the latest of these moments counts: its key was made, or values were moved to it, by hand too.
    """
    active = settings.encryption.effective_key_version
    if active is None:
        # All keys are wrapped keys in the database, of which the newest is the active one.
        active = max((key.version for key in history.wrapped), default=None)
    if active is None:
        return _Use()
    activated = store.activated_at(active) if store.exists() else None
    elsewhere = max((at for version, at in history.rotations.items() if version != active), default=None)
    if activated is not None and (elsewhere is None or elsewhere < activated):
        return _Use(activated)
    moments = [record.at for record in history.records if record.version == active and record.what is KeyEvent.CREATED]
    moments += [key.created_at for key in history.wrapped if key.version == active]
    moments += [at for at in (activated, history.moved.get(active)) if at is not None]
    since = max(moments, default=None)
    return _Use(since, by_hand=since != activated)
