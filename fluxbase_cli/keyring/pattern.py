"""Where the key of another version goes, by the place of a known one."""

from __future__ import annotations

import re

from fluxbase_cli.config import KeyEntry
from fluxbase_cli.errors import ConfigurationError


def own_entry(version: int, known: tuple[KeyEntry, ...], provider: str) -> KeyEntry | None:
    """The entry of a version. None if it has none.

    Raises:
        ConfigurationError: it is of another provider.
    """
    entry = next((each for each in known if each.version == version), None)
    if entry is not None and entry.provider != provider:
        raise ConfigurationError(
            f"{entry.source}: key version {version} is configured for the provider {entry.provider}",
            hint=f"Choose another version with --key-version, or set `provider: {provider}` at that entry.",
        )
    return entry


def other_entries(version: int, known: tuple[KeyEntry, ...], provider: str) -> list[KeyEntry]:
    """The entries of a provider for all other versions, the newest first."""
    others = [entry for entry in known if entry.provider == provider and entry.version != version]
    return sorted(others, key=lambda entry: entry.version, reverse=True)


def by_pattern(path: str, version: int, following: int) -> str | None:
    """The place of another version's key.

    The number of the version is replaced in the last segment of the path that contains it: `keys/v1` gives `keys/v2`,
    and `v1/key` gives `v2/key`. Leading zeros are kept.

    Args:
        path: the place of a version's key; segments are separated by slashes.
        version: that version.
        following: the other version.

    Returns:
        None if no segment contains the number.
    """
    number = re.compile(rf"(?<![0-9])0*{version}(?![0-9])")
    segments = path.split("/")
    for index in range(len(segments) - 1, -1, -1):
        found = list(number.finditer(segments[index]))
        if found:
            start, end = found[-1].span()
            digits = str(following).zfill(end - start if found[-1].group().startswith("0") else 0)
            segments[index] = segments[index][:start] + digits + segments[index][end:]
            return "/".join(segments)
    return None
