"""The page for operators who rotate by hand (docs/operators/rotate-today.md): its commands run as they are printed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures.command import PATIENCE_S
from tests.fixtures.embedded import on_both_releases
from tests.fixtures.served import SERVER_KEY, Served

_PAGE = Path(__file__).parents[2] / "docs" / "operators" / "rotate-today.md"
_DOCKER = """\
#!/bin/sh
# `docker compose`, as far as the page uses it.
case "$*" in
    "compose stop fluxbase") exec "{directory}/stop.sh" ;;
    "compose up -d --no-deps fluxbase") exec "{directory}/start.sh" ;;
    *) echo "unknown: $*" >&2; exit 64 ;;
esac
"""


def blocks(part: str) -> list[str]:
    """The commands of a part of the page."""
    text = _PAGE.read_text(encoding="utf-8")
    section = text.split(f"## {part}\n", 1)[1].split("\n## ", 1)[0]
    found = re.findall(r"^```(console|sh)\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return [_commands(text) if language == "console" else text for language, text in found]


def _commands(console: str) -> str:
    """What is typed, without what is printed."""
    return "".join(f"{line[2:]}\n" for line in console.splitlines() if line.startswith("$ "))


class Shell:
    """A shell as the operator's: the page's commands, with the tool and `docker` on its path."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._exports = ""
        programs = served.directory / "bin"
        programs.mkdir()
        (programs / "docker").write_text(_DOCKER.format(directory=served.directory))
        tool = f'#!/bin/sh\nexec "{sys.executable}" -m fluxbase_cli "$@"\n'
        (programs / "fluxbase-cli").write_text(tool)
        for program in programs.iterdir():
            program.chmod(0o755)
        self._variables = served.command.variables()
        self._variables["PATH"] = f"{programs}:{self._variables['PATH']}"

    def run(self, commands: str) -> str:
        """Run commands; each must succeed. What they export stays."""
        # A file and not a pipe: the server that is started keeps it open.
        with (self._served.directory / "said").open("w+", encoding="utf-8") as said:
            done = subprocess.run(
                ["sh", "-ec", self._exports + commands],
                cwd=self._served.directory,
                env=self._variables,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                timeout=PATIENCE_S,
                check=False,
            )
        text = Path(said.name).read_text(encoding="utf-8")
        assert done.returncode == 0, commands + text
        self._exports += "".join(f"{line}\n" for line in commands.splitlines() if line.startswith("export "))
        return text


@pytest.fixture
def shell(served: Served) -> Shell:
    # The operator who rotates by hand has no settings of the server.
    (served.directory / "fluxbase.yaml").unlink()
    return Shell(served)


@on_both_releases
def test_the_steps_of_the_page_and_its_way_back(served: Served, shell: Shell) -> None:
    before = served.plaintexts(SERVER_KEY)
    make, export, check, stop, move, install, start, prove = blocks("Step by step")
    (go_back,) = blocks("The way back")

    shell.run(make)
    new = (served.directory / "new-key").read_text().strip()
    shell.run(export)
    said = shell.run(check)
    assert "the server has key version 1, by the configuration; version 2 is not installed in it" in said
    assert "nobody else is connected" in shell.run(stop)
    told = shell.run(move)
    assert "Put key version 2 (fingerprint" in told
    shell.run(install)
    assert served.server_key == new
    shell.run(start)
    served.works_on()

    assert served.failed_reads() == 0
    assert served.plaintexts(new) == before
    assert "No secrets found encrypted with key version 1" in shell.run(prove)

    shell.run(stop + go_back)
    served.install(SERVER_KEY)
    shell.run(start)
    served.works_on()
    assert served.failed_reads() == 0
    assert served.plaintexts(SERVER_KEY) == before
