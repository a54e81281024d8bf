"""Variables are changed in a `.env` file, and nothing else is."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxbase_cli.keyring.env_file import CantChangeError, change_variables, changed_text, read_variables

_OLD, _NEW = "Zk3v-Yw7Qe_x1Lr9TuB2mN8cHd5GfJ0s", "0hilKFQavclarZvPiYm6T3u317EtPR1Q"
_NAME = "FLUXBASE_ENCRYPTION_KEY"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"{_NAME}={_OLD}\n", f"{_NAME}={_NEW}\n"),
        (f"{_NAME}={_OLD}", f"{_NAME}={_NEW}"),
        (f'{_NAME}="{_OLD}"\n', f'{_NAME}="{_NEW}"\n'),
        (f"{_NAME}='{_OLD}'  # ours\n", f"{_NAME}='{_NEW}'  # ours\n"),
        (f"export {_NAME} = {_OLD} # ours\n", f"export {_NAME} = {_NEW} # ours\n"),
        (f"A=1\r\n{_NAME}={_OLD}\r\nB=2\r\n", f"A=1\r\n{_NAME}={_NEW}\r\nB=2\r\n"),
        # For the readers of such files the last line counts. An old key must not be left in the first one.
        (f"{_NAME}={_OLD}\nB=2\n{_NAME}={_OLD}\n", f"{_NAME}={_NEW}\nB=2\n{_NAME}={_NEW}\n"),
        (f"# {_NAME}=sample\n\n{_NAME}={_OLD}\n", f"# {_NAME}=sample\n\n{_NAME}={_NEW}\n"),
        (f"{_NAME}=\n", f"{_NAME}={_NEW}\n"),
        (f"\ufeff{_NAME}={_OLD}\n", f"\ufeff{_NAME}={_NEW}\n"),
        (f"{_NAME}={_OLD}#no comment\n", f"{_NAME}={_NEW}\n"),
    ],
)
def test_a_value_is_replaced_as_it_is_written(before: str, after: str) -> None:
    assert changed_text(before, {_NAME: _NEW}) == after


def test_a_new_variable_is_written_behind_the_key_and_in_its_form() -> None:
    changes = {"FLUXBASE_SECRET_KEY_2": _NEW, "FLUXBASE_SECRET_KEY_1": _OLD}
    before = f"A=1\nexport {_NAME}={_OLD}\nB=2"
    assert changed_text(before, changes, after=_NAME) == (
        f"A=1\nexport {_NAME}={_OLD}\nexport FLUXBASE_SECRET_KEY_2={_NEW}\nexport FLUXBASE_SECRET_KEY_1={_OLD}\nB=2"
    )
    assert changed_text("A=1", {"B": "2"}) == "A=1\nB=2\n"
    assert changed_text("", {"B": "2"}) == "B=2\n"


def test_a_variable_is_removed_with_its_line_only() -> None:
    text = f"# one\nA=1\n\n# two\nKEY={_OLD}\nB=2\n"
    assert changed_text(text, {"KEY": None, "MISSING": None}) == "# one\nA=1\n\n# two\nB=2\n"


@pytest.mark.parametrize("value", ["a b", "has#hash", "dollar$sign", 'double"quote', "back\\slash", "ü"])
def test_a_value_that_readers_take_in_different_ways_is_put_in_single_quotes(value: str) -> None:
    assert changed_text("K=x\n", {"K": value}) == f"K='{value}'\n"


@pytest.mark.parametrize("value", ["it's", "two\nlines", "tab\t"])
def test_a_value_that_cannot_be_written_for_every_reader_is_refused(value: str) -> None:
    with pytest.raises(CantChangeError, match="characters that not every reader"):
        changed_text("K=x\n", {"K": value})


def test_a_file_that_cannot_be_understood_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("A=1\nthis is no line of such a file\n")
    with pytest.raises(CantChangeError, match="line 2 can't be understood"):
        change_variables(path, {"A": "2"})
    assert path.read_text() == "A=1\nthis is no line of such a file\n"
    path.write_text("A=1\n\n\nthis is no line of such a file\n")
    with pytest.raises(CantChangeError, match="line 4 can't be understood"):
        change_variables(path, {"A": "2"})
    with pytest.raises(CantChangeError, match="No such file"):
        change_variables(tmp_path / "missing", {"A": "2"})


def test_mode_and_owner_stay_and_nothing_is_left_beside_the_file(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text(f"{_NAME}={_OLD}\n")
    path.chmod(0o640)
    (tmp_path / "link").symlink_to(path)

    change_variables(tmp_path / "link", {_NAME: _NEW})

    assert (tmp_path / "link").is_symlink()
    assert read_variables(path) == {_NAME: _NEW}
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert sorted(each.name for each in tmp_path.iterdir()) == [".env", "link"]


_names = st.from_regex(r"[A-Z][A-Z0-9_]{0,9}", fullmatch=True)
_values = st.text(
    st.characters(codec="ascii", exclude_characters="'\"\\#$`\r\n", exclude_categories=["C"]), max_size=12
)


@given(
    st.lists(st.tuples(_names, _values.map(str.strip)), max_size=6),
    st.dictionaries(_names, st.from_regex(r"[A-Za-z0-9_-]{1,32}", fullmatch=True) | st.none(), max_size=3),
)
def test_only_what_is_to_be_changed_changes(lines: list[tuple[str, str]], changes: dict[str, str | None]) -> None:
    text = "# head\n" + "".join(f"{name}={value}\n" for name, value in lines)
    before = dict(lines)
    try:
        changed = changed_text(text, changes)
    except CantChangeError:
        return
    expected = {**before, **changes}
    found = {}
    for line in changed.splitlines():
        name, equals, value = line.partition("=")
        if equals:
            found[name] = value
    assert found == {name: value for name, value in expected.items() if value is not None}
    assert changed.startswith("# head\n")
