"""Writes a key to a new file."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

_OWNER_ONLY = 0o600
#: A group may read a key, if it may read the other keys. Nobody else may.
_GROUP_TOO = 0o640


def write_new(path: Path, text: str, *, like: Path | None = None) -> None:
    """Write a key to a new file that only its owner may read.

    Args:
        path: the file; it must not exist.
        text: the key. A line end is added.
        like: another key file. The new one gets its owner and its group, if we may give them, and its group may read
            the new one too if it may read the other one.

    Raises:
        FileExistsError: there is something at the path. It was not changed.
        OSError: it can't be written. Nothing is left of it.
    """
    # One call creates the file, sets its mode and fails if it exists, also if it is a link. So at no moment can another
    # user read the file, and no existing file can be lost.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _OWNER_ONLY)
    try:
        with open(descriptor, "w", encoding="ascii") as file:  # noqa: PTH123  # a descriptor
            file.write(text + "\n")
            file.flush()
            if like is not None:
                _take_over(descriptor, like)
            os.fsync(descriptor)
        _sync(path.parent)
    except OSError:
        # On a full disk, a part of a key would be left, and the same command would find that file in its way.
        path.unlink(missing_ok=True)
        raise


def _take_over(descriptor: int, like: Path) -> None:
    """Let the same people read the new file as the other one, so that the server can read both."""
    status = like.stat()
    with suppress(PermissionError):
        os.fchown(descriptor, status.st_uid, status.st_gid)
    made = os.fstat(descriptor)
    # The group must not read what was meant for another group, and no group may read the file of its owner.
    if made.st_gid == status.st_gid and made.st_uid == status.st_uid:
        os.fchmod(descriptor, _OWNER_ONLY | (stat.S_IMODE(status.st_mode) & _GROUP_TOO))


def _sync(folder: Path) -> None:
    with suppress(PermissionError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
