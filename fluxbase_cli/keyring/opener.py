"""Opening and resealing stored values with the keys of a ring; one `Opener` a thread.

A value can be sealed several times over: a client posts a sealed value back and the server seals it again
(docs/developers/format.md, "Values sealed twice"). Each seal is a *layer*; the outermost comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

from fluxbase_cli.keyring.ring import Keyring
from fluxbase_cli.seal import (
    NotASealError,
    NotMyKeyError,
    ReopenError,
    Sealer,
    decode,
    derive_user_key,
    may_be_seal,
    nonces,
)

#: Derived keys kept per version; the users of neighbouring rows are rarely the same, so more buys little.
_USER_SEALERS_KEPT = 1024


class Layer(NamedTuple):
    """One seal of a value: the key version, and whether the key was derived for the row's user."""

    version: int
    derived: bool


#: A value opened down to its plaintext: its layers from the outermost to the innermost, and the plaintext. A plain
#: tuple, since one is made for every value.
Opened = tuple[tuple[Layer, ...], bytes]


class Opener:
    """Opens values by trying keys, the one that opened the last value first.

    Args:
        keyring: the keys to try.
        first: the version to try first until another one opens something; the newest when left out.
    """

    def __init__(self, keyring: Keyring, *, first: int | None = None) -> None:
        source = nonces()
        self._masters = {key.version: Sealer(key.secret, source) for key in keyring.keys}
        self._order = list(keyring.versions)
        self._layers = {
            (version, derived): (Layer(version, derived),) for version in self._order for derived in (False, True)
        }
        self._prefer(self._order[0] if first is None else first)
        #: What `open_likely` tries; None where the order of `open` is to tell.
        self._likely: int | None = None

        # Of the keyring and not of self, which would tie the cache and the opener into a cycle.
        secrets = {key.version: key.secret for key in keyring.keys}

        @lru_cache(maxsize=_USER_SEALERS_KEPT)
        def user_sealer(version: int, user_id: UUID) -> Sealer:
            return Sealer(derive_user_key(secrets[version], user_id), source)

        self._user_sealer: Callable[[int, UUID], Sealer] = user_sealer

    def open(self, stored: bytes, user_id: UUID | None = None) -> Opened:
        """Open a stored value, all its layers.

        Args:
            stored: the text as stored.
            user_id: the row's user, whose derived key the server uses; None for the master key. A user's value that
                was sealed under the master key all the same is opened too, and stays so when resealed.

        Raises:
            NotASealError: the text has not the form of a seal.
            NotMyKeyError: no key of the ring opens it.
        """
        layers, plaintext = self._open_layer(decode(stored), user_id)
        # Sealed twice? Each layer is a quarter shorter, so this ends.
        while may_be_seal(plaintext):
            try:
                inner_layers, plaintext = self._open_layer(decode(plaintext), user_id)
            except (NotASealError, NotMyKeyError):
                break
            layers += inner_layers
        return layers, plaintext

    @property
    def likely(self) -> tuple[Layer, ...]:
        """The layers that a value is likely to have: one, of a master key."""
        return self._layers[self._likely_version, False]

    def open_each(self, texts: Iterable[bytes | None], number: int) -> list[int]:
        """Open many values with the key of the `likely` layer, for the hot loop.

        Args:
            texts: texts as stored.
            number: how many there are.

        Returns:
            The numbers of those for which `open` must be asked: they were not opened, or a plaintext may be a seal.
        """
        others = self._masters[self._likely_version].open_each(texts)
        self._judge_likely(len(others), number)
        return others

    def reseal_each(self, target: Sealer, texts: Iterable[bytes | None], number: int) -> list[bytes | None]:
        """Open many values with the key of the `likely` layer and seal them anew, for the hot loop.

        Args:
            target: seals them.
            texts: texts as stored.
            number: how many there are.

        Returns:
            A text to store for each text; None where `open` must be asked, as for `open_each`.

        Raises:
            ReopenError: as for `reseal`.
        """
        new = self._masters[self._likely_version].reseal_each(target, texts, number)
        self._judge_likely(new.count(None), number)
        return new

    @property
    def _likely_version(self) -> int:
        return self._order[0] if self._likely is None else self._likely

    def _judge_likely(self, others: int, number: int) -> None:
        # A few strays change nothing; where they are the most, `open` will have found by the next time what they are.
        self._likely = self._likely_version if 2 * others <= number else None

    def sealers(self, layers: tuple[Layer, ...], user_id: UUID | None) -> tuple[Sealer, ...]:
        """What seals and opens these layers, outermost first; for master keys the same for every value."""
        return tuple(
            self._user_sealer(version, user_id) if derived and user_id is not None else self._masters[version]
            for version, derived in layers
        )

    def _open_layer(self, raw: bytes, user_id: UUID | None) -> tuple[tuple[Layer, ...], bytes]:
        if user_id is not None:
            for version in self._order:
                try:
                    plaintext = self._user_sealer(version, user_id).open(raw)
                except NotMyKeyError:
                    continue
                if version != self._order[0]:
                    self._prefer(version)
                return self._layers[version, True], plaintext
        for version in self._order:
            try:
                plaintext = self._masters[version].open(raw)
            except NotMyKeyError:
                continue
            if version != self._order[0]:
                self._prefer(version)
            return self._layers[version, False], plaintext
        raise NotMyKeyError

    def _prefer(self, version: int) -> None:
        self._order.remove(version)
        self._order.insert(0, version)


def reseal(plaintext: bytes, sealers: tuple[Sealer, ...]) -> bytes:
    """Seal a plaintext and open it again before it is handed out.

    Args:
        plaintext: what the value opened to.
        sealers: one for each layer that the new value shall have, outermost first.

    Returns:
        The text to store.

    Raises:
        ReopenError: the new value does not open to the same plaintext; nothing may be written then.
    """
    text = plaintext
    for sealer in reversed(sealers):
        text = sealer.seal(text)
    # Promise 1: a value is overwritten only by one that was opened again to the same plaintext before the write.
    reopened = text
    try:
        for sealer in sealers:
            reopened = sealer.open_text(reopened)
    except (NotASealError, NotMyKeyError):
        raise ReopenError from None
    if reopened != plaintext:
        raise ReopenError
    return text
