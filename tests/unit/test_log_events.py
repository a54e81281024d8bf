"""The names of messages (docs/operators/log-events.md): the page, the names and the calls agree."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from fluxbase_cli.cli.options import wants_json
from fluxbase_cli.log_events import LogEvent

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/operators/log-events.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `([a-z.-]+)` \|([^|]*)\| [^|]+ \|$", re.MULTILINE)
#: Written only if a message has them, or on every message of a database or an instance.
ADDED = frozenset({"hint", "exit_code", "instance", "database"})


def _sources() -> Iterator[str]:
    """The text of each file that names messages."""
    for path in (ROOT / "fluxbase_cli").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if "LogEvent." in text and path.name != "log_events.py":
            yield text


def _calls() -> Iterator[tuple[str, ast.Call]]:
    """Each call whose first argument is the name of a message, and that name's attribute."""
    for text in _sources():
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            first = node.args[0]
            # A name may be one of two.
            for part in (first.body, first.orelse) if isinstance(first, ast.IfExp) else (first,):
                if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.value.id == "LogEvent":
                    yield part.attr, node


def _fields(call: ast.Call) -> set[str]:
    given = {keyword.arg for keyword in call.keywords if keyword.arg}
    for keyword in call.keywords:
        if keyword.arg == "fields" and isinstance(keyword.value, ast.Dict):
            given |= {key.value for key in keyword.value.keys if isinstance(key, ast.Constant)}  # type: ignore[misc]
    return {str(name) for name in given} - {"warning", "fields"}


def test_the_page_lists_every_name_once_and_no_other() -> None:
    assert sorted(name for name, _ in ROW.findall(PAGE)) == sorted(LogEvent)


def test_every_name_is_given_to_a_message() -> None:
    used = {name for text in _sources() for name in re.findall(r"\bLogEvent\.([A-Z_]+)", text)}

    assert used == set(LogEvent.__members__)


def test_the_fields_of_a_message_are_those_of_the_page() -> None:
    listed = {name: set(re.findall(r"`(\w+)`", fields)) for name, fields in ROW.findall(PAGE)}
    found: dict[str, set[str]] = defaultdict(set)
    for name, call in _calls():
        found[LogEvent[name].value] |= _fields(call)
    # These are made elsewhere: see `quarantine` in report/json_report.py.
    found["value.left"] |= {"location", "id", "path", "reason"}
    # Given with the message of an instance.
    found["instance.ended"] |= {"outcome"}

    assert {name: fields - ADDED for name, fields in listed.items()} == {name: found[name] - ADDED for name in LogEvent}


@pytest.mark.parametrize(
    ("arguments", "variable", "expected"),
    [
        (["--log-format", "json", "x"], "", True),
        (["x", "--log-format=json"], "text", True),
        (["x", "--log-format=text", "--log-format", "json"], "", True),
        (["x", "--log-format", "json", "--log-format=text"], "json", False),
        (["x"], "json", True),
        (["x"], "", False),
        (["x", "--log-format"], "", False),
    ],
)
def test_the_form_of_messages_is_known_before_the_command_line_is_read(
    arguments: list[str],
    variable: str,
    expected: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    assert wants_json(arguments, {"FLUXBASE_CLI_LOG_FORMAT": variable}) is expected
