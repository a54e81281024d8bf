"""Says which option or value was probably meant, if somebody has mistyped it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from typer.core import TyperGroup

_NOT_ONE_OF = re.compile(r"'(?P<given>[^']*)' is not one of")
_MOST = 3


class Program(TyperGroup):
    """The root of all commands. What is raised while a command line is read passes through here."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401  # of a library whose types are private
        """Read the options before the command's name."""
        with _suggestions():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401  # as `parse_args`
        """Read the rest, and run the command."""
        with _suggestions():
            return super().invoke(ctx)


def did_you_mean(given: str, possible: Iterable[str]) -> str | None:
    """The sentence that names what is like the given word; None if nothing is."""
    from difflib import get_close_matches  # noqa: PLC0415  # start-up time; needed only after a mistake

    by_lower = {each.lower(): each for each in possible}
    close = [by_lower[each] for each in get_close_matches(given.lower(), by_lower, _MOST, 0.6)]
    return f"Did you mean {' or '.join(repr(each) for each in close)}?" if close else None


@contextmanager
def _suggestions() -> Iterator[None]:
    """Add a suggestion to an error about an unknown option or value.

    The library has its own copy of click's classes, under a name that changes with its versions. So its errors are
    recognised by what they have.
    """
    try:
        yield
    except Exception as error:
        if hasattr(error, "possibilities") and hasattr(error, "option_name"):
            _suggest_option(error)
        elif hasattr(error, "param"):
            _suggest_value(error)
        raise


def _suggest_option(error: Any) -> None:  # noqa: ANN401  # as `Program.parse_args`
    params = getattr(getattr(error.ctx, "command", None), "params", ())
    options = [name for each in params if not getattr(each, "hidden", False) for name in each.opts]
    options += [name for each in params for name in getattr(each, "secondary_opts", ())]
    sentence = did_you_mean(error.option_name, [*options, "--help"])
    if sentence is not None:
        error.message = f"{error.message.rstrip('.')}. {sentence}"
        error.possibilities = None


def _suggest_value(error: Any) -> None:  # noqa: ANN401  # as `Program.parse_args`
    choices = [str(getattr(each, "value", each)) for each in getattr(getattr(error.param, "type", None), "choices", ())]
    found = _NOT_ONE_OF.match(str(getattr(error, "message", "")))
    sentence = did_you_mean(found["given"], choices) if found and choices else None
    if sentence is not None:
        error.message = f"{error.message.rstrip('.')}. {sentence}"
