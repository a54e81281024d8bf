"""Files that are read have bounds of size, time and depth; files that are written are regular, not links."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fluxbase_cli.catalogue.extra import read_places
from fluxbase_cli.config import files, load_settings
from fluxbase_cli.config.files import SourceFile, read_text
from fluxbase_cli.config.replace_file import put_file, replace_file
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.fleet.file import read_fleet
from fluxbase_cli.keyring.env_file import CantChangeError, read_variables
from fluxbase_cli.rotation.figures import Figures
from fluxbase_cli.rotation.metrics_file import refuse_unsuited_file, write_metrics
from fluxbase_cli.rotation.yaml_edit import CantEditError, Change, edit_file

_ROWS = range(1, 12)
_BOMB = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{row}: &a{row} [{','.join([f'*a{row - 1}'] * 9)}]\n" for row in _ROWS
)
#: The same with merges, in the very section that is read.
_MERGES = (
    "a0: &a0 {x: 1}\n"
    + "".join(f"a{row}: &a{row} {{<<: [{','.join([f'*a{row - 1}'] * 9)}]}}\n" for row in _ROWS)
    + "security: {encryption: *a11}\n"
)


def _load(path: Path) -> object:
    return load_settings(config=path, database_url=None, directory=path.parent, environ={}, destroyed=frozenset())


_READERS: tuple[Callable[[Path], object], ...] = (
    _load,
    lambda path: edit_file(path, Change(2)),
    read_places,
    read_fleet,
)


@pytest.mark.parametrize("reader", _READERS)
@pytest.mark.parametrize(
    "text",
    [
        _BOMB,
        _MERGES,
        "a: &a [*a]\nsecurity: {encryption: *a}\n",
        "[" * 200_000,
        "- " * 5000,
        "a: " + "{b: " * 5000,
        "\x00",
        "a: 2024-13-45: 1",
    ],
    ids=["aliases", "merges", "itself", "brackets", "lists", "mappings", "nul", "colons"],
)
def test_every_reader_of_yaml_refuses_at_once_what_would_keep_it_busy(
    tmp_path: Path, reader: Callable[[Path], object], text: str
) -> None:
    path = tmp_path / "fluxbase.yaml"
    path.write_text(text, encoding="utf-8")
    began = time.process_time()

    with pytest.raises((ConfigurationError, CantEditError)):
        reader(path)

    assert time.process_time() - began < 5


def test_a_date_that_does_not_exist_is_a_mistake_in_the_locations(tmp_path: Path) -> None:
    path = tmp_path / "locations.yaml"
    path.write_text("locations: 2024-13-45\n", encoding="utf-8")

    with pytest.raises(ConfigurationError, match="a date or a number that does not exist"):
        read_places(path)


@pytest.mark.parametrize("reader", [_load, read_places, read_variables])
def test_a_file_without_end_and_a_folder_are_refused(tmp_path: Path, reader: Callable[[Path], object]) -> None:
    for path, why in ((Path("/dev/zero"), "larger than 1 MiB"), (tmp_path, "Is a directory")):
        with pytest.raises((ConfigurationError, CantChangeError), match=why):
            reader(path)


def test_a_pipe_into_which_nobody_writes_is_not_waited_for_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_PATIENCE_S", 0.05)
    pipe = tmp_path / "fluxbase.yaml"
    os.mkfifo(pipe)

    with pytest.raises(ConfigurationError, match="it is a pipe, and nobody has written to it"):
        _load(pipe)


def test_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    """As in `--config <(sops decrypt …)`."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    text = "# comment\n" * 20_000
    writer = threading.Thread(target=pipe.write_text, args=(text,))
    writer.start()

    assert read_text(SourceFile(pipe, "pipe")) == text
    writer.join()
    assert read_text(SourceFile(Path("/dev/null"), "null")) == ""


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("a: 1".encode("utf-16"), "is not UTF-8"),
        (b"\xff\xfe", "is not UTF-8"),
        (os.urandom(4096) + b"\xc0", "is not UTF-8"),
        (b"# " + b"x" * (1 << 20), "larger than 1 MiB"),
    ],
)
def test_wrong_encodings_and_huge_files_are_named(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "fluxbase.yaml"
    path.write_bytes(content)

    with pytest.raises(ConfigurationError, match=why):
        _load(path)


# --- writing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exists", [True, False])
def test_a_backup_is_never_written_through_a_link(tmp_path: Path, exists: bool) -> None:  # noqa: FBT001
    file, elsewhere, backup = tmp_path / "fluxbase.yaml", tmp_path / "elsewhere", tmp_path / "backup"
    file.write_bytes(b"old")
    if exists:
        elsewhere.write_bytes(b"of somebody")
    backup.symlink_to(elsewhere)

    with pytest.raises(OSError, match="backup backup is not a regular file"):
        replace_file(file, b"old", b"new", backup)

    assert file.read_bytes() == b"old"
    assert elsewhere.exists() == exists
    assert not exists or elsewhere.read_bytes() == b"of somebody"


def test_only_a_regular_file_is_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    with pytest.raises(OSError, match="not a regular file"):
        replace_file(pipe, b"", b"new", None)
    with pytest.raises(OSError, match="no regular file"):
        put_file(pipe, b"new")
    assert pipe.is_fifo()


def test_a_file_of_ours_is_written_whole_and_only_for_us(tmp_path: Path) -> None:
    path, link = tmp_path / "new", tmp_path / "link"
    put_file(path, b"1")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"1", 0o600)
    path.chmod(0o640)
    put_file(path, b"2", mode=0o644)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"2", 0o640)

    link.symlink_to(path)
    with pytest.raises(OSError, match="it is a link"):
        put_file(link, b"3")
    assert path.read_bytes() == b"2"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["link", "new"]


def test_metrics_go_only_to_a_regular_file_whose_name_ends_in_prom(tmp_path: Path) -> None:
    device, link, folder = tmp_path / "device.prom", tmp_path / "link.prom", tmp_path / "folder.prom"
    # A pipe stands for any device: a device can only be made by root.
    os.mkfifo(device)
    link.symlink_to(tmp_path / "x.prom")
    folder.mkdir()

    for path, why in (
        (tmp_path / "x.txt", "does not end in .prom"),
        (device, "no regular file"),
        (link, "is a link"),
        (folder, "no regular file"),
        (tmp_path / "nowhere" / "x.prom", "there is no folder"),
    ):
        with pytest.raises(ConfigurationError, match=why):
            refuse_unsuited_file(path)
    refuse_unsuited_file(tmp_path / "x.prom")
    with pytest.raises(OSError, match="no regular file"):
        write_metrics(device, Figures(datetime.now(UTC), succeeded=True))
    assert device.is_fifo()
