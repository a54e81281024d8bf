"""Replaces the content of a file that belongs to the operator: fluxbase.yaml, or the server's `.env`.

Also writes files of our own, such as metrics (`put_file`).

A new file takes the name of the old one. So readers see the old content or the new one, also after a crash. Where that
is impossible, the content is overwritten: a file that is mounted alone can't be replaced, nor one in a folder that we
may not write. A copy beside the file is made before that.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

#: No other file can take the name: it is a mount (EBUSY, EXDEV), or the folder or its owner does not allow it.
_IRREPLACEABLE = frozenset({errno.EBUSY, errno.EXDEV, errno.EACCES, errno.EPERM, errno.EROFS})
_OWNER_ONLY = 0o600
_EVERY_MODE_BIT = 0o7777


def replace_file(path: Path, before: bytes, after: bytes, backup: Path | None) -> None:
    """Replace the content of a file. It keeps its mode, owner and extended attributes. A link is followed.

    Args:
        path: the file.
        before: the content that the file must have.
        after: its new content.
        backup: where the old file is kept, in the same folder. If there is a file already, that one is kept. None: the
            old file is not kept.

    Raises:
        OSError: the file was not changed, and no backup was made, except if the text says otherwise. The text quotes
            nothing of the file.
    """
    target = Path(os.path.realpath(path))
    if not stat.S_ISREG(target.stat().st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file")
    if backup is not None and not may_be_put(backup):
        # Somebody has put a link or something else there. It must not be followed, and the backup must not be left out.
        raise FileExistsError(errno.EEXIST, f"its backup {backup.name} is not a regular file; remove that")
    # The rights of the folder may let us replace a file that nobody may write. Such a file must not be changed.
    if not (target.stat().st_mode & 0o222 and os.access(target, os.W_OK)):
        raise PermissionError(errno.EACCES, "it is read-only")
    try:
        _replace(target, before, after, backup)
    except OSError as error:
        if error.errno not in _IRREPLACEABLE:
            raise
        _write_in_place(target, before, after, backup)
        return
    # The times of the old file were copied too.
    os.utime(target)
    _sync_folder(target.parent)


def put_file(path: Path, content: bytes, *, mode: int = _OWNER_ONLY, keep_mode: bool = True) -> None:
    """Write a file of our own, atomically: readers see the old content or the new one.

    Args:
        path: the file. It may exist, if it is a regular file. A link is not followed.
        content: its new content.
        mode: of a new file.
        keep_mode: whether a file that exists keeps its own mode.

    Raises:
        OSError: it was not changed.
    """
    if not may_be_put(path):
        raise OSError(errno.EINVAL, "it is a link, or no regular file")
    if keep_mode:
        with suppress(FileNotFoundError):
            mode = stat.S_IMODE(path.lstat().st_mode)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as new:
        try:
            new.write(content)
            new.flush()
            os.fchmod(new.fileno(), mode)
            os.fsync(new.fileno())
            Path(new.name).replace(path)
        except BaseException:
            Path(new.name).unlink(missing_ok=True)
            raise
    _sync_folder(path.parent)


def may_be_put(path: Path) -> bool:
    """Whether a path is free, or a regular file. A link is neither of the two.

    Raises:
        OSError: the folder can't be searched.
    """
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return True


def _replace(target: Path, before: bytes, after: bytes, backup: Path | None) -> None:
    kept = False
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as new:
        path = Path(new.name)
        try:
            _take_over(path, new.fileno(), target)
            new.write(after)
            new.flush()
            os.fsync(new.fileno())
            _refuse_changed(target, before)
            if backup is not None and not os.path.lexists(backup):
                _keep(target, backup)
                kept = True
            path.replace(target)
        except BaseException:
            path.unlink(missing_ok=True)
            if kept and backup is not None:
                backup.unlink(missing_ok=True)
            raise


def _write_in_place(target: Path, before: bytes, after: bytes, backup: Path | None) -> None:
    copy = _copy_beside(target, before, backup)
    try:
        _refuse_changed(target, before)
    except BaseException:
        copy.unlink(missing_ok=True)
        raise
    try:
        _overwrite(target, after)
    except BaseException:
        # If this raises an error too, the copy stays: only it has the old content.
        _restore(target, before, copy)
        copy.unlink(missing_ok=True)
        raise
    if copy != backup:
        copy.unlink(missing_ok=True)


def _restore(target: Path, content: bytes, copy: Path) -> None:
    try:
        if target.read_bytes() != content:
            _overwrite(target, content)
    except OSError as error:
        raise OSError(error.errno, f"it was written only in part, and its old content is in {copy.name}") from None


def _overwrite(target: Path, content: bytes) -> None:
    # The file is not emptied first: so its blocks stay its own, and on a full disk the old content fits in again.
    with open(os.open(target, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC), "r+b") as file:  # noqa: PTH123  # a descriptor
        file.write(content)
        file.truncate()
        os.fsync(file.fileno())
    if target.read_bytes() != content:
        raise OSError(errno.EIO, "it does not hold what was written to it")


def _copy_beside(target: Path, content: bytes, backup: Path | None) -> Path:
    try:
        if backup is not None and not os.path.lexists(backup):
            copy, descriptor = backup, os.open(backup, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
        else:
            descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f"{target.name}.before-")
            copy = Path(name)
    except OSError as error:
        raise OSError(
            error.errno, "it can't be replaced, and no copy can be kept beside it: its folder can't be written"
        ) from None
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123  # a descriptor
            file.write(content)
            file.flush()
            # If the copy can't have the same owner, only we may read it.
            with suppress(PermissionError):
                _take_over(copy, file.fileno(), target)
            os.fsync(file.fileno())
        _sync_folder(copy.parent)
    except BaseException:
        copy.unlink(missing_ok=True)
        raise
    return copy


def _take_over(path: Path, descriptor: int, target: Path) -> None:
    """Give a new file the owner, the extended attributes and the mode of the old one."""
    status = target.stat()
    with suppress(PermissionError):
        os.fchown(descriptor, status.st_uid, status.st_gid)
    made = os.fstat(descriptor)
    if (made.st_uid, made.st_gid) != (status.st_uid, status.st_gid):
        raise PermissionError(errno.EPERM, "it belongs to another user")
    shutil.copystat(target, path)
    os.fchmod(descriptor, status.st_mode & _EVERY_MODE_BIT)


def _refuse_changed(target: Path, before: bytes) -> None:
    if target.read_bytes() != before:
        raise BlockingIOError(errno.EAGAIN, "somebody else is changing it just now")


def _keep(target: Path, backup: Path) -> None:
    """Keep the old file under another name: by a hard link, or by a copy if hard links are not possible."""
    try:
        os.link(target, backup)
    except FileExistsError:
        raise
    except OSError:
        # Unlike shutil.copy2, this never writes through a link that was put there meanwhile.
        descriptor = os.open(backup, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123  # a descriptor
                file.write(target.read_bytes())
                file.flush()
                with suppress(PermissionError):
                    _take_over(backup, file.fileno(), target)
                os.fsync(file.fileno())
        except BaseException:
            backup.unlink(missing_ok=True)
            raise


def _sync_folder(folder: Path) -> None:
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:
        # We may write to the folder and not read it.
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
