"""A text that does not show itself."""

from __future__ import annotations

import hmac
from typing import Final, final


@final
class Secret:
    """A hidden text: every way to print it gives ``***``, and only ``reveal`` hands it out.

    It is no subclass of ``str``, so that joining, slicing or encoding it by accident is a type error.

    Args:
        value: the text to hide.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value: Final = value

    def reveal(self) -> str:
        """The text itself; for the place that uses it, never for one that prints."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    def __str__(self) -> str:
        return "***"

    def __format__(self, format_spec: str) -> str:
        return format("***", format_spec)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        # surrogatepass: a variable that is no UTF-8 reaches us with surrogates.
        mine, theirs = (text.encode("utf-8", "surrogatepass") for text in (self._value, other._value))
        return hmac.compare_digest(mine, theirs)

    def __hash__(self) -> int:
        return hash((Secret, self._value))
