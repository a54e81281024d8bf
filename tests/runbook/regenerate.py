"""Runs the commands of the pages for operators on real servers, and writes the output below each command.

    python -m tests.runbook.regenerate [PAGE ...]            rewrites the pages
    python -m tests.runbook.regenerate --check [PAGE ...]    says whether they are up to date, without comparing times

A page is its own source. A block of `console` has lines that begin with `$ `. Bash runs each of them, and keeps the
variables that they set. The output replaces the text below the line. `# exit 3` after a command is the exit code that
it must have. Comments in the page say the rest:

- `<!-- sandbox: KIND -->` or `<!-- sandbox: KIND in FOLDER -->` begins again: an empty folder with this name on the
  page, and a new database with sealed values. See `Sandbox.begin` for the kinds.
- `<!-- write: NAME -->`: the next block of `yaml` is written to this file.
- `<!-- hidden: COMMAND -->`: the command is run and not shown.
- `<!-- answers: y -->`: the commands of the next block run on a terminal, and this is typed at their question.
"""

from __future__ import annotations

import argparse
import difflib
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.runbook.sandbox import ROOT, Sandbox

_BEGIN = "<!-- sandbox: "
_FOLDER = "/etc/fluxbase"


def pages() -> list[Path]:
    """The pages with commands that can be run."""
    every = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [page for page in every if f"\n{_BEGIN}" in page.read_text(encoding="utf-8")]


def regenerate(text: str, sandbox: Sandbox) -> Iterator[str]:
    """The lines of a page, with new output for each command."""
    lines = iter(text.splitlines())
    to_write = ""
    for line in lines:
        comment = re.fullmatch(r"<!-- (\w+): (.*) -->", line)
        name, value = comment.groups() if comment else ("", "")
        if name == "sandbox":
            kind, _, shown = value.partition(" in ")
            folder = sandbox.stack.enter_context(tempfile.TemporaryDirectory(prefix="runbook-"))
            sandbox.begin(kind, Path(folder), shown or _FOLDER)
        elif name == "hidden":
            sandbox.run(value, 0)
        elif name == "answers":
            sandbox.answers = value
        elif name == "write":
            to_write = value
        yield line
        if line == "```yaml" and to_write:
            block = list(_rest_of_block(lines))
            sandbox.write(to_write, "\n".join(block) + "\n")
            to_write = ""
            yield from (*block, "```")
        elif line == "```console":
            for each in _rest_of_block(lines):
                if each.startswith("$ "):
                    yield each
                    code = re.search(r"  # exit (\d+)$", each)
                    yield from sandbox.run(each[2:], int(code[1]) if code else 0).rstrip("\n").splitlines()
            yield "```"
            sandbox.answers = ""


def _rest_of_block(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        if line == "```":
            return
        yield line


def _comparable(text: str) -> list[str]:
    """The page without the parts that are different each time: times, fingerprints, durations and ids."""
    for pattern, instead in (
        (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}\b", "ID"),
        (r"\b[0-9a-f]{16}\b", "FINGERPRINT"),
        (r"\b[0-9a-f]{64}\b", "DIGEST"),
        (r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d)?)?", "MOMENT"),
        (r"\b\d+(\.\d+)?s\b", "TIME"),
        # The age of a row of the demo, whose rows have fixed dates.
        (r"\b\d{3,}d\b", "AGE"),
        (r"[0-9a-f-]{36}", "ID"),
        (r" {2,}", "  "),
    ):
        text = re.sub(pattern, instead, text)
    return text.splitlines()


def regenerated(page: Path) -> str:
    """The page with new output."""
    with Sandbox.made() as sandbox:
        return "\n".join(regenerate(page.read_text(encoding="utf-8"), sandbox)) + "\n"


def difference(page: Path) -> list[str]:
    """What the commands of a page print now and did not print before, as a unified diff."""
    before = page.read_text(encoding="utf-8")
    return list(difflib.unified_diff(_comparable(before), _comparable(regenerated(page)), str(page), "now", n=1))


def main() -> None:
    """Regenerate or check the pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing, and end with 1 if a page is out of date")
    parser.add_argument("pages", nargs="*", type=Path, help="all when left out")
    asked = parser.parse_args()
    outdated = []
    for page in asked.pages or pages():
        if asked.check:
            outdated += difference(page)
        else:
            page.write_text(regenerated(page), encoding="utf-8")
    if outdated:
        raise SystemExit("\n".join(outdated))


if __name__ == "__main__":
    main()
