"""Somebody else changes fluxbase.yaml after we have read it and before we replace it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fluxbase_cli.rotation import yaml_edit
from fluxbase_cli.rotation.yaml_edit import CantEditError, Change, edit_file

_BEFORE = "security:\n  encryption:\n    active_key_version: 1\n"
_THEIRS = "security:\n  encryption:\n    active_key_version: 1\n    kms_key_id: theirs\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file as it was read."""
    path = tmp_path / "fluxbase.yaml"
    path.write_text(_BEFORE)
    return path


def change_meanwhile(monkeypatch: pytest.MonkeyPatch, action: Callable[[], object]) -> None:
    """Call a function after the file was read and its new text was made."""
    edited = yaml_edit.edit_text

    def edit_text(text: str, change: Change) -> str:
        action()
        return edited(text, change)

    monkeypatch.setattr(yaml_edit, "edit_text", edit_text)


def test_what_somebody_else_wrote_meanwhile_stays(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change_meanwhile(monkeypatch, lambda: path.write_text(_THEIRS))

    with pytest.raises(CantEditError, match="somebody else is changing it just now"):
        edit_file(path, Change(2))

    assert path.read_text() == _THEIRS
    # No copy and no half-written file stays next to it.
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_file_that_was_replaced_meanwhile_stays(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Editors do this: they give the name to another file."""
    other = path.with_name("other")
    other.write_text(_THEIRS)
    change_meanwhile(monkeypatch, lambda: other.replace(path))

    with pytest.raises(CantEditError, match="somebody else is changing it just now"):
        edit_file(path, Change(2))

    assert path.read_text() == _THEIRS


def test_a_file_that_was_deleted_meanwhile_is_not_created_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change_meanwhile(monkeypatch, path.unlink)

    with pytest.raises(CantEditError, match="No such file"):
        edit_file(path, Change(2))

    assert not path.exists()


def test_a_file_that_nobody_else_changes_is_changed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change_meanwhile(monkeypatch, lambda: None)

    backup = edit_file(path, Change(2))

    assert backup is not None
    assert backup.read_text() == _BEFORE
    assert path.read_text() == _BEFORE.replace("1", "2")
