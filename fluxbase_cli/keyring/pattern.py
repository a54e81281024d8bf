"""Where the key of another version goes, by the place of a known one."""

from __future__ import annotations

import re


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
