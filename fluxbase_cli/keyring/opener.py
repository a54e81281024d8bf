"""Opens and reseals stored values with the keys of a keyring. Each thread has its `Opener`.

A value can be sealed more than once: a client sends a sealed value back, and the server seals it again
(docs/developers/format.md, "Values sealed twice"). Each seal is a *layer*. The outermost layer comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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
    open_each_of_users,
    reseal_each_of_users,
)

#: How many derived keys are cached. Neighbouring rows rarely have the same user, so a larger cache helps little.
_USER_SEALERS_KEPT = 1024


class Layer(NamedTuple):
    """One seal of a value: the key version, and whether the key is derived for the row's user."""

    version: int
    derived: bool


#: A completely opened value: its layers from the outermost to the innermost, and the plaintext. It is a plain tuple
#: for speed, because one is made for every value.
Opened = tuple[tuple[Layer, ...], bytes]


class Opener:
    """Opens values by trying keys. The key that opened the last value is tried first.

    Args:
        keyring: the keys to try.
        first: the version to try first, until another version opens a value. None means the newest version.
    """

    def __init__(self, keyring: Keyring, *, first: int | None = None) -> None:
        source = nonces()
        self._masters = {key.version: Sealer(key.secret, source) for key in keyring.keys}
        self._order = list(keyring.versions)
        self._layers = {
            (version, derived): (Layer(version, derived),) for version in self._order for derived in (False, True)
        }
        self._prefer(self._order[0] if first is None else first)
        #: The version that `open_each` and `reseal_each` try. None: the version that `open` would try first.
        self._likely: int | None = None
        #: The same for values of users.
        self._likely_of_users: int | None = None

        # Not read from self: the cache and the opener would then be a reference cycle.
        self._secrets = secrets = {key.version: key.secret for key in keyring.keys}

        @lru_cache(maxsize=_USER_SEALERS_KEPT)
        def user_sealer(version: int, user_id: UUID) -> Sealer:
            return Sealer(derive_user_key(secrets[version], user_id), source)

        self._user_sealer: Callable[[int, UUID], Sealer] = user_sealer

    def open(self, stored: bytes, user_id: UUID | None = None) -> Opened:
        """Open all layers of a stored value.

        Args:
            stored: the text as stored.
            user_id: the user of the row. The server seals with the key derived for this user. None: the server seals
                with the master key. A user's value that is sealed under the master key is opened too, and is resealed
                under a master key.

        Raises:
            NotASealError: the text does not have the form of a sealed value.
            NotMyKeyError: no key of the keyring opens it.
        """
        layers, plaintext = self._open_layer(decode(stored), user_id)
        # The plaintext may be a sealed value again. Each layer is a quarter shorter, so this loop ends.
        while may_be_seal(plaintext):
            try:
                inner_layers, plaintext = self._open_layer(decode(plaintext), user_id)
            except (NotASealError, NotMyKeyError):
                break
            layers += inner_layers
        return layers, plaintext

    @property
    def likely(self) -> tuple[Layer, ...]:
        """The layers that a value probably has: one layer, sealed under a master key."""
        return self._layers[self._likely_version, False]

    def open_each(self, texts: Iterable[bytes | None], number: int) -> list[int]:
        """Open many values with the key of the `likely` layer. This is the fast path.

        Args:
            texts: texts as stored.
            number: how many there are.

        Returns:
            The positions of the texts for which the caller must use `open`: they were not opened, or the plaintext may
            be a sealed value.
        """
        others = self._masters[self._likely_version].open_each(texts)
        self._update_likely(len(others), number)
        return others

    def reseal_each(self, target: Sealer, texts: Iterable[bytes | None], number: int) -> list[bytes | None]:
        """Open many values with the key of the `likely` layer and seal them again. This is the fast path.

        Args:
            target: seals them.
            texts: texts as stored.
            number: how many there are.

        Returns:
            For each text, the text to store. None where the caller must use `open`, as for `open_each`.

        Raises:
            ReopenError: as for `reseal`.
        """
        new = self._masters[self._likely_version].reseal_each(target, texts, number)
        self._update_likely(new.count(None), number)
        return new

    @property
    def likely_of_users(self) -> tuple[Layer, ...]:
        """The layers that a user's value probably has: one layer, sealed under a key that is derived for the user."""
        return self._layers[self._version_of_users, True]

    def open_each_of_users(
        self, salts: Iterable[bytes | None], texts: Iterable[bytes | None], number: int
    ) -> list[int]:
        """As `open_each`, for values of users, with the keys of the layer `likely_of_users`.

        Args:
            salts: the salt of each value's user (see `fluxbase_cli.seal.user_salt`); None without a user.
            texts: texts as stored.
            number: how many there are.

        Returns:
            As for `open_each`; also the values without a user.
        """
        others = open_each_of_users(self._secrets[self._version_of_users], salts, texts)
        self._update_likely_of_users(len(others), number)
        return others

    def reseal_each_of_users(
        self, target: int, salts: Sequence[bytes | None], texts: Iterable[bytes | None]
    ) -> list[bytes | None]:
        """As `reseal_each`, for values of users, with the keys of the layer `likely_of_users`.

        Args:
            target: the version of the new values, which are sealed under keys that are derived for the users.
            salts: as for `open_each_of_users`.
            texts: texts as stored.

        Returns:
            As for `reseal_each`; None also for the values without a user.

        Raises:
            ReopenError: as for `reseal`.
        """
        secrets = self._secrets
        new = reseal_each_of_users(secrets[self._version_of_users], secrets[target], salts, texts)
        self._update_likely_of_users(new.count(None), len(new))
        return new

    @property
    def _likely_version(self) -> int:
        return self._order[0] if self._likely is None else self._likely

    @property
    def _version_of_users(self) -> int:
        return self._order[0] if self._likely_of_users is None else self._likely_of_users

    def _update_likely(self, others: int, number: int) -> None:
        # A few values under other keys change nothing. If they are the majority, the caller opens them with `open`,
        # and the version that `open` finds is tried first the next time.
        self._likely = self._likely_version if 2 * others <= number else None

    def _update_likely_of_users(self, others: int, number: int) -> None:
        self._likely_of_users = self._version_of_users if 2 * others <= number else None

    def sealers(self, layers: tuple[Layer, ...], user_id: UUID | None) -> tuple[Sealer, ...]:
        """The sealers of these layers, outermost first. For master keys they are the same for every value."""
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
    """Seal a plaintext, and open the result again before it is returned.

    Args:
        plaintext: the plaintext of the value.
        sealers: one for each layer of the new value, outermost first.

    Returns:
        The text to store.

    Raises:
        ReopenError: the new value does not open to the same plaintext. Then nothing may be written.
    """
    text = plaintext
    for sealer in reversed(sealers):
        text = sealer.seal(text)
    # Promise 1: a value is overwritten only if the new value was opened again, to the same plaintext, before the write.
    reopened = text
    try:
        for sealer in sealers:
            reopened = sealer.open_text(reopened)
    except (NotASealError, NotMyKeyError):
        raise ReopenError from None
    if reopened != plaintext:
        raise ReopenError
    return text
