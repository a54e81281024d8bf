"""`with_fleet` adds two options to any command, and passes the given options on, of every type."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from fluxbase_cli.cli.fleet import with_fleet
from fluxbase_cli.cli.options import Options, command, root_options
from fluxbase_cli.fleet import run
from fluxbase_cli.fleet.outcome import InstanceResult


class Depth(StrEnum):
    SHALLOW = "shallow"
    DEEP = "deep"


def look(
    options: Options,
    *,
    depth: Annotated[Depth, typer.Option("--depth", "-d")] = Depth.SHALLOW,
    places: Annotated[Path | None, typer.Option("--places", envvar="LOOK_PLACES")] = None,
    only: Annotated[list[str] | None, typer.Option("--only")] = None,
    rate: Annotated[float, typer.Option("--rate")] = 1.0,
    sorted_: Annotated[bool, typer.Option("--sorted/--unsorted")] = True,
    yes: Annotated[bool, typer.Option("--yes")] = False,
) -> int:
    """Look."""
    return 0


def lines_of(folder: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str, **variables: str) -> list[str]:
    """The command line of an instance's process."""
    lines: list[list[str]] = []

    def record(self: run.FleetRun) -> tuple[InstanceResult, ...]:
        lines.append(list(self._line))
        return ()

    monkeypatch.setattr(run.FleetRun, "run", record)
    (folder / "fluxbase.yaml").touch()
    (folder / "fleet.yaml").write_text("instances:\n- {name: eu, config: fluxbase.yaml}\n")
    monkeypatch.chdir(folder)
    app = typer.Typer()
    app.callback()(root_options(lambda: None))
    app.command("look")(command(with_fleet(look)))
    done = CliRunner().invoke(app, arguments, env=variables)
    assert done.exit_code == 0, done.output
    return lines[0]


def test_given_options_are_passed_on_as_they_were_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = lines_of(
        tmp_path,
        monkeypatch,
        *("--debug", "look", "--fleet", "fleet.yaml", "-d", "deep", "--only", "-a", "--only", "b c", "--unsorted"),
        *("-o", "yaml", "--quiet"),
        LOOK_PLACES="places.yaml",
    )

    assert line == [
        *(sys.executable, "-P", "-m", "fluxbase_cli.cli.instance", "look"),
        # Relative to our working directory, not to that of the instance.
        *("--depth=deep", f"--places={tmp_path / 'places.yaml'}", "--only=-a", "--only=b c", "--unsorted"),
        *("--yes", "--debug", "--output=json", "--log-format=json"),
    ]


def test_options_that_were_not_given_are_left_to_the_instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = lines_of(tmp_path, monkeypatch, "look", "--fleet", "fleet.yaml", "--parallel", "2")

    assert line[4:] == ["look", "--yes", "--output=json", "--log-format=json"]
