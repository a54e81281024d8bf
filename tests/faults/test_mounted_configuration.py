"""A fluxbase.yaml that is mounted alone, as Docker and Kubernetes (`subPath`) do: no other file can take its name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_BEFORE = "security:\n  encryption:\n    active_key_version: 1   # by the rotation\n"
_EDIT = """
import sys
from pathlib import Path
from fluxbase_cli.rotation.yaml_edit import CantEditError, Change, edit_file
try:
    print(edit_file(Path(sys.argv[1]), Change(2)))
except CantEditError as error:
    print(f"refused: {error}")
"""


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """The file on the machine that the container mounts."""
    path = tmp_path / "host" / "fluxbase-prod.yaml"
    path.parent.mkdir()
    path.write_text(_BEFORE, encoding="utf-8")
    return path


@pytest.fixture
def inside(tmp_path: Path) -> Path:
    """The file as the container sees it. Without the mount, it is empty."""
    path = tmp_path / "container" / "fluxbase.yaml"
    path.parent.mkdir()
    path.touch()
    return path


def edit_mounted(mounts: str, outside: Path, inside: Path) -> str:
    """Edit the file in a separate namespace, where `mounts` was run first. Root rights are not necessary."""
    if sys.platform != "linux":
        pytest.skip("only Linux lets anybody mount a file")
    script = f'outside=$1 inside=$2 && {mounts} && echo mounted && exec "$3" -c "$4" "$2"'
    done = subprocess.run(
        [
            *("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"),
            *(str(outside), str(inside), sys.executable, _EDIT),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    mounted, _, answer = done.stdout.partition("\n")
    if mounted != "mounted":
        pytest.skip(f"this system lets nobody mount a file: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return answer.strip()


def test_a_file_that_is_mounted_alone_is_changed(outside: Path, inside: Path) -> None:
    inode = outside.stat().st_ino

    answer = edit_mounted('mount --bind "$outside" "$inside"', outside, inside)

    backup = inside.with_name("fluxbase.yaml.before-v2")
    assert answer == str(backup)
    assert outside.read_text(encoding="utf-8") == _BEFORE.replace("1", "2")
    assert outside.stat().st_ino == inode
    assert backup.read_text(encoding="utf-8") == _BEFORE
    assert sorted(each.name for each in inside.parent.iterdir()) == [inside.name, backup.name]
    assert [each.name for each in outside.parent.iterdir()] == [outside.name]


def test_in_a_folder_that_can_not_be_written_the_file_is_left_and_the_reason_given(outside: Path, inside: Path) -> None:
    """A container with a read-only root: nothing but the mounted file can be written, so no copy can be kept."""
    mounts = (
        'folder=$(dirname "$inside") && mount --bind "$folder" "$folder" && mount --bind "$outside" "$inside" '
        '&& mount -o remount,bind,ro "$folder"'
    )

    answer = edit_mounted(mounts, outside, inside)

    assert answer == ("refused: it can't be replaced, and no copy can be kept beside it: its folder can't be written")
    assert outside.read_text(encoding="utf-8") == _BEFORE
    assert [each.name for each in inside.parent.iterdir()] == [inside.name]


def test_a_file_that_is_mounted_read_only_is_left(outside: Path, inside: Path) -> None:
    mounts = 'mount --bind "$outside" "$inside" && mount -o remount,bind,ro "$inside"'

    assert edit_mounted(mounts, outside, inside) == "refused: it is read-only"

    assert outside.read_text(encoding="utf-8") == _BEFORE
    assert [each.name for each in inside.parent.iterdir()] == [inside.name]
