"""Moments for people. They are in UTC everywhere, with the name of the zone, as the server's log has them.

An operator, a colleague in another country and a log must be able to name the same moment by the same figures.
"""

from __future__ import annotations

from datetime import UTC, datetime


def moment_text(moment: datetime) -> str:
    """A moment to the minute: `2026-11-27 03:05 UTC`."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def exact_moment_text(moment: datetime) -> str:
    """A moment to the second: `2026-11-27 03:05:09 UTC`."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def clock_text(moment: datetime) -> str:
    """The time of day: `03:05:09 UTC`."""
    return f"{moment.astimezone(UTC):%H:%M:%S} UTC"


def span(seconds: float) -> str:
    """A length of time, such as `2h 05m`."""
    minutes, whole = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h {minutes:02}m"
    return f"{minutes}m {whole:02}s" if minutes else f"{whole}s"
