"""Whether to print colours, as other programs decide it (https://no-color.org, https://bixense.com/clicolors)."""

from __future__ import annotations

from collections.abc import Mapping


def may_color(environ: Mapping[str, str]) -> bool:
    """Whether a terminal may get colours.

    `NO_COLOR` forbids them, also if others ask for them. `CLICOLOR=0` and a terminal that knows no colours
    (`TERM=dumb`) forbid them unless `FORCE_COLOR` or `CLICOLOR_FORCE` asks for them.
    """
    if environ.get("NO_COLOR"):
        return False
    return must_color(environ) or (environ.get("CLICOLOR") != "0" and environ.get("TERM") != "dumb")


def must_color(environ: Mapping[str, str]) -> bool:
    """Whether `FORCE_COLOR` or `CLICOLOR_FORCE` asks for colours also where there is no terminal."""
    if environ.get("NO_COLOR"):
        return False
    return any(environ.get(name, "") not in ("", "0", "false") for name in ("FORCE_COLOR", "CLICOLOR_FORCE"))


def may_redraw(environ: Mapping[str, str]) -> bool:
    """Whether a table may be drawn again and again. In `CI` a pseudo-terminal only fills a log."""
    return environ.get("CI", "").lower() in ("", "0", "false") and environ.get("TERM") != "dumb"
