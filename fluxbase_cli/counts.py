"""The one type for counts of batches, shards, locations and jobs. Counts are added with ``+``.

A *secret* in every count is one sealed value: a row of `auth.oauth_tokens` can hold three.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from operator import add, attrgetter
from typing import Any


@dataclass(frozen=True, slots=True)
class Counts:
    """What was found and done.

    Attributes:
        scanned: sealed values that were read (a plaintext value is not one).
        re_encrypted: values resealed under the target key (in a dry run: that would be).
        already_current: values that were under the target key already.
        updated: values written to the database.
        moved: values that another writer changed meanwhile, so that they were read again.
        plaintext: values from before the server sealed the column; left alone.
        undecryptable: values that no key of the key ring opens; left as they are.
        other_versions: values under a version that was neither source nor target; left as they are.
    """

    scanned: int = 0
    re_encrypted: int = 0
    already_current: int = 0
    updated: int = 0
    moved: int = 0
    plaintext: int = 0
    undecryptable: int = 0
    other_versions: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*map(add, _FIGURES(self), _FIGURES(other)))

    def __bool__(self) -> bool:
        return any(_FIGURES(self))

    def as_dict(self) -> dict[str, int]:
        """The counts by name, in the order of the reports."""
        return dict(zip(_NAMES, _FIGURES(self), strict=True))

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Counts:
        """The inverse of `as_dict`. A missing name counts as 0."""
        return cls(**{name: int(data.get(name, 0)) for name in _NAMES})


def worded(number: int, one: str, many: str) -> str:
    """A number with the words for it: `1 value opens`, `2 values open`.

    Args:
        number: how many.
        one: the words after 1.
        many: the words after every other number.
    """
    return f"{number} {one if number == 1 else many}"


def secrets(number: int) -> str:
    """A number of secrets: `1 secret`, `2 secrets`."""
    return worded(number, "secret", "secrets")


_NAMES = tuple(field.name for field in fields(Counts))
_FIGURES = attrgetter(*_NAMES)
