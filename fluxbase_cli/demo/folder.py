"""The folder that holds all that an embedded server has, and the files in it that are ours."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import BinaryIO

from fluxbase_cli.demo.unprivileged import lets_others_run_programs
from fluxbase_cli.errors import ConfigurationError

#: The shortest limit of `sockaddr_un.sun_path` among our systems, that of macOS, less its final NUL.
_SOCKET_PATH_BYTES = 103
_FOLDER_PREFIX = "fluxbase-"
_SOCKET_NAME_BYTES = len(f"/{_FOLDER_PREFIX}12345678/socket/.s.PGSQL.65535")
_PATIENCE_S = 10.0


def make_directory() -> Path:
    """Make the server's folder where its socket's path is short enough and, for root, another user can come."""
    is_root = os.geteuid() == 0
    for candidate in dict.fromkeys((tempfile.gettempdir(), "/tmp", "/var/tmp")):  # noqa: S108
        parent = Path(candidate).resolve()
        if len(os.fsencode(parent)) + _SOCKET_NAME_BYTES > _SOCKET_PATH_BYTES:
            continue
        if is_root and not lets_others_run_programs(parent):
            continue
        try:
            directory = Path(tempfile.mkdtemp(prefix=_FOLDER_PREFIX, dir=parent))
        except OSError:
            continue
        if is_root:
            directory.chmod(0o711)
        return directory
    message = "no temporary folder is fit for the embedded PostgreSQL"
    raise ConfigurationError(message, hint="Set TMPDIR to a folder with a short path where programs may be run.")


def remove_folder(folder: Path) -> None:
    """Remove a folder that processes of a killed server may still be writing to for a moment."""
    deadline = time.monotonic() + _PATIENCE_S
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=time.monotonic() < deadline)


def create_file(path: Path, *, mode: int, append: bool = False) -> BinaryIO:
    """Open a file of our own for writing, with exactly this mode."""
    how = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | (os.O_APPEND if append else os.O_EXCL)
    descriptor = os.open(path, how, mode)
    os.fchmod(descriptor, mode)
    return os.fdopen(descriptor, "ab" if append else "wb")
