"""The help of all commands: what a newcomer stumbles over in 80 columns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.main import get_command

from fluxbase_cli.cli.app import make_app
from fluxbase_cli.cli.durations import as_time, seconds
from fluxbase_cli.cli.options import CHECK_OUTPUTS, LIST_OUTPUTS, OUTPUTS

_WIDTH = 80


def _contexts(context: Any) -> Iterator[Any]:
    yield context
    for name, each in getattr(context.command, "commands", {}).items():
        yield from _contexts(type(context)(each, info_name=name, parent=context))


def _all() -> list[Any]:
    root: Any = get_command(make_app())
    return list(
        _contexts(
            root.make_context(
                "fluxbase-cli", [], resilient_parsing=True, terminal_width=_WIDTH, max_content_width=_WIDTH
            )
        )
    )


_CONTEXTS = _all()
#: The help of each command, by its words.
_HELP = {context.command_path: context.command.get_help(context) for context in _CONTEXTS}


def _options() -> list[tuple[str, Any]]:
    return [
        (f"{context.command_path} {max(each.opts, key=len)}", each)
        for context in _CONTEXTS
        for each in context.command.params
        if each.param_type_name == "option"
    ]


@pytest.mark.parametrize("command", _HELP)
def test_the_help_fits_80_columns_and_cuts_no_summary(command: str) -> None:
    lines = _HELP[command].splitlines()
    assert [line for line in lines if len(line) > _WIDTH] == []
    assert [line for line in lines if re.match(r"  [a-z-]+ {2,}.*(\.\.\.|…)$", line)] == []


@pytest.mark.parametrize("command", _HELP)
def test_no_option_is_broken_at_a_hyphen(command: str) -> None:
    assert re.findall(r"(?<![\w-])--[a-z][a-z-]*-$", _HELP[command], re.MULTILINE) == []


@pytest.mark.parametrize("command", _HELP)
def test_the_usage_names_arguments_without_braces(command: str) -> None:
    assert "{" not in _HELP[command].partition("\n\n")[0]


def test_every_default_of_a_length_of_time_has_a_unit_and_is_what_the_option_accepts() -> None:
    times = [(name, each) for name, each in _options() if each.metavar == "TIME" and each.default is not None]
    assert len(times) > 8
    for name, option in times:
        assert re.fullmatch(r"([0-9]+(ms|[smhd]))+", str(option.default)), name
        assert as_time(option.type.func(option.default)) == option.default, name
    # What is no length of time but has a fraction would be one that forgot the metavar.
    assert [name for name, each in _options() if isinstance(each.default, float)] == []


@pytest.mark.parametrize(
    ("length_s", "text"),
    [(86_400.0, "24h"), (0.1, "100ms"), (120.0, "2m"), (90.0, "1m30s"), (0.0, "0s"), (604_800, "7d")],
)
def test_a_length_of_time_is_written_with_units(length_s: float, text: str) -> None:
    assert as_time(length_s) == text
    assert seconds("--x", most=1e9)(text) == length_s


@pytest.mark.parametrize(
    ("command", "forms"),
    [
        ("secrets re-encrypt", OUTPUTS),
        ("secrets rollback", OUTPUTS),
        ("config check", OUTPUTS),
        ("secrets pause", OUTPUTS),
        ("secrets list", LIST_OUTPUTS),
        ("security check", CHECK_OUTPUTS),
    ],
)
def test_the_forms_of_output_are_those_that_the_command_takes(command: str, forms: frozenset[str]) -> None:
    text = _HELP[f"fluxbase-cli {command}"]
    (shown,) = re.findall(r"--output \[([a-z|]+)\]", text)
    assert set(shown.split("|")) == set(forms)
    assert ("With --fleet" in text.partition("--output")[2][:150]) == (
        command in {"secrets re-encrypt", "secrets rollback", "config check"}
    )


def test_the_help_of_reports_shows_verify() -> None:
    for command in ("report", "secrets report"):
        assert re.search(r"\nCommands:\n  verify +\w", _HELP[f"fluxbase-cli {command}"]), command


@pytest.mark.parametrize("name", ["--older-than", "--newer-than", "--plan-valid"])
def test_a_long_time_without_a_unit_is_refused_with_the_units(name: str) -> None:
    parse = next(each.type.func for place, each in _options() if place.endswith(name))
    with pytest.raises(typer.BadParameter, match=r"'3' has no unit\. Write ms, s, m, h, d or w"):
        parse("3")
    assert parse("3d") == 259_200.0
