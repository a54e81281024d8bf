"""Decides when a rotation is due. All functions are pure: they read no clock.

The library cronsim reads the cron expressions. It follows Debian's cron, also for summer time: five fields, names of
days and months, lists, ranges and steps; `L`, `LW`, `MON#2` and `5L` for last days and weekdays.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from fluxbase_cli.duration import format_duration
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.moments import moment_text

_FIELDS = 5
_NAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


@dataclass(frozen=True, slots=True)
class Schedule:
    """Repeating dates.

    Attributes:
        expression: five cron fields.
        zone: the time zone of the fields.
    """

    expression: str
    zone: ZoneInfo

    def next_after(self, moment: datetime) -> datetime | None:
        """The first date after a moment, in UTC. None if there is none within 50 years."""
        found = next(CronSim(self.expression, moment.astimezone(self.zone)), None)
        return None if found is None else found.astimezone(UTC)

    def last_before(self, moment: datetime) -> datetime | None:
        """The last date at or before a moment, in UTC. None if there is none within 50 years."""
        # When it searches backwards, cronsim leaves out the minute at which it starts.
        start = moment.astimezone(self.zone).replace(second=0, microsecond=0) + timedelta(minutes=1)
        found = next(CronSim(self.expression, start, reverse=True), None)
        return None if found is None else found.astimezone(UTC)


def parse_schedule(expression: str, zone: ZoneInfo, place: str) -> Schedule:
    """Read a cron expression, or one of `@daily`, `@weekly`, `@monthly` and the like.

    Raises:
        ConfigurationError: the text is not a cron expression. The message names the field.
    """
    text = _NAMES.get(expression.strip().lower(), expression.strip().upper())
    if len(text.split()) != _FIELDS:
        raise _unreadable(place, "it must have five fields")
    try:
        CronSim(text, datetime(2000, 1, 1, tzinfo=UTC))
    except (CronSimError, AssertionError) as error:
        # The texts of these errors have the form "Bad minute".
        raise _unreadable(place, str(error).lower() or "unknown form") from None
    return Schedule(text, zone)


@dataclass(frozen=True, slots=True)
class DueDecision:
    """Whether a rotation is due.

    Attributes:
        due: whether it is due.
        why: the reason, a sentence without a full stop.
        date: the date of the schedule that the rotation is for.
        next: when the decision may change; None if a rotation is due now, or never will be.
    """

    due: bool
    why: str
    date: datetime | None = None
    next: datetime | None = None


def decide_due(  # noqa: PLR0913  # what the decision depends on
    schedule: Schedule,
    now: datetime,
    *,
    last_rotation: datetime | None,
    active_since: datetime | None,
    by_hand: bool = False,
    min_age: timedelta = timedelta(0),
) -> DueDecision:
    """Decide whether a rotation is due, and when the next one is. One rotation is enough for several missed dates.

    A key that came into use by hand counts as a rotation does.

    Args:
        schedule: the dates.
        now: the current time.
        last_rotation: when the last rotation began, if there was one.
        active_since: since when the active key is in use, if that is known.
        by_hand: whether a person brought it into use, and not a rotation.
        min_age: a younger key is never rotated.
    """
    date = schedule.last_before(now)
    since = max((at for at in (last_rotation, active_since) if at is not None), default=None)
    last = _last(last_rotation, active_since if by_hand or last_rotation is None else None)
    if date is None or (since is not None and date <= since):
        return DueDecision(due=False, why=last, next=schedule.next_after(now))
    known = active_since or last_rotation
    if known is not None and now - known < min_age:
        return DueDecision(
            due=False,
            why=f"the active key is {format_duration(now - known)} old, and min_age is {format_duration(min_age)}",
            date=date,
            next=known + min_age,
        )
    return DueDecision(due=True, why=f"the schedule named {moment_text(date)}, {last}", date=date)


def _last(last_rotation: datetime | None, active_since: datetime | None) -> str:
    if active_since is not None and (last_rotation is None or active_since > last_rotation):
        return f"the active key has been in use since {moment_text(active_since)}"
    if last_rotation is not None:
        return f"the last rotation began at {moment_text(last_rotation)}"
    return "no rotation is recorded yet"


def _unreadable(place: str, what: str) -> ConfigurationError:
    return ConfigurationError(
        f"{place} is not a cron expression: {what}",
        hint='Five fields, minute hour day month weekday: "0 2 1 * *" is 2 o\'clock on the first of each month.',
    )


def moment_json(moment: datetime | None) -> str | None:
    """Return a moment in the form for JSON."""
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
