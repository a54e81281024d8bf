"""When a key may be destroyed: after its cooling-off time, its `keep_until` date, and the backups that may need it."""

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
        history: what the database knows about keys.
        subject: the key.
        limits: the settings for the destruction of keys.
        asked: the `keep_until` date of this request, if it has one.
    """

    history: KeyHistory
    subject: Subject
    limits: KeyDestructionSettings
    asked: datetime | None = None

    @property
    def disabled_at(self) -> datetime | None:
        """When the key was disabled. None if it is not disabled."""
        # The first event counts. A later event only sets another date.
        return next((record.at for record in self._disablings()), None)

    @property
    def keep_until(self) -> datetime | None:
        """The date until which the key must be kept, if somebody set one. The newest date counts."""
        if self.asked is not None:
            return self.asked
        dates = [record.detail.get("keep_until") for record in self._disablings()]
        text = next((date for date in reversed(dates) if date), None)
        return datetime.fromisoformat(str(text)) if text else None

    def last_needed(self, disabled_at: datetime | None, now: datetime) -> datetime:
        """The last time that values were under the key, as far as the database knows."""
        rotations = [at for version, at in self.history.rotations.items() if version != self.subject.version]
        return max(rotations, default=disabled_at or now)

    def not_before(self, disabled_at: datetime) -> datetime:
        """The earliest moment for the destruction, if the key was disabled at `disabled_at`."""
        moments = [disabled_at + self.limits.cooling_off, self.keep_until]
        if self.limits.backup_horizon:
            moments.append(self.last_needed(disabled_at, disabled_at) + self.limits.backup_horizon)
        return max(moment for moment in moments if moment is not None)

    def _disablings(self) -> list[KeyRecord]:
        """The events that disabled the key since it was last enabled, the oldest first."""
        found: list[KeyRecord] = []
        for record in self.history.records:
            if (record.version, record.fingerprint) != (self.subject.version, self.subject.fingerprint):
                continue
            if record.what is KeyEvent.DISABLED:
                found.append(record)
            elif record.what is KeyEvent.ENABLED:
                found.clear()
        return found
