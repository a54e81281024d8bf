"""The provider `file`: which files it reads, and how it makes and removes them."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fluxbase_cli.config import EncryptionSettings, KeyEntry, Secret
from fluxbase_cli.errors import ConfigurationError, ExitCode
from fluxbase_cli.keyring import KeyAbsentError, KeyElsewhereError, ProviderContext, load_provider
from fluxbase_cli.keyring.file import FileKeyProvider
from fluxbase_cli.keyring.file.reading import too_open
from fluxbase_cli.seal import fingerprint
from tests.fixtures.command import NEW_KEY, OLD_KEY


def provider(*entries: KeyEntry, warn: Callable[[str], None] = pytest.fail, listed: bool = True) -> FileKeyProvider:
    made = load_provider("file", ProviderContext(EncryptionSettings(keys=entries, lists_keys=listed), {}, warn))
    assert isinstance(made, FileKeyProvider)
    return made


def entry(path: Path | str, version: int = 1) -> KeyEntry:
    return KeyEntry(version, "file", "the entry", Secret(""), {"key_file": Secret(str(path))})


def key_file(path: Path, content: bytes | str = OLD_KEY.hex(), mode: int = 0o600) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)
    return path


def refusal(path: Path | str, kind: type[ConfigurationError] = ConfigurationError) -> str:
    """The message for a file that can't be used: one line, with a hint, and nothing of the file's content."""
    with pytest.raises(ConfigurationError) as caught:
        provider().fetch(entry(path))
    error = caught.value
    assert type(error) is kind, error
    assert (error.exit_code, bool(error.hint), "\n" in error.message) == (ExitCode.USAGE, True, False)
    assert "the entry" in error.message
    assert OLD_KEY.hex()[:8] not in f"{error.message} {error.hint}"
    return error.message


@pytest.mark.parametrize(
    ("content", "key"),
    [
        (OLD_KEY.hex(), OLD_KEY),
        (OLD_KEY.hex() + "\n", OLD_KEY),
        (OLD_KEY.hex().upper() + "\r\n", OLD_KEY),
        ("Dx4tPEtaaXiHlqW0w9Lh8AARIjNEVWZ3iJmqu8zd7v8=\n", OLD_KEY),
        ("k" * 32 + "\n", b"k" * 32),
        (b"\xff" * 32, b"\xff" * 32),
        (b"\xff" * 31 + b"\n", b"\xff" * 31 + b"\n"),
        (b"\x00" * 30 + b"\r\n", b"\x00" * 30 + b"\r\n"),
        (b"\xff" * 32 + b"\n", b"\xff" * 32),
    ],
)
def test_one_line_end_is_no_part_of_the_key(tmp_path: Path, content: bytes | str, key: bytes) -> None:
    assert provider().fetch(entry(key_file(tmp_path / "k", content))) == key


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (OLD_KEY.hex() + "\n\n", "65 bytes long, with white space around it"),
        (" " + OLD_KEY.hex(), "65 bytes long, with white space around it"),
        ("k" * 31 + "\n", "31 bytes long"),
        ("", "is empty"),
        ("\n", "0 bytes long"),
        ("k" * 5000, "is larger than 4096 bytes: it is no key"),
        (OLD_KEY.hex() + "\n" + NEW_KEY.hex(), "129 bytes long"),
    ],
)
def test_a_file_must_hold_one_key(tmp_path: Path, content: str, message: str) -> None:
    assert message in refusal(key_file(tmp_path / "k", content))


def test_a_file_that_is_not_there_is_told_apart_from_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert refusal(tmp_path / "k", KeyAbsentError) == f"there is no key file {tmp_path}/k (the entry)"
    (tmp_path / "link").symlink_to("absent")
    assert "is a link that leads to no file" in refusal(tmp_path / "link", KeyAbsentError)
    # A secret that is not mounted says nothing about its keys.
    assert f"there is no folder {tmp_path}/none" in refusal(tmp_path / "none" / "k")
    assert "there is no folder" in refusal(key_file(tmp_path / "file") / "k")
    assert "has a character in its path that no path can have" in refusal(f"{tmp_path}/a\0b")


@pytest.fixture
def not_regular(tmp_path: Path) -> Iterator[list[Path]]:
    os.mkfifo(tmp_path / "pipe", 0o600)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(tmp_path / "socket"))
        (tmp_path / "link").symlink_to("pipe")
        yield [tmp_path / "pipe", tmp_path / "socket", tmp_path / "link", Path("/dev/zero"), Path("/dev/tty")]


def test_only_a_regular_file_is_opened(tmp_path: Path, not_regular: list[Path]) -> None:
    for path in not_regular:
        assert refusal(path) == f"the key file {path} (the entry) is no regular file"
    assert refusal(tmp_path).endswith("is a folder")
    (tmp_path / "loop").symlink_to("loop")
    assert "can't be read: Too many levels of symbolic links" in refusal(tmp_path / "loop")


@pytest.mark.parametrize(
    ("mode", "owner", "why"),
    [
        (0o600, 1000, None),
        (0o400, 1000, None),
        (0o711, 1000, None),
        (0o640, 2000, None),
        # A secret of Kubernetes with fsGroup, and a credential of systemd, whose group bits are those of its ACL.
        (0o440, 0, None),
        (0o640, 0, None),
        (0o644, 1000, "others may read it"),
        (0o444, 0, "others may read it"),
        (0o604, 2000, "others may read it"),
        (0o602, 1000, "others may change it"),
        (0o620, 0, "its group may change it"),
        (0o660, 2000, "its group may change it"),
        (0o440, 1000, "its group may read it"),
    ],
)
def test_nobody_may_read_a_key_who_need_not(mode: int, owner: int, why: str | None) -> None:
    assert too_open(stat.S_IFREG | mode, owner, 1000) == why


def test_the_group_of_a_file_of_root_may_read_it_also_if_we_are_root() -> None:
    assert too_open(stat.S_IFREG | 0o640, 0, 0) is None


def test_a_file_that_others_may_read_is_refused_with_the_command_that_helps(tmp_path: Path) -> None:
    path = key_file(tmp_path / "a key", mode=0o644)
    assert refusal(path) == f"the key file {path} (the entry) is not used: others may read it (mode 0644)"
    with pytest.raises(ConfigurationError) as caught:
        provider().fetch(entry(path))
    assert f"`chmod 600 '{path}'`" in str(caught.value.hint)
    path.chmod(0o600)
    assert provider().fetch(entry(path)) == OLD_KEY


def test_what_counts_is_the_file_that_a_link_leads_to(tmp_path: Path) -> None:
    open_to_all = key_file(tmp_path / "open", mode=0o644)
    (tmp_path / "link").symlink_to(open_to_all)
    assert "others may read it" in refusal(tmp_path / "link")
    open_to_all.chmod(0o400)
    assert provider().fetch(entry(tmp_path / "link")) == OLD_KEY


# --- keys that are made -----------------------------------------------------------------------------------------------


def test_a_key_goes_to_its_entry_or_beside_the_others(tmp_path: Path) -> None:
    first = entry(key_file(tmp_path / "key-01.txt"))
    made = provider(first).create(2, (first,))
    path = tmp_path / "key-02.txt"
    text = path.read_text()
    assert text.endswith("\n")
    assert (made.setting, made.fingerprint) == ({"key_file": str(path)}, fingerprint(bytes.fromhex(text)))
    assert (made.entry.source, stat.S_IMODE(path.stat().st_mode)) == (str(path), 0o600)
    assert provider(first).fetch(made.entry) == bytes.fromhex(text)
    found = provider(first).find(2, (first,))
    assert found is not None
    assert found.fingerprint == made.fingerprint
    assert provider(first).find(3, (first,)) is None
    third = entry(tmp_path / "elsewhere", 3)
    assert provider(first, third).create(3, (first, third)).setting == {"key_file": str(tmp_path / "elsewhere")}


@pytest.mark.parametrize("there", ["file", "link", "folder"])
def test_nothing_is_ever_overwritten(tmp_path: Path, there: str) -> None:
    path = tmp_path / "v2"
    match there:
        case "file":
            key_file(path, "mine")
        case "link":
            path.symlink_to(tmp_path / "nowhere")
        case _:
            path.mkdir()
    with pytest.raises(ConfigurationError, match=f"there is a file {path} already; nothing was written"):
        provider().create(2, (entry(path, 2),))
    assert there != "file" or path.read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()


def test_who_may_read_the_newest_key_may_read_the_new_one(tmp_path: Path) -> None:
    known = entry(key_file(tmp_path / "v1", mode=0o640))
    provider(known).create(2, (known,))
    assert stat.S_IMODE((tmp_path / "v2").stat().st_mode) == 0o640
    key_file(tmp_path / "v2", mode=0o666)
    second = entry(tmp_path / "v2", 2)
    provider(known, second).create(3, (known, second))
    # Nobody else may, also if the other file allows more.
    assert stat.S_IMODE((tmp_path / "v3").stat().st_mode) == 0o640


@pytest.mark.parametrize(
    ("known", "listed", "message"),
    [
        ((entry("/nowhere/v1"),), True, "/nowhere/v2 can't be written: No such file or directory; no key was made"),
        ((entry("/nowhere/v1"),), False, "nothing says in which file the key of version 2 goes"),
        ((entry("/nowhere/key"),), True, "nothing says in which file the key of version 2 goes"),
        # The number of a folder may belong to anything.
        ((entry("/srv/app1/key"),), True, "nothing says in which file the key of version 2 goes"),
        ((KeyEntry(2, "vault", "the other", Secret("x")),), True, "the other: key version 2 is configured for the"),
        ((entry("/nowhere/a\0b", 2),), True, "the path of key version 2 has a character that no path can have"),
    ],
)
def test_it_must_be_known_where_a_key_goes(known: tuple[KeyEntry, ...], *, listed: bool, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        provider(*known, listed=listed).create(2, known)
    assert caught.value.message.startswith(message)


def test_a_full_disk_leaves_no_part_of_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fluxbase_cli.keyring.file.writing.os.fsync", full)
    with pytest.raises(ConfigurationError, match="can't be written: No space left on device; no key was made"):
        provider().create(2, (entry(tmp_path / "v2", 2),))
    assert list(tmp_path.iterdir()) == []


# --- keys that are destroyed ------------------------------------------------------------------------------------------


def test_a_file_is_removed_and_other_names_of_it_are_told(tmp_path: Path) -> None:
    warnings: list[str] = []
    keys, known = provider(warn=warnings.append), entry(key_file(tmp_path / "v1"))
    assert keys.exists(known)
    (tmp_path / "other").hardlink_to(tmp_path / "v1")
    keys.destroy(known)
    assert not keys.exists(known)
    assert warnings == [
        f"{tmp_path}/v1 was removed, and other names (hard links) of the same file still hold the key: remove them too"
    ]
    keys.destroy(known)
    keys.destroy(entry(tmp_path / "none" / "v1"))
    assert not keys.exists(entry(tmp_path / "none" / "v1"))


@pytest.mark.parametrize("code", [16, 30])
def test_a_link_and_a_mounted_file_are_left_to_the_operator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    target = key_file(tmp_path / "..data")
    (tmp_path / "v1").symlink_to("..data")
    with pytest.raises(KeyElsewhereError):
        provider().destroy(entry(tmp_path / "v1"))
    assert target.exists()

    def mounted(_path: Path) -> None:
        raise OSError(code, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", mounted)
    with pytest.raises(KeyElsewhereError):
        provider().destroy(entry(target))


def test_a_file_that_we_may_not_remove_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(_path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    path = key_file(tmp_path / "v1")
    monkeypatch.setattr(Path, "unlink", denied)
    with pytest.raises(ConfigurationError, match=r"v1 can't be removed: Permission denied") as caught:
        provider().destroy(entry(path))
    assert not isinstance(caught.value, KeyElsewhereError)
    monkeypatch.setattr(Path, "lstat", denied)
    with pytest.raises(ConfigurationError, match=r"v1 can't be looked for: Permission denied"):
        provider().exists(entry(path))


def test_the_age_is_that_of_a_file_and_unknown_for_what_is_mounted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = key_file(tmp_path / "v1")
    os.utime(path, (1_700_000_000, 1_700_000_000))
    assert provider().created_at(entry(path)) == datetime.fromtimestamp(1_700_000_000, UTC)
    (tmp_path / "link").symlink_to(path)
    assert provider().created_at(entry(tmp_path / "link")) is None
    assert provider().created_at(entry(tmp_path / "none")) is None
    monkeypatch.setattr(Path, "is_mount", lambda _path: True)
    assert provider().created_at(entry(path)) is None
    assert provider().place(entry(path)) == str(path)
