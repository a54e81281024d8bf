"""Opens what may be a seal with every key of the key ring, and with the derived keys of users that the row names.

A text that no key opens is not called undecryptable here: in a column that is no location, it is a text like any other.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import UUID

from fluxbase_cli.catalogue.plaintext import is_no_seal, is_readable
from fluxbase_cli.keyring import Keyring, Layer, Opener
from fluxbase_cli.proof.candidates import find_in_bytes, find_in_text
from fluxbase_cli.seal import NotASealError, NotMyKeyError, decode, may_be_seal

#: How many users' keys are tried for one text: this many users named in its value, and this many in the rest of its
#: row.
MOST_USERS = 16
#: Longer texts are not tried with users' keys, because users' keys seal settings only.
MOST_USER_BYTES = 1024 * 1024
#: How many texts of one value are tried with users' keys.
MOST_DOUBTS = 5_000

_UUID = re.compile(rb"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")

Layers = tuple[Layer, ...]


@dataclass(slots=True)
class OpenResult:
    """What was found in one value.

    Attributes:
        opened: the layers of each seal, by its text. A seal that is in a value twice counts once.
        doubts: texts that a user's key may open, with the users that the value names near them.
        overflowed: whether there were more such texts than are tried.
    """

    opened: dict[bytes, Layers] = field(default_factory=dict)
    doubts: list[tuple[bytes, tuple[UUID, ...]]] = field(default_factory=list)
    overflowed: bool = False


class ValueOpener:
    """Looks for seals in values. One for each thread.

    Args:
        keyring: the keys to try.
    """

    def __init__(self, keyring: Keyring) -> None:
        self._opener = Opener(keyring)
        self._versions = keyring.versions
        self._masters = self._opener.sealers(tuple(Layer(version, derived=False) for version in keyring.versions), None)

    def look(self, value: bytes, *, is_bytes: bool, most_raw: int) -> OpenResult | None:
        """Try the keys of the key ring on all parts of a value that have the form of a seal.

        Args:
            value: the value as stored.
            is_bytes: whether the column is `bytea`.
            most_raw: see `find_in_bytes`.

        Returns:
            What opened, and what a user's key may open; None if there is neither.
        """
        looked: OpenResult | None = None
        users: _Users | None = None
        for text in find_in_bytes(value, most_raw) if is_bytes else find_in_text(value):
            try:
                raw = decode(text)
            except NotASealError:
                continue
            if is_readable(raw):
                # Base64 of readable text, such as a part of a JSON web token, is no seal.
                continue
            layers, ends_open = self._open(text, raw)
            doubtful = ends_open and len(text) <= MOST_USER_BYTES and (bool(layers) or not is_no_seal(text))
            if not layers and not doubtful:
                continue
            looked = looked or OpenResult()
            if layers:
                looked.opened[text] = layers
            if doubtful and len(looked.doubts) == MOST_DOUBTS:
                looked.overflowed = True
            elif doubtful:
                users = users or _Users(value)
                looked.doubts.append((text, users.near(text)))
        return looked

    def try_users(self, looked: OpenResult, row: bytes) -> None:
        """Try the keys of users on texts that the keys of the key ring opened not at all or not in all layers.

        Args:
            looked: the result for the value; this adds what opened.
            row: the other texts of the row, which may name users.
        """
        others = tuple(_named(row))[:MOST_USERS]
        for text, near in looked.doubts:
            for user in dict.fromkeys((*near, *others)):
                opened = looked.opened.get(text, ())
                layers = self._open_as(text, user, outside=opened)
                if len(layers) > len(opened):
                    looked.opened[text] = layers
                    break
        looked.doubts.clear()

    def _open(self, text: bytes, raw: bytes) -> tuple[Layers, bool]:
        """The layers that the keys of the key ring open, and whether the rest may be a seal."""
        for sealer in self._masters:
            try:
                sealer.open(raw)
            except NotMyKeyError:
                continue
            layers, plaintext = self._opener.open(text)
            return layers, may_be_seal(plaintext)
        return (), True

    def _open_as(self, text: bytes, user: UUID, *, outside: Layers) -> Layers:
        """The layers that open with a user's keys too, when the layers `outside` are known already."""
        if outside:
            return self._opener.open(text, user)[0]
        raw = decode(text)
        for version in self._versions:
            (sealer,) = self._opener.sealers((Layer(version, derived=True),), user)
            try:
                sealer.open(raw)
            except NotMyKeyError:
                continue
            return self._opener.open(text, user)[0]
        return ()


class _Users:
    """The uuids in a value, by their positions."""

    def __init__(self, value: bytes) -> None:
        self._value = value
        self._positions: list[int] = []
        self._users: list[UUID] = []
        for match in _UUID.finditer(value):
            self._positions.append(match.start())
            self._users.append(UUID(match[0].decode("ascii")))

    def near(self, text: bytes) -> tuple[UUID, ...]:
        """The users nearest to a text of this value."""
        if len(self._users) <= MOST_USERS:
            return tuple(dict.fromkeys(self._users))
        # An escaped text is not found. Then the first users are as good as any others.
        position = bisect_left(self._positions, max(self._value.find(text), 0))
        first = min(max(position - MOST_USERS // 2, 0), len(self._users) - MOST_USERS)
        return tuple(dict.fromkeys(self._users[first : first + MOST_USERS]))


def _named(row: bytes) -> Iterator[UUID]:
    return iter(dict.fromkeys(UUID(match[0].decode("ascii")) for match in _UUID.finditer(row)))
