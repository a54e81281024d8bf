"""Times in reports: RFC 3339 in UTC, with milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime


def utc(moment: datetime) -> str:
    """A time as text, such as `2026-11-27T06:00:00.123Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def utc_or_none(moment: datetime | None) -> str | None:
    """As `utc`; None stays None."""
    return None if moment is None else utc(moment)


def seconds_between(earlier: datetime, later: datetime | None) -> float | None:
    """How many seconds passed, with milliseconds; None if the later time is not known."""
    return None if later is None else round(max(0.0, (later - earlier).total_seconds()), 3)
