"""The content of an operator's file is replaced by a new file, or overwritten where that is impossible."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from fluxbase_cli.config import replace_file as module
from fluxbase_cli.config.replace_file import replace_file
from tests.fixtures.programs import needs_root

BEFORE = b"active_key_version: 1\n# a comment that makes the old file longer\n"
AFTER = b"active_key_version: 2\n"
IRREPLACEABLE = [errno.EBUSY, errno.EXDEV, errno.EACCES, errno.EPERM, errno.EROFS]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "fluxbase.yaml"
    path.write_bytes(BEFORE)
    path.chmod(0o640)
    return path


@pytest.fixture
def backup(path: Path) -> Path:
    return path.with_name("fluxbase.yaml.before-v2")


def files(path: Path) -> dict[str, bytes]:
    """All files of the folder with their content."""
    return {each.name: each.read_bytes() for each in path.parent.iterdir()}


def no_rename(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Let no file take the name of another."""

    def fail(*_arguments: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "replace", fail)


def failing(monkeypatch: pytest.MonkeyPatch, *errors: Exception | None) -> None:
    """Let each time that a file is overwritten end with an error after half of it, or with none."""
    overwrite, ends = module._overwrite, list(errors)

    def half(target: Path, content: bytes) -> None:
        error = ends.pop(0)
        if error is None:
            overwrite(target, content)
        else:
            target.write_bytes(content[: len(content) // 2])
            raise error

    monkeypatch.setattr(module, "_overwrite", half)


def test_a_new_file_takes_the_name(path: Path, backup: Path) -> None:
    inode = path.stat().st_ino

    replace_file(path, BEFORE, AFTER, backup)

    assert files(path) == {path.name: AFTER, backup.name: BEFORE}
    assert path.stat().st_ino != inode == backup.stat().st_ino


def test_without_a_backup_only_the_file_is_left(path: Path) -> None:
    replace_file(path, BEFORE, AFTER, None)

    assert files(path) == {path.name: AFTER}


@pytest.mark.parametrize("number", IRREPLACEABLE, ids=errno.errorcode.get)
def test_a_file_that_can_not_be_replaced_is_overwritten(
    path: Path, backup: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = path.stat()
    no_rename(monkeypatch, number)

    replace_file(path, BEFORE, AFTER, backup)

    # The backup is a file of its own, and no other name of the file that was overwritten.
    assert files(path) == {path.name: AFTER, backup.name: BEFORE}
    assert (path.stat().st_ino, path.stat().st_mode) == (status.st_ino, status.st_mode)
    assert (backup.stat().st_mode, backup.stat().st_uid) == (status.st_mode, status.st_uid)


def test_no_copy_stays_that_nobody_asked_for(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_rename(monkeypatch, errno.EBUSY)

    replace_file(path, BEFORE, AFTER, None)

    assert files(path) == {path.name: AFTER}


def test_a_backup_from_before_is_kept(path: Path, backup: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backup.write_bytes(b"older")
    no_rename(monkeypatch, errno.EBUSY)

    replace_file(path, BEFORE, AFTER, backup)

    assert files(path) == {path.name: AFTER, backup.name: b"older"}


@needs_root
def test_a_copy_that_can_not_belong_to_the_owner_is_only_for_us(
    path: Path, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who may write a file of somebody else can't give a new file to them. So the file is overwritten."""
    os.chown(path, 4711, 4712)

    def refuse(*_arguments: Any) -> None:
        raise PermissionError(errno.EPERM, "not yours")

    monkeypatch.setattr(os, "fchown", refuse)

    replace_file(path, BEFORE, AFTER, backup)

    assert files(path) == {path.name: AFTER, backup.name: BEFORE}
    assert (path.stat().st_uid, path.stat().st_gid, path.stat().st_mode & 0o777) == (4711, 4712, 0o640)
    assert (backup.stat().st_uid, backup.stat().st_mode & 0o777) == (0, 0o600)


@pytest.mark.parametrize("wanted", [True, False])
def test_after_an_error_the_old_content_is_written_back_and_nothing_is_left(
    path: Path, backup: Path, *, wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_rename(monkeypatch, errno.EBUSY)
    failing(monkeypatch, OSError(errno.ENOSPC, "the disk is full"), None)

    with pytest.raises(OSError, match="the disk is full"):
        replace_file(path, BEFORE, AFTER, backup if wanted else None)

    assert files(path) == {path.name: BEFORE}


def test_if_the_old_content_can_not_be_written_back_the_error_names_the_copy(
    path: Path, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_rename(monkeypatch, errno.EBUSY)
    failing(monkeypatch, OSError(errno.EIO, "the disk is broken"), OSError(errno.EIO, "the disk is broken"))

    with pytest.raises(OSError, match=r"written only in part, and its old content is in fluxbase\.yaml\.before-v2"):
        replace_file(path, BEFORE, AFTER, backup)

    assert backup.read_bytes() == BEFORE


def test_an_interrupt_leaves_the_old_content(path: Path, backup: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_rename(monkeypatch, errno.EBUSY)
    interrupt: Any = KeyboardInterrupt()
    failing(monkeypatch, interrupt, None)

    with pytest.raises(KeyboardInterrupt):
        replace_file(path, BEFORE, AFTER, backup)

    assert files(path) == {path.name: BEFORE}


def test_what_is_read_back_is_compared(path: Path, backup: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_rename(monkeypatch, errno.EBUSY)
    synced = os.fsync

    def disturb(descriptor: int) -> None:
        synced(descriptor)
        if path.read_bytes() == AFTER:
            path.write_bytes(b"something else")

    monkeypatch.setattr(os, "fsync", disturb)

    with pytest.raises(OSError, match="it does not hold what was written to it"):
        replace_file(path, BEFORE, AFTER, backup)

    assert files(path) == {path.name: BEFORE}


def test_a_file_that_was_changed_meanwhile_is_not_overwritten(
    path: Path, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changed(*_arguments: Any) -> None:
        path.write_bytes(b"theirs")
        raise OSError(errno.EBUSY, "it is a mount")

    monkeypatch.setattr(Path, "replace", changed)

    with pytest.raises(BlockingIOError, match="somebody else is changing it just now"):
        replace_file(path, BEFORE, AFTER, backup)

    assert files(path) == {path.name: b"theirs"}


def _disk_full_at(monkeypatch: pytest.MonkeyPatch, place: object, name: str) -> None:
    def fail(*_arguments: Any, **_options: Any) -> None:
        raise OSError(errno.ENOSPC, "the disk is full")

    monkeypatch.setattr(place, name, fail)


@pytest.mark.parametrize(("place", "name"), [(Path, "replace"), (tempfile, "NamedTemporaryFile"), (os, "fsync")])
def test_if_the_file_is_not_replaced_no_backup_is_left(
    path: Path, backup: Path, place: object, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _disk_full_at(monkeypatch, place, name)

    with pytest.raises(OSError, match="the disk is full"):
        replace_file(path, BEFORE, AFTER, backup)

    assert files(path) == {path.name: BEFORE}


@pytest.mark.parametrize(("place", "name"), [(os, "fsync"), (module, "_take_over"), (tempfile, "mkstemp")])
def test_if_no_copy_can_be_made_nothing_is_overwritten(
    path: Path, backup: Path, place: object, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup.write_bytes(b"older")
    _disk_full_at(monkeypatch, place, name)

    with pytest.raises(OSError, match=r"the disk is full|no copy can be kept"):
        module._write_in_place(path, BEFORE, AFTER, backup)

    assert files(path) == {path.name: BEFORE, backup.name: b"older"}


def test_extended_attributes_are_kept(path: Path, backup: Path) -> None:
    try:
        os.setxattr(path, "user.note", b"ours")
    except (AttributeError, OSError):
        pytest.skip("this system or its file system has no extended attributes")

    replace_file(path, BEFORE, AFTER, backup)

    assert os.getxattr(path, "user.note") == b"ours"
