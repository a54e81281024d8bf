"""Finds the configuration file and the `.env` file, and reads them as text. Each error is one line."""

from __future__ import annotations

import errno
import os
import select
import stat
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fluxbase_cli.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

SYSTEM_DIRECTORY = Path("/etc/fluxbase")

_CONFIG_NAMES = ("fluxbase.yaml", "fluxbase.yml")
_ENV_NAMES = (".env", ".env.local", "../.env")

#: Far more than the largest configuration has. A device such as /dev/zero has no end.
_MOST_BYTES = 1 << 20
_PATIENCE_S = 10.0
_UNREADABLE = "Check its name, and that this user may read it (`ls -l`)."


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file that was found.

    Attributes:
        path: where it is.
        label: its name in messages, as short as possible.
        text: its content, if it was read already (see `loaded`). A pipe can be read once only.
        option: the option that named it; empty if it was found, or if the label says it.
    """

    path: Path
    label: str
    text: str | None = field(default=None, repr=False, compare=False)
    option: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Search:
    """The result of a search.

    Attributes:
        file: the first file that exists, or None.
        warnings: the places that we had no permission to search.
    """

    file: SourceFile | None
    warnings: tuple[str, ...] = ()


def find_config_file(directory: Path, explicit: Path | SourceFile | None, system_directory: Path) -> Search:
    """Find fluxbase.yaml as the server does.

    Args:
        directory: the working directory. The search begins there, and a relative `explicit` starts there.
        explicit: the file that the user named, or a file that was found before. If it is given, no other place is
            searched.
        system_directory: `/etc/fluxbase`, except in tests.
    """
    if isinstance(explicit, SourceFile):
        return Search(explicit)
    if explicit is not None:
        # If the file does not exist, reading it will say so.
        return Search(SourceFile(directory / explicit, str(explicit), option="--config"))
    return _first(config_candidates(directory, system_directory))


def config_candidates(directory: Path, system_directory: Path) -> list[SourceFile]:
    """The places where the server searches fluxbase.yaml, in order. They need not exist.

    Args:
        directory: the working directory.
        system_directory: `/etc/fluxbase`, except in tests.
    """
    candidates = [
        SourceFile(directory / folder / name, folder + name) for folder in ("", "config/") for name in _CONFIG_NAMES
    ]
    return candidates + [SourceFile(path, str(path)) for path in (system_directory / name for name in _CONFIG_NAMES)]


def find_env_file(directory: Path) -> Search:
    """Find the `.env` file as the server does: the first of `.env`, `.env.local` and `../.env`.

    Folders are skipped, because people also call virtual environments `.env`.
    """
    candidates = (SourceFile(directory / name, name) for name in _ENV_NAMES)
    # Unlike `Path.is_dir`, `os.path.isdir` never raises.
    return _first(candidate for candidate in candidates if not os.path.isdir(candidate.path))  # noqa: PTH112


def read_text(file: SourceFile) -> str:
    """Read a file as UTF-8, with or without a byte order mark.

    Raises:
        ConfigurationError: the file can't be read, is too large, or is not UTF-8. The message quotes nothing of it.
    """
    if file.text is not None:
        return file.text
    name = f"{file.option} {file.label}".lstrip()
    try:
        return read_bytes(file.path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"{name} is not UTF-8 (byte {error.start + 1})", hint="Save it as UTF-8, or name another file."
        ) from None
    except OSError as error:
        raise ConfigurationError(
            f"{name} can't be read: {error.strerror or type(error).__name__}",
            hint=_UNREADABLE,
        ) from None
    except ValueError:
        raise ConfigurationError(
            f"{name} can't be read: its path has a character that no path can have", hint="Correct the path."
        ) from None


def loaded(file: SourceFile) -> SourceFile:
    """The file with its text, so that it is read once.

    Raises:
        ConfigurationError: as for `read_text`.
    """
    return replace(file, text=read_text(file))


def read_bytes(path: Path) -> bytes:
    """Read a small file, which may be a pipe (`--config <(…)`), within bounds of size and time.

    Args:
        path: the file. A link is followed.

    Raises:
        OSError: it can't be read, is larger than 1 MiB, or nobody writes into the pipe. The text quotes nothing of it.
        ValueError: the path holds a character that no path can have.
    """
    # Without O_NONBLOCK, the open itself would wait until somebody writes.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        parts: list[bytes] = []
        left, deadline = _MOST_BYTES + 1, time.monotonic() + _PATIENCE_S
        while left > 0:
            if not stat.S_ISREG(mode):
                _wait_for_writer(descriptor, deadline)
            part = os.read(descriptor, left)
            if not part:
                break
            parts.append(part)
            left -= len(part)
    finally:
        os.close(descriptor)
    if left <= 0:
        raise OSError(errno.EFBIG, f"it is larger than {_MOST_BYTES >> 20} MiB")
    return b"".join(parts)


def _wait_for_writer(descriptor: int, deadline: float) -> None:
    # A pipe into which nobody has written yet looks like one that has ended. Only `poll` tells them apart.
    poll = select.poll()
    poll.register(descriptor, select.POLLIN | select.POLLHUP)
    if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
        raise TimeoutError(errno.ETIMEDOUT, f"it is a pipe, and nobody has written to it for {_PATIENCE_S:.0f} s")


def _first(candidates: Iterable[SourceFile]) -> Search:
    warnings: list[str] = []
    for candidate in candidates:
        try:
            if _exists(candidate.path):
                return Search(candidate, tuple(warnings))
        except PermissionError:
            # The server skips such a file without a message too. But it runs as another user, so it may be able to
            # read a file that we can't.
            warnings.append(
                f"{candidate.label} can't be looked for: permission denied; "
                "run the command as a user who may read that folder"
            )
    return Search(None, tuple(warnings))


def _exists(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except PermissionError:
        raise
    except OSError:
        # For example a loop of links. The name exists, and reading it will say what is wrong.
        return True
    return True
