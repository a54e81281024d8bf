"""The interface between the keyring and the key sources.

A provider needs one method: `KeyProvider.fetch` returns the key of one entry. A provider is found by its name in the
entry point group `fluxbase_cli.key_providers`, so a company can add one in a separate package. The engine and the
keyring know no provider by name.

A provider may implement more protocols, each with one or two methods:

- `KeyCreator` makes new keys.
- `KeyImporter` stores keys that exist already.
- `KeyFinder` finds new keys in the key source.
- `KeyDestroyer` destroys keys.
- `KeyNamer` names the places of keys.
- `KeyDater` knows when keys were made.
- `KeyRewrapper` wraps keys again.
- `ActiveVersionStore` keeps the number of the active version.
"""

from __future__ import annotations

import signal as signal_numbers
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, runtime_checkable

from fluxbase_cli.config import ActivePointer, EncryptionSettings, KeyEntry
from fluxbase_cli.config.provider_traits import ENTRY_POINT_GROUP, TEXT_PROVIDER
from fluxbase_cli.encoding import Encoding
from fluxbase_cli.errors import ConfigurationError, ExitCode, interrupted_code

_ASKS_TO_STOP = frozenset({signal_numbers.SIGINT, signal_numbers.SIGTERM})


def no_warning(_text: str) -> None:
    """Take a warning, or another line for the operator, and do nothing."""


@dataclass(frozen=True, slots=True)
class ProviderContext:
    """What a provider gets when it is made.

    Attributes:
        encryption: the section `security.encryption` of the configuration.
        environ: the environment, for credentials and endpoints.
        warn: called with each warning for the operator: one sentence, without secrets.
        encoding: the form of a new key, for providers that make keys.
    """

    encryption: EncryptionSettings
    environ: Mapping[str, str]
    warn: Callable[[str], None] = field(default=no_warning, compare=False)
    encoding: Encoding = Encoding.HEX


class KeyAbsentError(ConfigurationError):
    """The key source answers, and has no key at this place, or has it no longer.

    This is a separate error, because only this may mean "destroyed". A source that can't be reached, or that refuses,
    says nothing about the key.
    """


class WrongWrappingKeyError(ConfigurationError):
    """Another key of the key service wrapped this key."""


class KeyInterruptedError(ConfigurationError):
    """A signal came while a key was fetched, and what fetched it was ended.

    Args:
        message: what was ended.
        signal: the number of the signal.
    """

    def __init__(self, message: str, signal: int | None) -> None:
        super().__init__(message)
        self.exit_code = ExitCode(interrupted_code(signal)) if signal in _ASKS_TO_STOP else ExitCode.FAILED


class KeyElsewhereError(ConfigurationError):
    """The provider can't destroy this key, because the key is in a place that only the operator can change."""


class KeyProvider(Protocol):
    """Returns the keys of one kind of key source.

    What must be known of a provider before it is imported, it states by entry points (see
    `fluxbase_cli.config.provider_traits`).
    """

    def fetch(self, entry: KeyEntry) -> bytes:
        """Return the key of one entry, exactly 32 bytes.

        It is called once for each version and run, before the first value is read. It is called again for the target
        version when the job begins, because the key may be destroyed by then. So it must not cache.

        Raises:
            KeyAbsentError: there is no key at that place, or it is no longer there.
            ConfigurationError: the entry, the credentials or the key itself can't be used. The message names
                `entry.source` and never contains a part of the key.
        """
        ...


@dataclass(frozen=True, slots=True)
class CreatedKey:
    """A key that a provider has made.

    Attributes:
        entry: the entry with which the key can be fetched. Its `source` is the place, and may be shown.
        fingerprint: the fingerprint of the new key (see `fluxbase_cli.seal.fingerprint`).
        setting: the fields that the key's entry in `security.encryption.keys` must have besides the version. They may
            be shown (``{"key": "{{ vault `secret/fluxbase/keys/v2` }}"}``).
    """

    entry: KeyEntry
    fingerprint: str
    setting: Mapping[str, str]


@runtime_checkable
class KeyCreator(Protocol):
    """A provider that can make and store a new key."""

    def create(self, version: int, known: tuple[KeyEntry, ...]) -> CreatedKey:
        """Make a new key of 32 bytes and store it. It never overwrites a key.

        The key has the form `ProviderContext.encoding`: a server with one key takes only text (`raw`).

        Args:
            version: the version of the new key.
            known: the configured entries of all providers. If one has that version, it says where to store the key.
                Otherwise the place follows the pattern of this provider's other entries.

        Raises:
            ConfigurationError: there is a key at that place already, or the place is unknown or can't be reached.
        """
        ...


