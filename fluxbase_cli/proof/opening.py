"""Opening what may be a seal with every key of the ring, and with the keys derived for users that the row names.

Nothing here says that a text is an undecryptable value: in a column that nobody listed, a text that no key opens is a
text like any other.
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

#: Users whose keys are tried for one text: so many of the value that holds it, and so many of the rest of its row.
MOST_USERS = 16
#: Longer texts are not tried under users' keys: what users own are settings.
MOST_USER_BYTES = 1024 * 1024
#: Texts of one value that are tried under users' keys.
MOST_DOUBTS = 5_000

_UUID = re.compile(rb"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")

Layers = tuple[Layer, ...]


@dataclass(slots=True)
class OpenResult:
    """What was found in one value.

    Attributes:
        opened: the layers of each seal, by its text. A seal that stands twice in a value counts once.
        doubts: texts that a user's key may open, with the users that the value itself names near them.
        overflowed: there were more of them than are tried.
    """

    opened: dict[bytes, Layers] = field(default_factory=dict)
    doubts: list[tuple[bytes, tuple[UUID, ...]]] = field(default_factory=list)
    overflowed: bool = False


class ValueOpener:
    """Looks for seals in values; one a thread.

    Args:
        keyring: the keys to try.
    """

    def __init__(self, keyring: Keyring) -> None:
        self._opener = Opener(keyring)
        self._versions = keyring.versions
        self._masters = self._opener.sealers(tuple(Layer(version, derived=False) for version in keyring.versions), None)

    def look(self, value: bytes, *, is_bytes: bool, most_raw: int) -> OpenResult | None:
        """Try the keys of the ring on all of a value that has the form of a seal.

        Args:
            value: as stored.
            is_bytes: whether the column is `bytea`.
            most_raw: see `find_in_bytes`.

        Returns:
            What opened, and what a user's key may open; None where nothing does.
        """
        looked: OpenResult | None = None
        users: _Users | None = None
        for text in find_in_bytes(value, most_raw) if is_bytes else find_in_text(value):
            try:
                raw = decode(text)
            except NotASealError:
                continue
            if is_readable(raw):
                # Base64 of readable text, such as a part of a JSON web token.
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
        """Try the keys of users on what the keys of the ring did not open, or not to its end.

        Args:
            looked: takes what is opened.
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
        """The layers that the ring's own keys open, and whether something like a seal is left."""
        for sealer in self._masters:
            try:
                sealer.open(raw)
            except NotMyKeyError:
                continue
            layers, plaintext = self._opener.open(text)
            return layers, may_be_seal(plaintext)
        return (), True

    def _open_as(self, text: bytes, user: UUID, *, outside: Layers) -> Layers:
        """The layers that are opened with a user's keys too, where those `outside` are known already."""
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
    """The uuids in a value, by where they stand."""

    def __init__(self, value: bytes) -> None:
        self._value = value
        self._places: list[int] = []
        self._users: list[UUID] = []
        for match in _UUID.finditer(value):
            self._places.append(match.start())
            self._users.append(UUID(match[0].decode("ascii")))

    def near(self, text: bytes) -> tuple[UUID, ...]:
        """The users nearest to a text of this value."""
        if len(self._users) <= MOST_USERS:
            return tuple(dict.fromkeys(self._users))
        # An escaped text is not found as it is; then the first users are as good as others.
        place = bisect_left(self._places, max(self._value.find(text), 0))
        first = min(max(place - MOST_USERS // 2, 0), len(self._users) - MOST_USERS)
        return tuple(dict.fromkeys(self._users[first : first + MOST_USERS]))


def _named(row: bytes) -> Iterator[UUID]:
    return iter(dict.fromkeys(UUID(match[0].decode("ascii")) for match in _UUID.finditer(row)))
