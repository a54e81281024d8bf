"""The provider `file`: reads keys from files, makes them in new files, and removes those.

The path of a key is the field `key_file` of its entry. A file in a folder that a program has mounted there (a secret of
Kubernetes or Docker, a credential of systemd) can't be removed by us. The operator removes it where it comes from.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from fluxbase_cli import seal
from fluxbase_cli.config import KeyEntry, Secret
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.keyring.file.reading import read_key_file
from fluxbase_cli.keyring.file.writing import write_new
from fluxbase_cli.keyring.material import generate_key, parse_key
from fluxbase_cli.keyring.pattern import by_pattern, other_entries, own_entry
from fluxbase_cli.keyring.provider import CreatedKey, KeyAbsentError, KeyElsewhereError, ProviderContext

NAME = "file"
_FIELD = "key_file"
#: The file is mounted there, alone or with its folder.
_MOUNTED = frozenset({errno.EROFS, errno.EBUSY})


class FileKeyProvider:
    """Keys in files.

    Args:
        context: the configuration.
    """

    def __init__(self, context: ProviderContext) -> None:
        self._context = context

    def fetch(self, entry: KeyEntry) -> bytes:
        """Return the key in the file of the entry.

        Raises:
            KeyAbsentError: there is no such file.
            ConfigurationError: as for `read_key_file`, or the file holds no key.
        """
        path = _path_of(entry)
        return parse_key(read_key_file(path, entry.source), f"{path} ({entry.source})")

    def create(self, version: int, known: tuple[KeyEntry, ...]) -> CreatedKey:
        """Make a new key in a new file. The people who may read the file with the newest key may read this one too.

        Raises:
            ConfigurationError: the file exists or can't be written, or it is not known which file it is.
        """
        path = self._place_of(version, known)
        text = generate_key(self._context.encoding)
        try:
            others = map(_path_of, other_entries(version, known, NAME))
            write_new(path, text, like=next((each for each in others if each.is_file()), None))
        except FileExistsError:
            raise ConfigurationError(
                f"there is a file {path} already; nothing was written",
                hint="Give the version's entry another path, or choose another version.",
            ) from None
        except OSError as error:
            raise ConfigurationError(
                f"{path} can't be written: {error.strerror or type(error).__name__}; no key was made",
                hint="Keys in folders that Kubernetes, Docker or systemd fill are made where those come from: "
                "`fluxbase-cli keys generate`.",
            ) from None
        except ValueError:
            raise ConfigurationError(
                f"the path of key version {version} has a character that no path can have", hint="Correct the path."
            ) from None
        return _created(version, path, parse_key(text, str(path)))

    def find(self, version: int, known: tuple[KeyEntry, ...]) -> CreatedKey | None:
        """The key in the file where `create` would write one of that version. None if there is no such file.

        Raises:
            ConfigurationError: it is not known which file it is, or it can't be read.
        """
        path = self._place_of(version, known)
        try:
            return _created(version, path, self.fetch(_entry(version, path)))
        except KeyAbsentError:
            return None

    def exists(self, entry: KeyEntry) -> bool:
        """Whether there is anything at the path.

        Raises:
            ConfigurationError: the folder can't be searched.
        """
        path = _path_of(entry)
        try:
            path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise ConfigurationError(
                f"{path} can't be looked for: {error.strerror or type(error).__name__}",
                hint="Run the command as a user who may read that folder.",
            ) from None
        return True

    def destroy(self, entry: KeyEntry) -> None:
        """Remove the file.

        Raises:
            KeyElsewhereError: the path is a link, or the file is mounted.
            ConfigurationError: we may not remove it.
        """
        path = _path_of(entry)
        elsewhere = KeyElsewhereError(f"the key of version {entry.version} is not removed at {path}")
        try:
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode):
                # It leads to a file that we did not make, such as one that Kubernetes has mounted.
                raise elsewhere
            path.unlink()
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            if error.errno in _MOUNTED:
                raise elsewhere from None
            raise ConfigurationError(
                f"{path} can't be removed: {error.strerror or type(error).__name__}",
                hint="Run the command as a user who may write in that folder, or remove the file and run it again.",
            ) from None
        if status.st_nlink > 1:
            self._context.warn(
                f"{path} was removed, and other names (hard links) of the same file still hold the key: remove them too"
            )

    def place(self, entry: KeyEntry) -> str:
        """The path."""
        return str(_path_of(entry))

    def created_at(self, entry: KeyEntry) -> datetime | None:
        """When the file was last written. None if it is a link or mounted: then that is when it was mounted."""
        path = _path_of(entry)
        with suppress(OSError, ValueError):
            status = path.lstat()
            mounted = path.is_mount() or bool(os.statvfs(path).f_flag & os.ST_RDONLY)
            if stat.S_ISREG(status.st_mode) and not mounted:
                return datetime.fromtimestamp(status.st_mtime, UTC)
        return None

    def _place_of(self, version: int, known: tuple[KeyEntry, ...]) -> Path:
        """The file for the key of a version: where its entry says, or by the pattern of the other entries."""
        entry = own_entry(version, known, NAME)
        if entry is not None:
            return _path_of(entry)
        if self._context.encryption.lists_keys:
            for other in other_entries(version, known, NAME):
                path = _path_of(other)
                name = by_pattern(path.name, other.version, version)
                if name is not None:
                    return path.with_name(name)
        raise ConfigurationError(
            f"nothing says in which file the key of version {version} goes",
            hint=f"Add an entry with `version: {version}` and `key_file: PATH` to security.encryption.keys, or set "
            f"FLUXBASE_SECRET_KEY_{version}_FILE where the other keys are variables.",
        )


def _path_of(entry: KeyEntry) -> Path:
    option = entry.options.get(_FIELD)
    return Path(option.reveal() if isinstance(option, Secret) else "")


def _entry(version: int, path: Path) -> KeyEntry:
    return KeyEntry(version, NAME, str(path), Secret(""), MappingProxyType({_FIELD: Secret(str(path))}))


def _created(version: int, path: Path, secret: bytes) -> CreatedKey:
    return CreatedKey(_entry(version, path), seal.fingerprint(secret), {_FIELD: str(path)})
