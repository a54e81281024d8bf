"""What could not be examined. As long as there is one such thing, no key counts as unneeded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class UnexaminedKind(StrEnum):
    """What could not be examined."""

    LOCATION = "location"
    """A table or a column that the release must have."""
    DATABASE = "database"
    """A whole database: it refuses the connection, or the role may not read it."""
    LIST = "list"
    """A list of databases that the role may not read."""
    TRANSACTION = "transaction"
    """What an open transaction has written and not committed."""
    PREPARED_TRANSACTION = "prepared-transaction"
    """What a prepared transaction (PREPARE TRANSACTION) has written."""
    LOCKED_ROW = "locked-row"
    """A row that another transaction has locked, so that its values could not be moved."""
    DAMAGED_ROW = "damaged-row"
    """A row with a value that the database can't read, because its storage is damaged."""
    STANDBY = "standby"
    """What the primary of a standby does now, or what a standby that is behind still shows."""
    COLUMN = "column"
    """A column that the deep audit could not read."""


@dataclass(frozen=True, slots=True)
class Unexamined:
    """One thing that could not be examined.

    Attributes:
        kind: what it is.
        where: its name, in one line.
        reason: why it could not be examined, and what to do about it.
    """

    kind: UnexaminedKind
    where: str
    reason: str

    def as_dict(self) -> dict[str, str]:
        """The fields by name, as the reports print them."""
        return {"kind": self.kind.value, "where": self.where, "reason": self.reason}

    @classmethod
    def from_dict(cls, data: dict[str, str]) -> Unexamined:
        """The inverse of `as_dict`."""
        return cls(UnexaminedKind(data["kind"]), data["where"], data["reason"])

    def __str__(self) -> str:
        return f"{self.kind.value.replace('-', ' ')} {self.where}: {self.reason}"


def in_database(found: Iterable[Unexamined], database: str) -> tuple[Unexamined, ...]:
    """The same with the database's name after each name, for reports of several databases."""
    return tuple(
        each
        if each.kind in (UnexaminedKind.DATABASE, UnexaminedKind.LIST)
        else Unexamined(each.kind, f"{each.where} of database {database}", each.reason)
        for each in found
    )
