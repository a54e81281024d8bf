"""Colours, as other programs decide about them: NO_COLOR, CLICOLOR, CLICOLOR_FORCE, FORCE_COLOR, CI and TERM."""

from __future__ import annotations

from typing import Any

import pytest

from fluxbase_cli.cli.options import Options
from fluxbase_cli.color import may_redraw
from fluxbase_cli.log_events import LogEvent
from fluxbase_cli.report.messages import Messages
from fluxbase_cli.report.progress import LineProgress, TableProgress, progress_for

_VARIABLES = ("NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "FORCE_COLOR", "CI", "TERM")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A usual terminal, and no wish about colours."""
    for name in _VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    return monkeypatch


@pytest.mark.parametrize(
    ("variables", "options", "terminal", "colored"),
    [
        ({}, {}, True, True),
        ({}, {}, False, False),
        ({}, {"no_color": True}, True, False),
        ({"NO_COLOR": "1"}, {}, True, False),
        # https://no-color.org: if it is not empty, with any value.
        ({"NO_COLOR": "0"}, {}, True, False),
        ({"NO_COLOR": ""}, {}, True, True),
        ({"CLICOLOR": "0"}, {}, True, False),
        ({"CLICOLOR": "1"}, {}, False, False),
        ({"CLICOLOR_FORCE": "1"}, {}, False, True),
        ({"CLICOLOR_FORCE": "0"}, {}, False, False),
        ({"CLICOLOR": "0", "CLICOLOR_FORCE": "1"}, {}, False, True),
        ({"FORCE_COLOR": "1"}, {}, False, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, {}, True, False),
        ({"FORCE_COLOR": "1"}, {"no_color": True}, True, False),
        ({"TERM": "dumb"}, {}, True, False),
        ({"TERM": "dumb", "FORCE_COLOR": "1"}, {}, True, True),
    ],
)
def test_errors_are_coloured_where_that_is_wanted(
    environment: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variables: dict[str, str],
    options: dict[str, Any],
    *,
    terminal: bool,
    colored: bool,
) -> None:
    for name, value in variables.items():
        environment.setenv(name, value)
    environment.setattr("sys.stderr.isatty", lambda: terminal)
    Messages(color=Options(**options).color).fail(LogEvent.COMMAND_FAILED, "text")
    assert capsys.readouterr().err == ("\x1b[31mError:\x1b[0m text\n" if colored else "Error: text\n")


def test_json_is_never_coloured(environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    environment.setenv("FORCE_COLOR", "1")
    Messages(as_json=True, color=Options().color).fail(LogEvent.COMMAND_FAILED, "text")
    assert "\x1b" not in capsys.readouterr().err


@pytest.mark.parametrize(("ci", "kind"), [("", TableProgress), ("true", LineProgress)])
def test_a_table_is_not_drawn_again_and_again_into_the_log_of_a_ci_job(
    environment: pytest.MonkeyPatch, ci: str, kind: type[object]
) -> None:
    environment.setenv("CI", ci)
    environment.setattr("sys.stderr.isatty", lambda: True)
    assert type(progress_for(Messages(), color=False)) is kind


@pytest.mark.parametrize(
    ("variables", "may"), [({}, True), ({"CI": "false"}, True), ({"CI": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_who_may_draw_again(variables: dict[str, str], *, may: bool) -> None:
    assert may_redraw(variables) is may
