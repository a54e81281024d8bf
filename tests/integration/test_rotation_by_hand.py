"""The schedule counts what people did by hand: a key that they made, and values that they moved to it."""

from __future__ import annotations

import secrets

import pytest

from tests.fixtures.fluxbase import Fluxbase
from tests.fixtures.rotating import Rotating

_MOVE = ("secrets", "re-encrypt", "--yes")


@pytest.fixture
def by_hand(rotating: Rotating) -> Rotating:
    """The schedule names every minute, so only the age of the active key can forbid a rotation."""
    rotating.change('schedule: "0 2 1 * *"', 'schedule: "* * * * *"\n      min_age: 7d')
    return rotating


def activate(rotating: Rotating, version: int) -> None:
    """Add the entry of a key and make it active, as a person does."""
    entry = f'      - {{version: {version}, key: "{{{{ vault `{rotating.vault.mount}/keys/v{version}` }}}}"}}\n'
    rotating.change("    key_destruction:", f"{entry}    key_destruction:")
    rotating.change(f"active_key_version: {version - 1} ", f"active_key_version: {version} ")


def move(rotating: Rotating, version: int, *, hours_ago: int) -> None:
    """Move the values to a version. The job ended some hours ago."""
    assert rotating.command(*_MOVE, "--to-version", str(version)).code == 0
    ended(rotating, hours_ago)


def ended(rotating: Rotating, hours_ago: int) -> None:
    """Let the newest job have ended some hours ago."""
    rotating.rows(
        "UPDATE fluxbase_rotation.job SET finished_at = now() - make_interval(hours => %s)"
        " WHERE id = (SELECT max(id) FROM fluxbase_rotation.job)",
        hours_ago,
    )


def nothing_is_due(rotating: Rotating, why: str) -> None:
    """Check that a plan says so and why, and that a run changes nothing."""
    before, keys = rotating.file, rotating.keys()
    values = Fluxbase(rotating.rotation.url).everything(keys)

    plan = rotating.command("rotation", "plan")
    run = rotating.command("rotation", "run")

    assert (plan.code, run.code) == (0, 0), plan.all + run.all
    assert f"Not due: {why}" in plan.stdout
    assert why in run.all
    assert (rotating.file, rotating.keys()) == (before, keys)
    assert Fluxbase(rotating.rotation.url).everything(keys) == values


def test_nothing_is_due_after_values_were_moved_by_hand_though_no_rotation_is_recorded(by_hand: Rotating) -> None:
    by_hand.vault.put("keys/v2", key=secrets.token_hex(32))
    activate(by_hand, 2)
    assert by_hand.command("rotation", "plan").code == 3

    move(by_hand, 2, hours_ago=1)

    nothing_is_due(by_hand, "the active key is 1h old, and min_age is 7d")


def test_nothing_is_due_after_values_were_moved_by_hand_since_the_last_rotation(by_hand: Rotating) -> None:
    assert by_hand.command("rotation", "run").code == 0
    ended(by_hand, 24 * 40)
    by_hand.rows("UPDATE fluxbase_rotation.rotation SET started_at = started_at - interval '40 days'")
    by_hand.rows("UPDATE fluxbase_rotation.rotation_step SET finished_at = finished_at - interval '40 days'")
    by_hand.vault.put("keys/v3", key=secrets.token_hex(32))
    by_hand.change("active_key_version: 2 ", "active_key_version: 3 ")
    entry = f'      - {{version: 3, key: "{{{{ vault `{by_hand.vault.mount}/keys/v3` }}}}"}}\n'
    by_hand.change("    key_destruction:", f"{entry}    key_destruction:")
    assert by_hand.command("rotation", "plan").code == 3

    move(by_hand, 3, hours_ago=2)

    nothing_is_due(by_hand, "the active key is 2h old, and min_age is 7d")


def test_nothing_is_due_after_a_key_was_made_by_hand(by_hand: Rotating) -> None:
    made = by_hand.command("keys", "generate", "--store")
    assert made.code == 0, made.all
    activate(by_hand, 2)

    nothing_is_due(by_hand, "the active key ")


def test_moving_stragglers_to_an_old_key_does_not_make_it_young(by_hand: Rotating) -> None:
    """Who re-encrypts every night would otherwise never get a new key."""
    by_hand.vault.put("keys/v2", key=secrets.token_hex(32))
    activate(by_hand, 2)
    move(by_hand, 2, hours_ago=24 * 40)

    move(by_hand, 2, hours_ago=1)

    assert by_hand.command("rotation", "plan").code == 3


def test_values_that_came_back_to_a_version_count_from_then_on(by_hand: Rotating) -> None:
    """They were moved to version 2, rolled back, and an hour ago moved to version 2 again."""
    by_hand.vault.put("keys/v2", key=secrets.token_hex(32))
    activate(by_hand, 2)
    move(by_hand, 2, hours_ago=24 * 40)
    rolled = by_hand.command("secrets", "rollback", "--yes", "--to-version", "1", "--reason", "the server is too old")
    assert rolled.code == 0, rolled.all
    ended(by_hand, 24)

    # Version 1 is older than any record, and a rollback to it does not make it young.
    by_hand.change("active_key_version: 2 ", "active_key_version: 1 ")
    assert by_hand.command("rotation", "plan").code == 3
    by_hand.change("active_key_version: 1 ", "active_key_version: 2 ")
    move(by_hand, 2, hours_ago=1)

    nothing_is_due(by_hand, "the active key is 1h old, and min_age is 7d")
