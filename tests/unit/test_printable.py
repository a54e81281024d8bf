"""Texts from outside can neither begin a line of their own nor be obeyed by the terminal, wherever they are printed."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import fluxbase_cli
from fluxbase_cli.cli.options import Options, Output
from fluxbase_cli.cli.output import print_result
from fluxbase_cli.engine.events import PassStarted
from fluxbase_cli.log_events import LogEvent
from fluxbase_cli.printable import Lines, as_printed, joined, lines, printable, to_printable_json
from fluxbase_cli.report.json_report import to_yaml
from fluxbase_cli.report.live_table import live_lines
from fluxbase_cli.report.messages import Messages
from fluxbase_cli.report.progress_state import ProgressState
from fluxbase_cli.report.table import paragraph, table
from fluxbase_cli.streams import guarded_streams, own

#: A forged line, an OSC sequence, a C1 control, an override of the direction, and a lone surrogate.
_HOSTILE = "a\nError: forged\x1b]0;title\x07\x9b2J\u202e\u200b\ud800é"
_SHOWN = r"a\nError: forged\x1b]0;title\x07\x9b2J\u202e\u200b\ud800é"


def test_all_characters_that_a_terminal_obeys_or_does_not_show_are_escaped() -> None:
    assert printable(_HOSTILE) == _SHOWN
    assert printable("Größe 表 ✓ […]") == "Größe 表 ✓ […]"
    assert printable("a\ufe0f\u3164") == r"a\ufe0f\u3164"


@given(st.text(st.characters(exclude_categories=[])))
def test_no_text_is_printed_on_more_than_one_line_or_with_a_control_character(text: str) -> None:
    shown = printable(text)

    assert len(shown.splitlines()) <= 1
    assert shown.isprintable()
    assert printable(shown) == shown


@given(st.text(st.characters(exclude_categories=[])))
def test_json_and_yaml_stay_valid_and_give_back_the_same_text(text: str) -> None:
    as_json, as_yaml = to_printable_json({"text": text}, indent=2), to_yaml({"text": text})

    assert json.loads(as_json)["text"] == text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    assert all(line.isprintable() for line in as_json.split("\n"))
    assert yaml.safe_load(as_yaml)["text"] == text
    assert all(line.isprintable() for line in as_yaml.split("\n"))


def test_only_lines_that_the_program_has_joined_end_where_they_say() -> None:
    hint = lines(("run", f"  SET ROLE {_HOSTILE}"))

    assert hint == f"run\n  SET ROLE {_SHOWN}"
    assert as_printed(hint) == hint
    # A text that is made of it elsewhere is an ordinary text again: rather ugly than forged.
    assert as_printed(f"{hint}") == hint.replace("\n", r"\n")
    assert joined("x\n", Lines("y\n")) == "x\\ny\n"
    assert yaml.safe_load(to_yaml({"remedy": hint}))["remedy"] == hint


def test_results_and_messages_are_printed_without_what_a_terminal_obeys(capsys: pytest.CaptureFixture[str]) -> None:
    data: dict[str, Any] = {"name": _HOSTILE.replace("\ud800", "")}
    print_result(Options(), data, [_HOSTILE, *table(("NAME",), [(_HOSTILE,)])])
    assert capsys.readouterr().out.splitlines() == [_SHOWN, "NAME", _SHOWN]
    for output in (Output.JSON, Output.YAML):
        print_result(Options(output=output), data, ())
        written = capsys.readouterr().out
        assert all(line.isprintable() for line in written.splitlines())
        assert yaml.safe_load(written) == data

    for as_json in (False, True):
        messages = Messages(as_json=as_json)
        messages.tell(LogEvent.KEY_WARNING, _HOSTILE)
        messages.warn(LogEvent.KEY_WARNING, _HOSTILE, where=_HOSTILE)
        messages.fail(LogEvent.COMMAND_FAILED, _HOSTILE, _HOSTILE)
        written = capsys.readouterr().err
        assert len(written.splitlines()) == (3 if as_json else 4)
        assert all(line.isprintable() for line in written.splitlines())
        if as_json:
            assert {json.loads(line)["message"] for line in written.splitlines()} == {_SHOWN}


def test_the_live_view_shows_names_escaped() -> None:
    state = ProgressState()
    state.apply(PassStarted(0, {_HOSTILE: 5}, {}))

    shown = live_lines(state, 200, 24)

    assert any(_SHOWN in line for line in shown)
    assert all(line.isprintable() for line in shown)


def test_a_paragraph_is_escaped_and_loses_no_word() -> None:
    shown = list(paragraph(f"{_HOSTILE} " * 10, "! ", "  "))

    assert all(line.isprintable() for line in shown)
    assert "".join(shown).count("forged") == 10


def test_what_others_print_is_escaped_too_and_our_own_colours_are_not(capfd: pytest.CaptureFixture[str]) -> None:
    """For example the option parser, which quotes the command line."""
    with guarded_streams():
        print("wrong: \x1b[2J\nUsage:\tx", file=sys.stderr)  # noqa: T201  # what the test is about
        print("\x1b[31mError:\x1b[0m", file=own(sys.stderr))

    assert capfd.readouterr().err == "wrong: \\x1b[2J\nUsage:\tx\n\x1b[31mError:\x1b[0m\n"


def test_a_stream_that_was_closed_meanwhile_can_be_flushed(capfd: pytest.CaptureFixture[str]) -> None:
    """Python does that when it removes the object, and since 3.13 it reports the error."""
    underneath = io.TextIOWrapper(io.BytesIO())
    before, sys.stdout = sys.stdout, underneath
    try:
        with guarded_streams():
            ours = sys.stdout
    finally:
        sys.stdout = before
    underneath.close()

    ours.flush()

    assert capfd.readouterr().err == ""


def test_nothing_is_printed_by_another_way() -> None:
    """A new place that prints must use `as_printed` or `as_shown`."""
    printing: dict[str, int] = {}
    folder = Path(fluxbase_cli.__file__).parent
    for path in folder.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        found = re.findall(r"(?<![\w.])print\((?!as_printed\(|as_shown\()|\becho\(|\.(?:stdout|stderr)\.write", text)
        if found:
            printing[str(path.relative_to(folder))] = len(found)

    assert printing == {
        # The program's own version, help and exit codes.
        "cli/app.py": 3,
        # Line ends behind questions.
        "cli/ask.py": 2,
        # A completion script of our own.
        "cli/completion/command.py": 1,
        # A traceback, which has lines: the guarded stream escapes it.
        "cli/finish.py": 1,
        # Through `as_printed`.
        "report/messages.py": 1,
    }
