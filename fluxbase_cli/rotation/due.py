"""Whether a rotation of a database is due, and since when its key is active."""

from __future__ import annotations

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
    active = settings.encryption.effective_key_version
    since = None if newest is None or active is None else store.activated_at(active)
    if since is None and active is not None:
        since = known_since(history, active)
    return decide_due(
        policy.schedule,
        now,
        last_rotation=None if newest is None else newest.started_at,
        active_since=since,
        min_age=policy.min_age,
    )


def known_since(history: KeyHistory, active: int) -> datetime | None:
    """The earliest time since when a version can be active, as far as the database knows: when its key was made."""
    moments = [record.at for record in history.records if record.version == active and record.what is KeyEvent.CREATED]
    moments += [key.created_at for key in history.wrapped if key.version == active]
    return max(moments, default=None)
