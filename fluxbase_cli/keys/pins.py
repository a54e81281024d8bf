"""Each version has one key for ever: the first one that was used is pinned, and another one is refused.

Which keys are pinned is in `fluxbase_keys.key`. A key counts as used if a job seals values under it, or if it opened a
value before or during a job. So a wrong key that never opened anything can still be corrected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.errors import ConfigurationError, FluxbaseCliError, PreflightRefusedError, UntrustedSchemaError
from fluxbase_cli.keyring import Key, Keyring
from fluxbase_cli.store.connection import Connection, session
from fluxbase_cli.store.key_records import KeyRecords
from fluxbase_cli.store.schema import Schema


@dataclass(frozen=True, slots=True)
class OtherKey:
    """A key that is not the one that is pinned to its version.

    Attributes:
        key: the key that was found.
        pinned: the fingerprint of the pinned key.
        belongs_to: the version to which the found key is pinned, if any.
    """

    key: Key
    pinned: str
    belongs_to: int | None

    def __str__(self) -> str:
        """One sentence, without a full stop."""
        belongs = "" if self.belongs_to is None else f", which is the key of version {self.belongs_to}"
        return (
            f"version {self.key.version} was used with the key {self.pinned}, and the key at {self.key.source or '?'} "
            f"has the fingerprint {self.key.fingerprint}{belongs}"
        )


def other_keys(pinned: Mapping[int, str], keys: Iterable[Key]) -> tuple[OtherKey, ...]:
    """The keys that are not the ones that are pinned to their versions, by ascending version."""
    return tuple(
        OtherKey(key, pinned[key.version], next((v for v, text in pinned.items() if key.has_fingerprint(text)), None))
        for key in sorted(keys, key=lambda key: key.version)
        if key.version in pinned and not key.has_fingerprint(pinned[key.version])
    )


def refuse_other_keys(pinned: Mapping[int, str], keys: Iterable[Key]) -> None:
    """Raise an error if a key is not the one that is pinned to its version.

    Raises:
        ConfigurationError: a key is another one. The message names versions and fingerprints.
    """
    found = other_keys(pinned, keys)
    if not found:
        return
    belongs = [each for each in found if each.belongs_to is not None]
    if len(belongs) > 1:
        numbers = " and ".join(str(each.key.version) for each in belongs)
        what = f"The keys of versions {numbers} are exchanged: exchange them back."
    elif belongs:
        what = f"Give that key its own version number again: {belongs[0].belongs_to}."
    else:
        what = "Put the right key back at its place. A new key needs a new version number."
    raise ConfigurationError(
        "; ".join(map(str, found)),
        hint=f"{what} Nothing was opened or written. `fluxbase-cli keys list` shows all keys.",
    )


def read_pins(database: DatabaseSettings, *, warn: Callable[[str], None]) -> Mapping[int, str]:
    """The fingerprints of the pinned keys. Writes nothing.

    A role that may not read them gets a warning. If the database can't be reached, there are none: a command that needs
    it reports that itself.

    Raises:
        UntrustedSchemaError: somebody else made the schema.
    """
    try:
        with session(database) as connection:
            return KeyRecords(connection).pinned()
    except UntrustedSchemaError:
        raise
    except PreflightRefusedError as error:
        warn(
            f"fluxbase-cli can't check that the keys are the ones that were used before ({error.message}); "
            "`fluxbase-cli config check` says what to do"
        )
    except FluxbaseCliError:
        pass
    return {}


def pin_keys(connection: Connection, keyring: Keyring, versions: Iterable[int]) -> None:
    """Pin the keys of versions that are used, in the transaction of the caller.

    Raises:
        ConfigurationError: another key is pinned to one of the versions, perhaps just now by another process.
        PreflightRefusedError: the tables can't be created.
    """
    Schema(connection).ensure()
    records = KeyRecords(connection)
    for version in sorted(set(versions) & set(keyring.versions)):
        records.pin(version, keyring.key(version).fingerprint)
    refuse_other_keys(records.pinned(), keyring.keys)
