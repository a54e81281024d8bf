"""Options that are a length of time: how they are read, and how their defaults are shown."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import typer

from fluxbase_cli.duration import format_duration, is_bare, parse_seconds
from fluxbase_cli.errors import ConfigurationError

#: The metavar of these options. Their defaults are shown with a unit.
TIME = "TIME"

_DAY_S = 86_400


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
        if needs_unit and isinstance(text, str) and is_bare(text) and text.strip() != "0":
            raise typer.BadParameter(
                f"{text!r} has no unit. Write ms, s, m, h, d or w behind the number, as in 90s, 12h or 30d"
            )
        try:
            # A default is a number already.
            given = parse_seconds(text, name) if isinstance(text, str) else text
        except ConfigurationError as error:
            # The library names the option already.
            raise typer.BadParameter(f"{text!r}{error.message.removeprefix(name)}. {error.hint}") from None
        if not least <= given <= most:
            raise typer.BadParameter(f"it must be between {as_time(least)} and {as_time(most)}")
        return given

    return parse


def as_time(length_s: float) -> str:
    """Write a length of time as an option takes it: 86400.0 as `24h`, 0.1 as `100ms`, 90.0 as `1m30s`.

    Args:
        length_s: in seconds, not negative.
    """
    if length_s == _DAY_S:
        # A day is better known as 24 hours.
        return "24h"
    return format_duration(timedelta(seconds=length_s)) if length_s % 1 == 0 else f"{round(length_s * 1000)}ms"
