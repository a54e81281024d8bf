"""Rules for the repository: sizes of files, words, links. `.ci/run` has what other tools check."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_MOST_LINES = 400
_FOLDERS = ("fluxbase_cli", "tests", "docs", "examples", ".ci")
#: Pages that must contain those words: a test of them, and the list of the words.
_QUOTING = frozenset({"docs/glossary.md", "tests/unit/test_house.py"})
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*$", re.MULTILINE)
_CODE_BLOCK = re.compile(r"^( *)```.*?^\1```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`]*`")


def _files(*suffixes: str) -> list[Path]:
    found = [path for path in _ROOT.glob("*") if path.is_file()]
    for folder in _FOLDERS:
        found += [path for path in (_ROOT / folder).rglob("*") if path.is_file()]
    return sorted(path for path in found if path.suffix in suffixes and "__pycache__" not in path.parts)


def _name(path: Path) -> str:
    return path.relative_to(_ROOT).as_posix()


def test_no_file_of_code_is_long() -> None:
    lines = {_name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in _files(".py", ".sql")}
    assert lines
    assert {name: number for name, number in lines.items() if number > _MOST_LINES} == {}


# --- links ------------------------------------------------------------------------------------------------------------


def _anchors(page: Path) -> set[str]:
    text = _CODE_BLOCK.sub("", page.read_text(encoding="utf-8"))
    # As GitHub makes them: no punctuation, lower case, a hyphen for each space.
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in _HEADING.findall(text)}


def _dead(page: Path) -> Iterator[str]:
    for target in _LINK.findall(_CODE_BLOCK.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        there = (page.parent / file).resolve() if file else page
        if not there.exists() or (anchor and there.suffix == ".md" and anchor not in _anchors(there)):
            yield target


@pytest.mark.parametrize("page", _files(".md"), ids=_name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    assert list(_dead(page)) == []


def test_every_page_that_code_names_is_there() -> None:
    missing = {
        (_name(path), page)
        for path in _files(".py", ".sql", ".toml", ".yaml")
        for page in re.findall(r"\bdocs/[\w/.-]+\.(?:md|json|svg)\b", path.read_text(encoding="utf-8"))
        if not (_ROOT / page).exists()
    }
    assert missing == set()


@pytest.mark.parametrize("page", _files(".md"), ids=_name)
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    text = _CODE_BLOCK.sub("", page.read_text(encoding="utf-8"))
    named = set(re.findall(r"`((?:[\w.*-]+/)+[\w.*-]+\.(?:py|sql|toml|yaml))`", text))
    folders = (_ROOT, _ROOT / "fluxbase_cli", _ROOT / "tests", page.parent)
    # The pages for operators have examples of names that a user chooses.
    if "developers" in page.parts:
        assert [name for name in sorted(named) if not any(list(folder.glob(name)) for folder in folders)] == []


# --- words ------------------------------------------------------------------------------------------------------------


@cache
def _unwanted() -> re.Pattern[str]:
    page = (_ROOT / "docs" / "glossary.md").read_text(encoding="utf-8").partition("## Words we do not use")[2]
    words = [row.split("|")[1].strip() for row in page.splitlines() if row.startswith("|")][2:]
    assert len(words) > 20  # the table was found
    return re.compile(
        r"(?<![\w-])(" + "|".join(re.escape(word).replace(r"\ ", r"\s+") for word in words) + r")(?!\w)", re.IGNORECASE
    )


def _prose(path: Path) -> Iterator[tuple[int, str]]:
    """The texts of a file that people read, each with its line."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        yield 1, _CODE_BLOCK.sub(lambda match: "\n" * match[0].count("\n"), text)
        return
    if path.suffix == ".sql":
        yield from ((number, line[2:]) for number, line in enumerate(text.splitlines(), 1) if line.startswith("--"))
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    tree = ast.parse(text)
    if _name(path).startswith("tests/"):
        # Other strings of a test quote: SQL with the names of columns, and what users write.
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and (doc := ast.get_docstring(node)):
                yield getattr(node, "lineno", 1), doc
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.lineno, node.value


def _hits(path: Path) -> Iterator[str]:
    for line, text in _prose(path):
        plain = _CODE.sub("", text)
        yield from (
            f"{_name(path)}:{line + plain[: hit.start()].count(chr(10))}: {hit[0]}"
            for hit in _unwanted().finditer(plain)
        )


@pytest.mark.parametrize("folder", ["fluxbase_cli", "tests", "docs", "examples", "."])
def test_texts_hold_none_of_the_words_that_the_glossary_rules_out(folder: str) -> None:
    paths = [path for path in _files(".py", ".sql", ".md") if _name(path) not in _QUOTING and "data" not in path.parts]
    if folder == ".":
        paths = [path for path in paths if path.parent == _ROOT]
    else:
        paths = [path for path in paths if _name(path).startswith(folder + "/")]
    assert paths
    assert [hit for path in paths for hit in _hits(path)] == []
