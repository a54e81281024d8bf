"""Durations as an operator writes them: `500ms`, `90s`, `1.5h`, `7d`, `2w`, and sums such as `1d12h`."""

from __future__ import annotations

import re
from datetime import timedelta

from fluxbase_cli.errors import ConfigurationError

_PART = re.compile(r"(?P<number>[0-9]{1,9}(?:\.[0-9]{1,6})?)\s*(?P<unit>ms|min|[smhdw])\s*")
_BARE = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,6})?")
_UNITS = {
    "ms": "milliseconds",
    "s": "seconds",
    "m": "minutes",
    "min": "minutes",
    "h": "hours",
    "d": "days",
    "w": "weeks",
}
#: Longer than any useful setting, and short enough that adding it to a date can't overflow.
_LONGEST = timedelta(days=36_500)


def parse_duration(text: str, place: str = "the duration") -> timedelta:
    """Read a duration: numbers, each with one of the units ms, s, m (or min), h, d, w, added up.

    Args:
        text: the text; `0` alone needs no unit.
        place: where it was found, for the error.

    Raises:
        ConfigurationError: the text has another form, or the duration is longer than 100 years.
    """
    written = text.strip().lower()
    if written == "0":
        return timedelta(0)
    total, position = timedelta(0), 0
    while position < len(written):
        match = _PART.match(written, position)
        if match is None:
            raise _unreadable(place)
        try:
            total += timedelta(**{_UNITS[match["unit"]]: float(match["number"])})
        except OverflowError:
            raise _too_long(place) from None
        position = match.end()
        if total > _LONGEST:
            raise _too_long(place)
    if not written:
        raise _unreadable(place)
    return total


def parse_seconds(text: str, place: str) -> float:
    """Read the duration of an option, in seconds. As `parse_duration`; a number without a unit means seconds.

    Raises:
        ConfigurationError: as for `parse_duration`.
    """
    written = text.strip()
    return float(written) if is_bare(written) else parse_duration(written, place).total_seconds()


def is_bare(text: str) -> bool:
    """Whether it is a number without a unit."""
    return _BARE.fullmatch(text.strip()) is not None


def format_duration(duration: timedelta) -> str:
    """Write a duration in its largest unit and the next one: `7d`, `1d12h`, `45s`.

    Smaller units are left out, and so are parts of a second.
    """
    seconds = max(0, int(duration.total_seconds()))
    parts = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        number, seconds = divmod(seconds, size)
        parts.append((number, unit))
    first = next((index for index, (number, _) in enumerate(parts) if number), len(parts) - 1)
    return "".join(f"{number}{unit}" for number, unit in parts[first : first + 2] if number) or "0s"


def _too_long(place: str) -> ConfigurationError:
    return ConfigurationError(f"{place} is longer than 100 years", hint="Write a shorter time, such as 90d or 52w.")


def _unreadable(place: str) -> ConfigurationError:
    return ConfigurationError(
        f"{place} is not a length of time",
        hint="Write a number and a unit: 500ms, 90s, 30m, 12h, 7d or 2w, also together as 1d12h.",
    )
