"""Reads a key file: a regular file that no others may read.

A link is followed: Kubernetes mounts each secret as a link to a file in a folder `..data`. What counts is the file that
the link leads to.
"""

from __future__ import annotations

import os
import shlex
import stat
from pathlib import Path

from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.keyring.provider import KeyAbsentError
from fluxbase_cli.seal import KEY_BYTES

#: A key has at most 64 characters. This leaves room for blanks, so that a message can say how many there are.
_MOST_BYTES = 4096
_ROOT = 0


def read_key_file(path: Path, place: str) -> str:
    """The text of a key file, without one line end.

    Args:
        path: the file. A link is followed.
        place: where the path is configured, for messages.

    Raises:
        KeyAbsentError: there is no such file.
        ConfigurationError: it is no regular file, others may read it, it can't be read, or it is empty or too large.
            The message quotes nothing of it.
    """
    name = f"the key file {path} ({place})"
    try:
        content = read_private_file(path, name, most_bytes=_MOST_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        raise _absent(path, place) from None
    if len(content) > _MOST_BYTES:
        raise ConfigurationError(
            f"{name} is larger than {_MOST_BYTES} bytes: it is no key", hint="It must hold one key and nothing else."
        )
    if not content:
        raise ConfigurationError(f"{name} is empty", hint="`fluxbase-cli keys generate` makes a key.")
    return _without_line_end(content).decode("utf-8", "surrogateescape")


def read_private_file(path: Path, name: str, *, most_bytes: int) -> bytes:
    """The first bytes of a regular file that no others may read.

    Args:
        path: the file. A link is followed.
        name: its name in messages.
        most_bytes: it may have so many. One byte more is read, so that the caller sees that it is too large.

    Raises:
        FileNotFoundError, NotADirectoryError: there is no such file.
        ConfigurationError: it is no regular file, others may read it, or it can't be read.
    """
    try:
        # Before it is opened: to open a device or a pipe may do something.
        _refuse_irregular(path.stat(), name)
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:  # noqa: PTH123  # a descriptor
            status = os.fstat(descriptor)
            _refuse_irregular(status, name)
            _refuse_open_to_others(status, path, name)
            return file.read(most_bytes + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise ConfigurationError(
            f"{name} can't be read: {error.strerror or type(error).__name__}",
            hint="`ls -lL` shows who may read it. In Kubernetes, a container that does not run as root needs fsGroup.",
        ) from None
    except ValueError:
        raise ConfigurationError(
            f"{name} has a character in its path that no path can have", hint="Correct the path."
        ) from None


def _without_line_end(content: bytes) -> bytes:
    stripped = content.removesuffix(b"\n").removesuffix(b"\r") if content.endswith(b"\n") else content
    # Of all random keys, one in 256 ends in the byte of a line end. It is no text.
    if len(content) == KEY_BYTES and not _is_line(stripped):
        return content
    return stripped


def _is_line(content: bytes) -> bool:
    try:
        return content.decode("utf-8").isprintable()
    except UnicodeDecodeError:
        return False


def _refuse_irregular(status: os.stat_result, name: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        what = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
        raise ConfigurationError(
            f"{name} is {what}", hint="Name the file with the key itself, not a folder, a pipe or a device."
        )


def too_open(mode: int, owner: int, user: int) -> str | None:
    """Who may read or change a file besides those who need to. None if nobody may.

    The group may read a file of root or of another user: that is how we may read it (`fsGroup` in Kubernetes, `root`
    and `0640` elsewhere). libpq has the same rule for a key of root (documentation of `sslkey`).

    Args:
        mode: the mode of the file.
        owner: the user id of its owner.
        user: our user id.
    """
    if mode & stat.S_IWOTH:
        return "others may change it"
    if mode & stat.S_IROTH:
        return "others may read it"
    if mode & stat.S_IWGRP:
        return "its group may change it"
    if mode & stat.S_IRGRP and owner == user != _ROOT:
        return "its group may read it"
    return None


def _refuse_open_to_others(status: os.stat_result, path: Path, name: str) -> None:
    why = too_open(status.st_mode, status.st_uid, os.geteuid())
    if why is not None:
        raise ConfigurationError(
            f"{name} is not used: {why} (mode {stat.S_IMODE(status.st_mode):04o})",
            hint=f"`chmod 600 {shlex.quote(str(path))}`. In Kubernetes: `defaultMode: 0400` at the volume. In Docker: "
            "`mode: 0400` at the secret. Change a key that others could read.",
        )


def _absent(path: Path, place: str) -> ConfigurationError:
    if path.is_symlink():
        return KeyAbsentError(
            f"the key file {path} ({place}) is a link that leads to no file", hint="Correct the link, or the path."
        )
    if not path.parent.is_dir():
        # Only a folder that is there can say that a key is not in it. A secret may not be mounted.
        return ConfigurationError(
            f"the key file {path} ({place}) can't be read: there is no folder {path.parent}",
            hint="Mount the secret there, or correct the path.",
        )
    return KeyAbsentError(
        f"there is no key file {path} ({place})",
        hint="Write the key there (`fluxbase-cli keys generate --store` does), or correct the path.",
    )
