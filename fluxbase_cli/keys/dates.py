"""When one key may be destroyed: its cooling-off time, the date to keep it until, and the backups that may need it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from fluxbase_cli.config import KeyDestructionSettings
from fluxbase_cli.keys.destroy_request import Subject
from fluxbase_cli.keys.history import KeyHistory
from fluxbase_cli.store.key_records import KeyEvent, KeyRecord


@dataclass(frozen=True, slots=True)
class Dates:
    """The dates of one key.

    Attributes:
        register: what the database knows of keys.
        subject: the key.
        limits: what is configured.
        asked: the date that this request names, if it does.
    """

    history: KeyHistory
    subject: Subject
    limits: KeyDestructionSettings
    asked: datetime | None = None

    @property
    def disabled_at(self) -> datetime | None:
        """When it was disabled, if it is."""
        # The first of them: a later one has only named another date.
        return next((record.at for record in self._disablings()), None)

    @property
    def keep_until(self) -> datetime | None:
        """The date that somebody named to keep it until; the newest one counts."""
        if self.asked is not None:
            return self.asked
        dates = [record.detail.get("keep_until") for record in self._disablings()]
        text = next((date for date in reversed(dates) if date), None)
        return datetime.fromisoformat(str(text)) if text else None

    def last_needed(self, disabled_at: datetime | None, now: datetime) -> datetime:
        """When values were under the key for the last time, as far as is known."""
        rotations = [at for version, at in self.history.rotations.items() if version != self.subject.version]
        return max(rotations, default=disabled_at or now)

    def not_before(self, disabled_at: datetime) -> datetime:
        """When it may be destroyed at the earliest, if it was disabled at that moment."""
        moments = [disabled_at + self.limits.cooling_off, self.keep_until]
        if self.limits.backup_horizon:
            moments.append(self.last_needed(disabled_at, disabled_at) + self.limits.backup_horizon)
        return max(moment for moment in moments if moment is not None)

    def _disablings(self) -> list[KeyRecord]:
        """The events that disabled the key and were not taken back since, the oldest first."""
        found: list[KeyRecord] = []
        for record in self.history.records:
            if (record.version, record.fingerprint) != (self.subject.version, self.subject.fingerprint):
                continue
            if record.what is KeyEvent.DISABLED:
                found.append(record)
            elif record.what is KeyEvent.ENABLED:
                found.clear()
        return found
