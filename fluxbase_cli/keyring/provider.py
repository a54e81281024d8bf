"""The interface between the keyring and the places where keys live.

A provider is a module with one function of one key's configuration, `KeyProvider.fetch`. It is found by its name in the
entry point group `fluxbase_cli.key_providers`, so that a company can add its own in a package of its own; neither the
engine nor the keyring knows any provider.

What else a place can do is said by further protocols of a method or two each, which a provider has or has not: make
new keys (`KeyCreator`), find them there (`KeyFinder`), destroy them (`KeyDestroyer`), name their places (`KeyNamer`),
say how old they are (`KeyDater`), wrap them anew (`KeyRewrapper`), keep the number of the active version
(`ActiveVersionStore`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import entry_points
from typing import Protocol, runtime_checkable

from fluxbase_cli.config import ActivePointer, EncryptionSettings, KeyEntry
from fluxbase_cli.config.provider_traits import ENTRY_POINT_GROUP
from fluxbase_cli.errors import ConfigurationError


def _silent(_text: str) -> None:
    """Say nothing."""


@dataclass(frozen=True, slots=True)
class ProviderContext:
    """What a provider is given when it is made.

    Attributes:
        encryption: the section `security.encryption` of the configuration.
        environ: the environment, for credentials and endpoints.
        warn: is called with what an operator should know, a sentence each, without secrets.
    """

    encryption: EncryptionSettings
    environ: Mapping[str, str]
    warn: Callable[[str], None] = field(default=_silent, compare=False)


class KeyAbsentError(ConfigurationError):
    """The place answers, and holds no key, or none any more.

    It is told apart from a place that can't be reached or refuses, because only this may mean "destroyed".
    """


class KeyProvider(Protocol):
    """Hands over the keys that one kind of place keeps.

    A provider may have two class attributes, which are read before it is made (`fluxbase_cli.config.provider_traits`):
    `keeps_wrapped_keys = True` where its keys are kept wrapped, in an entry's option `ciphertext` or in the database,
    and `text_is_key = True` where it never finds a key by plain text.
    """

    def fetch(self, entry: KeyEntry) -> bytes:
        """Return the key of one entry, exactly 32 bytes.

        It is called once per version and run, before the first value is read, and once more for the version that a job
        seals under, when the job begins: the key may be gone by then. So it must not cache.

        Raises:
            KeyAbsentError: there is no key at that place, or none any more.
            ConfigurationError: the entry, the credentials or the key itself can't be used. The message names
                `entry.source` and never holds a part of the key.
        """
        ...


@dataclass(frozen=True, slots=True)
class CreatedKey:
    """A key that a provider has made.

    Attributes:
        entry: what finds it again. Its `source` is the place, fit to be shown.
        fingerprint: the new key's (see `fluxbase_cli.seal.fingerprint`).
        setting: what the key's entry in `security.encryption.keys` must hold besides the version, by name and fit to be
            shown (``{"key": "{{ vault `secret/fluxbase/keys/v2` }}"}``).
    """

    entry: KeyEntry
    fingerprint: str
    setting: Mapping[str, str]


@runtime_checkable
class KeyCreator(Protocol):
    """A provider that can make and keep a new key."""

    def create(self, version: int, known: tuple[KeyEntry, ...]) -> CreatedKey:
        """Make a new key of 32 bytes and keep it, never over one that is there.

        Args:
            version: the new key's version.
            known: the configured entries of all providers. One of that version says where the key goes; without it
                the place follows the pattern of this provider's others.

        Raises:
            ConfigurationError: there is a key at that place already, or the place can't be told or reached.
        """
        ...


@runtime_checkable
class KeyFinder(Protocol):
    """A provider that can say whether there is a key where a new one would go."""

    def find(self, version: int, known: tuple[KeyEntry, ...]) -> CreatedKey | None:
        """Find a key that was made and is not configured yet; None where there is none.

        The arguments are those of `KeyCreator.create`.

        Raises:
            ConfigurationError: the place can't be told or reached, or what is there is no key.
        """
        ...


@runtime_checkable
class KeyDestroyer(Protocol):
    """A provider that can destroy keys for good."""

    def exists(self, entry: KeyEntry) -> bool:
        """Whether anything of the key is left, be it hidden or only its history.

        Raises:
            ConfigurationError: that can't be told.
        """
        ...

    def destroy(self, entry: KeyEntry) -> None:
        """Destroy the key for good, with all its versions and metadata; of one that is gone already, nothing is left.

        Raises:
            ConfigurationError: the place can't be reached or refuses.
        """
        ...


@runtime_checkable
class KeyNamer(Protocol):
    """A provider that can say where a key is, beyond the place of its entry."""

    def place(self, entry: KeyEntry) -> str:
        """Name the key's place, fit to be shown, such as `Vault: secret/fluxbase/keys/v1`; asks nobody.

        Raises:
            ConfigurationError: the entry can't be understood.
        """
        ...


@runtime_checkable
class KeyDater(Protocol):
    """A provider that knows when its keys were made."""

    def created_at(self, entry: KeyEntry) -> datetime | None:
        """When the key was made, with its time zone; None where that isn't known.

        Raises:
            ConfigurationError: the place can't be reached or refuses.
        """
        ...


@runtime_checkable
class ActiveVersionStore(Protocol):
    """A provider that can keep the number of the active version, so that no file need be changed in a rotation."""

    def read_active(self, pointer: ActivePointer) -> int:
        """The number of the active version.

        Raises:
            ConfigurationError: there is none, or it can't be read.
        """
        ...

    def write_active(self, pointer: ActivePointer, version: int) -> None:
        """Make another version the active one; what else is kept beside the number stays (check-and-set).

        Raises:
            ConfigurationError: it can't be written, or somebody else wrote there at the same moment.
        """
        ...


@runtime_checkable
class KeyRewrapper(Protocol):
    """A provider whose keys are kept wrapped by another key, which can be exchanged."""

    def rewrap(self, entry: KeyEntry, wrapping_key: str) -> CreatedKey:
        """Wrap the same key by another one; the key itself, and so its fingerprint, stays.

        Args:
            entry: the key, as it is wrapped now.
            wrapping_key: the name of the key that shall wrap it.

        Raises:
            ConfigurationError: the place can't be reached or refuses.
        """
        ...


ProviderFactory = Callable[[ProviderContext], KeyProvider]


def load_provider(name: str, context: ProviderContext) -> KeyProvider:
    """Make the provider of that name.

    Raises:
        ConfigurationError: no installed package offers a provider of that name.
    """
    known = entry_points(group=ENTRY_POINT_GROUP)
    for point in known:
        if point.name == name:
            factory: ProviderFactory = point.load()
            return factory(context)
    names = ", ".join(sorted({point.name for point in known})) or "none"
    message = f"no key provider named '{name}' is installed (installed: {names})"
    raise ConfigurationError(message, hint="Check `provider:` in security.encryption, or install the package with it.")
