"""Making a version active in fluxbase.yaml."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from fluxbase_cli.rotation.yaml_edit import CantEditError, Change, edit_file, edit_text

VAULT = {"key": "{{ vault `secret/fluxbase/keys/v3` }}"}
FILE = """\
# the server's own file
server: {port: 8080}   # not ours
Security:
  jwt_secret: 'keep "me"'
  encryption:

    active_key_version: 2      # set by the rotation
    # newest last
    keys:
      - version: 1
        key: "${OLD_SECRET_KEY}"     # from before
      - version: 2
        key: "{{ vault `secret/fluxbase/keys/v2` }}"   # since May
      # the end of the keys

    key_rotation:
      enabled: yes
database:
  password: p@ss:word
"""


def test_only_what_must_change_changes() -> None:
    edited = edit_text(FILE, Change(3, VAULT))

    before, after = FILE.splitlines(), edited.splitlines()
    assert [line for line in after if line not in before] == [
        "    active_key_version: 3      # set by the rotation",
        "      - version: 3",
        '        key: "{{ vault `secret/fluxbase/keys/v3` }}"',
    ]
    assert [line for line in before if line not in after] == ["    active_key_version: 2      # set by the rotation"]
    assert after.index("      - version: 3") == after.index("      # the end of the keys") - 2
    assert yaml.safe_load(edited)["Security"]["encryption"]["keys"][2] == {"version": 3, **VAULT}


def test_a_second_time_nothing_changes() -> None:
    edited = edit_text(FILE, Change(3, VAULT))

    assert edit_text(edited, Change(3, VAULT)) == edited


#: Each has a `|` at the place where text is inserted, and the inserted text.
STYLES = [
    ("security: {encryption: {active_key_version: 1, keys: [{version: 1, key: a}|]}}\n", ', {version: 2, key: "b"}'),
    (
        "security:\n  encryption:\n    active_key_version: 1\n    keys:\n    - {version: 1, key: a}\n|",
        '    - {version: 2, key: "b"}\n',
    ),
    (
        "security:\r\n  encryption:\r\n    active_key_version: '1'\r\n    keys:\r\n    - version: 1\r\n      key: a|",
        '\r\n    - version: 2\r\n      key: "b"\r\n',
    ),
    (
        "security:\n encryption:\n  keys:\n    - version: 1\n      key: >-\n        a\n|  active_key_version: 1\n",
        '    - version: 2\n      key: "b"\n',
    ),
    (
        "\ufeffsecurity:\n  encryption:\n    active_key_version: 1\n    keys:\n      - key: a\n        version: 1\n|",
        '      - version: 2\n        key: "b"\n',
    ),
]


@pytest.mark.parametrize(("marked", "added"), STYLES)
def test_the_style_of_the_file_is_followed(marked: str, added: str) -> None:
    after = marked.replace("|", added)
    for written in ("1", "'1'"):
        after = after.replace(f"active_key_version: {written}", f"active_key_version: {written.replace('1', '2')}")

    assert edit_text(marked.replace("|", ""), Change(2, {"key": "b"})) == after


def test_a_file_without_the_active_version_gets_it() -> None:
    text = "security:\n  encryption:\n    keys:\n      - {version: 1, key: a}\n"
    empty = "security:\n  encryption:\n    active_key_version:\n    keys: [{version: 1, key: a}]\n"

    assert edit_text(text, Change(1)) == text.replace("    keys", "    active_key_version: 1\n    keys")
    assert edit_text(empty, Change(1)) == empty.replace("version:\n", "version: 1\n")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("security:\n  encryption:\n    active_key_version: ${V}\n    keys: [{version: 1}]\n", "comes from a variable"),
        ("security:\n  encryption:\n    active_key_version: 1\n", "its keys are not listed in it"),
        ("security:\n  encryption:\n    active_key_version: [1]\n    keys: [{version: 1}]\n", "is no number"),
        ("database: {port: 1}\n", "it has no section security.encryption"),
        ("security: [\n", "it is not YAML that can be read"),
        ("", "it has no section security.encryption"),
        (
            "x: &v 1\nsecurity:\n  encryption:\n    active_key_version: *v\n    keys: [{version: 1}]\n",
            "can't be changed without changing something else",
        ),
        (
            "copy: &k\n  - version: 1\nsecurity:\n  encryption:\n    active_key_version: 1\n    keys: *k\n",
            "can't be changed without changing something else",
        ),
    ],
)
def test_a_file_that_only_a_person_can_change_safely_is_left_unchanged(text: str, why: str) -> None:
    with pytest.raises(CantEditError, match=why):
        edit_text(text, Change(2, {"key": "b"}))


def test_the_file_keeps_its_mode_and_a_copy_of_the_old_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "fluxbase.yaml"
    path.write_text(FILE, encoding="utf-8")
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 4711, 4712)
    before = path.stat()

    backup = edit_file(path, Change(3, VAULT))

    after = path.stat()
    assert backup == tmp_path / "fluxbase.yaml.before-v3"
    assert backup.read_text(encoding="utf-8") == FILE
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert path.read_text(encoding="utf-8") == edit_text(FILE, Change(3, VAULT))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["fluxbase.yaml", "fluxbase.yaml.before-v3"]
    assert edit_file(path, Change(3, VAULT)) is None


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real.yaml", tmp_path / "fluxbase.yaml"
    real.write_text(FILE, encoding="utf-8")
    link.symlink_to(real)

    edit_file(link, Change(3, VAULT))

    assert link.is_symlink()
    assert "active_key_version: 3" in real.read_text(encoding="utf-8")


def test_a_file_that_is_read_only_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "fluxbase.yaml"
    path.write_text(FILE, encoding="utf-8")
    path.chmod(0o444)

    with pytest.raises(CantEditError, match="read-only"):
        edit_file(path, Change(3, VAULT))

    assert [each.name for each in tmp_path.iterdir()] == ["fluxbase.yaml"]


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(CantEditError, match="No such file"):
        edit_file(tmp_path / "fluxbase.yaml", Change(3))


def test_the_change_to_make_by_hand_is_shown_as_it_would_stand_in_the_file() -> None:
    written = yaml.safe_load("\n".join(Change(3, VAULT).lines()))

    assert written == {"security": {"encryption": {"active_key_version": 3, "keys": [{"version": 3, **VAULT}]}}}
