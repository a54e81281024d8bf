"""Options that are a length of time: how they are read, and how their defaults are shown."""

from __future__ import annotations

from collections.abc import Callable

import typer

from fluxbase_cli.errors import ConfigurationError

#: The metavar of these options. Their defaults are shown with a unit.
TIME = "TIME"

_UNITS_MS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1))


def seconds(
    name: str, *, least: float = 0.0, most: float = 86_400.0, needs_unit: bool = False
) -> Callable[[str | float], float]:
    """A parser for an option that is a length of time.

    Args:
        name: the option, for the error.
        least: the shortest length, in seconds.
        most: the longest length, in seconds.
        needs_unit: whether a number without a unit is refused. Otherwise it means seconds.
    """

    def parse(text: str | float) -> float:
        from fluxbase_cli.duration import parse_duration, parse_seconds  # noqa: PLC0415  # start-up time

        try:
            if needs_unit and isinstance(text, str) and _is_number(text):
                raise typer.BadParameter(
                    f"{text!r} has no unit. Write ms, s, m, h, d or w behind the number, as in 90s, 12h or 30d"
                )
            if not isinstance(text, str):
                # A default is a number already.
                given = text
            elif needs_unit:
                given = parse_duration(text, name).total_seconds()
            else:
                given = parse_seconds(text, name)
        except ConfigurationError as error:
            # The library names the option already.
            raise typer.BadParameter(f"{text!r}{error.message.removeprefix(name)}. {error.hint}") from None
        if not least <= given <= most:
            raise typer.BadParameter(f"it must be between {as_time(least)} and {as_time(most)}")
        return given

    return parse


def _is_number(text: str) -> bool:
    """Whether a unit is missing. `0` needs none."""
    written = text.strip()
    return written != "0" and written.replace(".", "", 1).isdecimal()


def as_time(length_s: float) -> str:
    """Write a length of time as an option takes it: 86400.0 as `24h`, 0.1 as `100ms`, 90.0 as `1m30s`.

    Args:
        length_s: in seconds, not negative. Parts of a millisecond are left out.
    """
    left = round(length_s * 1000)
    if left == 86_400_000:  # noqa: PLR2004  # a day is better known as 24 hours
        return "24h"
    parts = []
    for unit, size in _UNITS_MS:
        number, left = divmod(left, size)
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts) or "0s"
