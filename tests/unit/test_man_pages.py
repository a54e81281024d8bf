"""The manual pages: one for each command, with all its options, and without a warning of man."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from fluxbase_cli.cli.app import make_app
from fluxbase_cli.cli.exit_codes import EXIT_CODES
from tests.fixtures.programs import program

_ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages, as `make man` writes them."""
    made = tmp_path_factory.mktemp("man")
    subprocess.run([sys.executable, _ROOT / "packaging" / "man_pages.py", made], check=True, cwd=made)
    return made


def _commands(command: Any, *path: str) -> Iterator[tuple[str, Any]]:
    yield "-".join(path), command
    for name, each in getattr(command, "commands", {}).items():
        if each.hidden:
            continue
        yield from _commands(each, *path, name)


def _shown(page: Path) -> str:
    """A page as a reader sees it."""
    line: list[str | Path] = [program("man"), "--warnings", "-E", "UTF-8", "-l", page]
    done = subprocess.run(
        line,
        capture_output=True,
        text=True,
        check=True,
        env={"MANWIDTH": "400", "LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"},
    )
    assert done.stderr == "", page
    return re.sub("\\s+", " ", re.sub(".\b", "", done.stdout))


def test_every_command_has_a_page_with_all_its_options_and_examples(folder: Path) -> None:
    commands = dict(_commands(get_command(make_app()), "fluxbase-cli"))
    assert {page.name for page in folder.iterdir()} == {f"{name}.1" for name in commands}
    for name in ("fluxbase-cli", "fluxbase-cli-secrets-re-encrypt", "fluxbase-cli-security-check"):
        text = _shown(folder / f"{name}.1")
        for option in commands[name].params:
            assert option.param_type_name == "argument" or all(each in text for each in option.opts), (name, option)
    text = _shown(folder / "fluxbase-cli-secrets-rollback.1")
    assert 'fluxbase-cli secrets rollback --to-version 1 --reason "New key compromised"' in text
    assert "Move every sealed value back to an older key version." in text


def test_man_and_mandoc_find_nothing_wrong(folder: Path) -> None:
    pages = sorted(folder.iterdir())
    done = subprocess.run(
        [program("man"), "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", *pages],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    mandoc = shutil.which("mandoc")
    if mandoc is not None:
        found = subprocess.run(
            [mandoc, "-T", "lint", "-W", "warning", *pages], capture_output=True, text=True, check=False
        )
        # There is no date, so that the same source makes the same page.
        assert [line for line in found.stdout.splitlines() if "missing date" not in line] == []


def test_a_page_has_no_date_and_no_path_of_this_machine(folder: Path) -> None:
    for page in folder.iterdir():
        text = page.read_text(encoding="utf-8")
        assert ' 1 "" "fluxbase-cli ' in text.split("\n")[0]
        assert str(_ROOT) not in text


def test_the_pages_have_the_exit_codes_and_the_options_of_the_default_command(folder: Path) -> None:
    text = _shown(folder / "fluxbase-cli-report.1")
    for code, meaning in EXIT_CODES:
        assert f"{code} {meaning.replace('`', '')}" in text
    assert "[OPTIONS] [JOB]" in text
    assert "--rotation N" in text
    assert "fluxbase-cli-report-verify" in text
