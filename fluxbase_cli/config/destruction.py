"""The section `security.encryption.key_destruction`: how long an unneeded key is kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from fluxbase_cli.config.names import SectionNames
from fluxbase_cli.config.reader import Unquoted
from fluxbase_cli.duration import parse_duration

if TYPE_CHECKING:
    from fluxbase_cli.config.reader import Reader

SECTION = "security.encryption.key_destruction"
NAMES = SectionNames(SECTION, frozenset({"backup_horizon", "cooling_off"}))


@dataclass(frozen=True, slots=True)
class KeyDestructionSettings:
    """How long an unneeded key is kept.

    Attributes:
        cooling_off: how long a key stays disabled before it may be destroyed.
        backup_horizon: how long a key is kept after the last rotation away from it. Backups of this age can then still
            be read.
    """

    cooling_off: timedelta = timedelta(days=7)
    backup_horizon: timedelta = timedelta(0)


def read_key_destruction(reader: Reader) -> KeyDestructionSettings:
    """Read the section.

    Raises:
        ConfigurationError: a setting is not a length of time.
    """
    default = KeyDestructionSettings()
    return KeyDestructionSettings(
        cooling_off=_duration(reader, "cooling_off", default.cooling_off),
        backup_horizon=_duration(reader, "backup_horizon", default.backup_horizon),
    )


def _duration(reader: Reader, name: str, default: timedelta) -> timedelta:
    found = reader.text(f"{SECTION}.{name}", Unquoted.AS_WRITTEN)
    return default if found is None or not found.text else parse_duration(found.text, found.place)