@runtime_checkable
class KeyImporter(Protocol):
    """A provider that can store a key that exists already."""

    def store(self, version: int, secret: bytes, known: tuple[KeyEntry, ...]) -> CreatedKey:
        """Store a key. It never overwrites a key.

        Args:
            version: the version of the key.
            secret: the key, 32 bytes.
            known: as for `KeyCreator.create`.

        Raises:
            ConfigurationError: there is a key at that place already, or the place is unknown or can't be reached.
        """
        ...


@runtime_checkable
class KeyFinder(Protocol):
    """A provider that can look for a key at the place where it would store a new one."""

    def find(self, version: int, known: tuple[KeyEntry, ...]) -> CreatedKey | None:
        """Find a key that was made and is not configured yet. None if there is none.

        The arguments are those of `KeyCreator.create`.

        Raises:
            ConfigurationError: the place is unknown or can't be reached, or what is there is not a key.
        """
        ...


@runtime_checkable
class KeyDestroyer(Protocol):
    """A provider that can destroy keys for good."""

    def exists(self, entry: KeyEntry) -> bool:
        """Whether anything of the key is left. A hidden key, and its history alone, count too.

        Raises:
            ConfigurationError: the provider can't find out.
        """
        ...

    def destroy(self, entry: KeyEntry) -> None:
        """Destroy the key for good, with all its versions and metadata. If the key is gone already, do nothing.

        Raises:
            ConfigurationError: the key source can't be reached or refuses.
        """
        ...


@runtime_checkable
class KeyNamer(Protocol):
    """A provider that can name the place of a key in the key source, and not only the place of its entry."""

    def place(self, entry: KeyEntry) -> str:
        """The place of the key as it may be shown, such as `Vault: secret/fluxbase/keys/v1`. It sends no request.

        Raises:
            ConfigurationError: the entry can't be understood.
        """
        ...


@runtime_checkable
class KeyDater(Protocol):
    """A provider that knows when its keys were made."""

    def created_at(self, entry: KeyEntry) -> datetime | None:
        """When the key was made, with a time zone. None if that is unknown.

        Raises:
            ConfigurationError: the key source can't be reached or refuses.
        """
        ...


@runtime_checkable
class ActiveVersionStore(Protocol):
    """A provider that can keep the number of the active version. Then a rotation need not change a file."""

    def read_active(self, pointer: ActivePointer) -> int:
        """The number of the active version.

        Raises:
            ConfigurationError: there is no number, or it can't be read.
        """
        ...

    def write_active(self, pointer: ActivePointer, version: int) -> None:
        """Make another version the active one. Other data at the same place is kept (check-and-set).

        Raises:
            ConfigurationError: it can't be written, or somebody else wrote there at the same moment.
        """
        ...


@runtime_checkable
class KeyRewrapper(Protocol):
    """A provider whose keys are wrapped by another key, and which can change that other key."""

    def rewrap(self, entry: KeyEntry, wrapping_key: str) -> CreatedKey:
        """Wrap the same key with another wrapping key. The key itself, and so its fingerprint, stays the same.

        Args:
            entry: the key as it is wrapped now.
            wrapping_key: the name of the new wrapping key.

        Raises:
            ConfigurationError: the key source can't be reached or refuses.
        """
        ...


ProviderFactory = Callable[[ProviderContext], KeyProvider]


def load_provider(name: str, context: ProviderContext) -> KeyProvider:
    """Make the provider with this name.

    Raises:
        ConfigurationError: no installed package has a provider with this name.
    """
    if name == TEXT_PROVIDER:
        # Most configurations have no other. To look for the installed providers takes as long as to read the keys.
        from fluxbase_cli.keyring.env import env_provider  # noqa: PLC0415  # it imports this module

        return env_provider(context)
    from importlib.metadata import entry_points  # noqa: PLC0415  # start-up time

    known = entry_points(group=ENTRY_POINT_GROUP)
    for point in known:
        if point.name == name:
            factory: ProviderFactory = point.load()
            return factory(context)
    names = ", ".join(sorted({point.name for point in known})) or "none"
    message = f"no key provider named '{name}' is installed (installed: {names})"
    raise ConfigurationError(message, hint="Check `provider:` in security.encryption, or install the package with it.")
