"""A part of the facts that may be absent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from fluxbase_cli.security.finding import NotCheckedError

_P = TypeVar("_P")


@dataclass(frozen=True, slots=True)
class Absent:
    """A part that is not looked at.

    Attributes:
        reason: why, one sentence without a final full stop.
        failed: whether it should have been looked at; False: the operator left it out.
    """

    reason: str
    failed: bool = False


def present(part: _P | Absent) -> _P:
    """The part.

    Raises:
        NotCheckedError: it is absent.
    """
    if isinstance(part, Absent):
        raise NotCheckedError(part.reason)
    return part
