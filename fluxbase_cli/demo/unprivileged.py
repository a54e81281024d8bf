"""Finds the user that the server runs as. PostgreSQL refuses to run as root."""

from __future__ import annotations

import contextlib
import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

from fluxbase_cli.errors import ConfigurationError

_UNPRIVILEGED_USERS = ("nobody", "postgres", "daemon")


@dataclass(frozen=True, slots=True)
class RunAs:
    """The user that the server's processes run as.

    Attributes:
        uid: the user.
        gid: the group of the user. The processes are in no other group.
    """

    uid: int
    gid: int


def lets_others_run_programs(folder: Path) -> bool:
    """Whether every user can come to a folder and may run programs there."""
    if os.statvfs(folder).f_flag & getattr(os, "ST_NOEXEC", 0):
        return False
    return all(each.stat().st_mode & stat.S_IXOTH for each in (folder, *folder.parents))


def find_unprivileged_user(directory: Path) -> RunAs:
    """Find a user that root can give a file to. In a container, this may fail for some users of /etc/passwd."""
    probe = directory / "probe"
    probe.touch()
    try:
        for name in _UNPRIVILEGED_USERS:
            with contextlib.suppress(KeyError, OSError):
                entry = pwd.getpwnam(name)
                os.chown(probe, entry.pw_uid, entry.pw_gid)
                return RunAs(entry.pw_uid, entry.pw_gid)
    finally:
        probe.unlink()
    message = "PostgreSQL refuses to run as root, and there is no other user that it may run as"
    raise ConfigurationError(message, hint="Run the command as an ordinary user.")
