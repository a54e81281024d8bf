"""`fluxbase-cli help exit-codes`."""

from __future__ import annotations

import re
from pathlib import Path

from fluxbase_cli.cli.exit_codes import EXIT_CODES
from fluxbase_cli.errors import ExitCode
from tests.fixtures.in_process import InProcess

_PAGE = Path(__file__).parents[2] / "docs" / "operators" / "scripting.md"


def test_the_topic_says_what_the_page_says() -> None:
    section = _PAGE.read_text(encoding="utf-8").partition("## Exit codes")[2].partition("`fluxbase-cli help")[0]
    rows = tuple(re.findall(r"^\| ([\d, ]+) \| (.+) \|$", section, re.MULTILINE))
    assert rows == EXIT_CODES
    assert {int(each) for code, _ in EXIT_CODES for each in code.split(", ")} == set(ExitCode)


def test_it_is_printed_and_the_root_help_names_it(tmp_path: Path) -> None:
    command = InProcess(tmp_path)
    topic = command("help", "exit-codes")
    assert topic.code == ExitCode.DONE
    assert "  130, 143  interrupted by SIGINT" in topic.stdout
    assert all(len(line) <= 80 for line in topic.stdout.splitlines())
    assert "help exit-codes" in command("--help").stdout
