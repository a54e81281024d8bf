"""The report on a fleet: the worst exit code, one line for each instance, and their messages while they run."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from fluxbase_cli.fleet.file import Instance
from fluxbase_cli.fleet.outcome import FleetResult, InstanceResult, worst
from fluxbase_cli.fleet.run import InstanceMessage
from fluxbase_cli.report.fleet import FleetMessages, fleet_data, fleet_lines
from fluxbase_cli.report.messages import Messages

_WORST_FIRST = [143, 130, 1, 6, 2, 5, 3, 4, 0]
_JOB: dict[str, Any] = {"state": "completed", "scanned": 10, "re_encrypted": 7, "already_current": 3}


def instance(name: str = "eu") -> Instance:
    return Instance(name, Path(f"/srv/{name}/fluxbase.yaml"), Path(f"/srv/{name}"))


def ended(code: int | None, result: dict[str, Any] | None = None, error: str | None = None) -> InstanceResult:
    return InstanceResult(instance(), code, 2.4, result, error)


def test_the_worst_code_is_the_one_that_leaves_most_to_do() -> None:
    for better, worse in itertools.combinations(reversed(_WORST_FIRST), 2):
        assert worst([better, worse]) == worst([worse, better]) == worse
    assert worst([]) == 0
    # Killed, or a code that the tool does not use.
    assert worst([137, 6]) == worst([7, 6]) == 1


@pytest.mark.parametrize(
    ("codes", "signal", "expected"),
    [
        ([0, 143, None], 2, 130),
        ([0, 137], 15, 143),
        ([0, 0], 15, 0),
        ([0, 3], 15, 3),
        ([0, 143], None, 143),
    ],
)
def test_a_signal_decides_the_code_where_it_interrupted_something(
    codes: list[int | None], signal: int | None, expected: int
) -> None:
    assert FleetResult(tuple(ended(code) for code in codes), signal).exit_code == expected


@pytest.mark.parametrize(
    ("command", "result", "line"),
    [
        ("secrets re-encrypt", ended(0, _JOB), "✓ eu: scanned 10, re-encrypted 7, already current 3, 2s"),
        (
            "secrets rollback",
            ended(4, {**_JOB, "undecryptable": 2}),
            "! eu: exit 4: scanned 10, re-encrypted 7, already current 3, undecryptable 2, 2s",
        ),
        (
            "secrets re-encrypt",
            ended(143, {**_JOB, "state": "interrupted"}, "interrupted; run the same command again"),
            "✗ eu: exit 143: interrupted; run the same command again (scanned 10, re-encrypted 7, already current 3)",
        ),
        ("secrets audit", ended(1, None, "no connection"), "✗ eu: exit 1: no connection"),
        (
            "secrets audit",
            ended(3, {"key_version": 1, "found": 5}),
            "✗ eu: exit 3: 5 secrets found encrypted with key version 1, 2s",
        ),
        ("secrets re-encrypt", ended(None, None, "not started"), "- eu: not started"),
        ("another command", ended(0, {"a": 1}), "✓ eu: 2s"),
    ],
)
def test_the_line_of_an_instance_says_how_it_ended(command: str, result: InstanceResult, line: str) -> None:
    assert next(iter(fleet_lines(command, FleetResult((result,))))) == line


def test_the_summary_counts_by_outcome() -> None:
    result = FleetResult(tuple(ended(code) for code in (0, 1, 0, 137, None, 130)), 2)

    assert list(fleet_lines("secrets audit", result))[-1] == (
        "6 instances: 2 done, 1 failed, 1 interrupted, 1 killed, 1 not started"
    )
    data = fleet_data("secrets audit", result)
    assert (data["done"], data["failed"], data["exit_code"]) == (2, 4, 130)


# --- while instances run ----------------------------------------------------------------------------------------------


def test_each_line_of_a_message_begins_with_the_instances_name(capsys: pytest.CaptureFixture[str]) -> None:
    messages = FleetMessages(Messages())

    messages.heard(instance(), InstanceMessage("info", "Now set:\n\n    a: 1\x1b[2J\n", {}))
    messages.heard(instance(), InstanceMessage("warning", "look", {}))
    messages.heard(instance(), InstanceMessage("error", "no", {"hint": "do\nthis\x07"}))

    assert capsys.readouterr().err == (
        "eu: Now set:\neu: \neu:     a: 1\\x1b[2J\nWarning: eu: look\nError: eu: no\ndo\nthis\\x07\n"
    )


def test_as_json_the_name_is_a_field(capsys: pytest.CaptureFixture[str]) -> None:
    messages = FleetMessages(Messages(as_json=True))

    messages.heard(instance(), InstanceMessage("warning", "look", {"event": "value.left", "location": "a.b.c"}))
    messages.heard(instance(), InstanceMessage("error", "no", {"hint": "do"}))

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    for each in lines:
        del each["time"]
    assert lines == [
        {"level": "warning", "event": "value.left", "message": "look", "location": "a.b.c", "instance": "eu"},
        {"level": "error", "event": "instance.output", "message": "no", "hint": "do", "instance": "eu"},
    ]


def test_many_instances_do_not_flood_the_output_with_progress(capsys: pytest.CaptureFixture[str]) -> None:
    """Every instance reports its progress every five seconds."""
    now = [0.0]
    messages = FleetMessages(Messages(), clock=lambda: now[0])
    messages.started(instance())
    for second in range(5, 125, 5):
        now[0] = float(second)
        messages.heard(instance(), InstanceMessage("info", f"{second}% done", {"event": "job.progress"}))

    assert capsys.readouterr().err.splitlines() == [
        "eu: started",
        "eu: 30% done",
        "eu: 60% done",
        "eu: 90% done",
        "eu: 120% done",
    ]
