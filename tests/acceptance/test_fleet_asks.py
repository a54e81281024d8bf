"""`--fleet FILE`: when does the command ask the operator on a terminal, and how often?"""

from __future__ import annotations

import pytest

from tests.fixtures.fleet import AUDIT, RE_ENCRYPT, FleetBed, touched


def test_on_a_terminal_it_asks_once_for_all_instances(fleet: FleetBed) -> None:
    members = [fleet.add(name, values=20) for name in ("eu", "us")]

    refused = fleet.command.on_terminal(*RE_ENCRYPT, width=200, answers=[("Go ahead?", "n")])
    begun = [touched(member) for member in members]
    taken = fleet.command.on_terminal(*RE_ENCRYPT, width=200, answers=[("Go ahead?", "y")])

    assert refused.code == 130
    assert "Instances: 2, 2 at a time" in refused.stdout
    assert "Command:   secrets re-encrypt --from-version=1 --to-version=2" in refused.stdout
    assert str(members[1].folder / "fluxbase.yaml") in refused.stdout
    assert "Cancelled. Nothing was changed." in refused.stdout
    assert begun == [False, False]
    assert taken.code == 0
    assert taken.stdout.count("Go ahead?") == 1
    assert "2 instances: 2 done" in taken.stdout


@pytest.mark.parametrize("arguments", [(*RE_ENCRYPT, "--yes"), (*RE_ENCRYPT, "--dry-run"), AUDIT])
def test_it_does_not_ask_when_the_answer_is_given_or_nothing_is_written(
    fleet: FleetBed, arguments: tuple[str, ...]
) -> None:
    fleet.add("eu", values=20)

    outcome = fleet.command.on_terminal(*arguments)

    assert "Go ahead?" not in outcome.stdout
    assert "1 instance: 1 " in outcome.stdout
