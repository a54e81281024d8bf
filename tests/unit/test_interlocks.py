"""The rules that keep a key from being destroyed, one by one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from fluxbase_cli.keys import interlocks
from fluxbase_cli.keys.interlocks import NeededBy

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
WEEK = timedelta(days=7)


def needed(found: int = 0, undecryptable: int = 0, database: str = "main") -> NeededBy:
    return NeededBy(
        database, {"functions.secrets.encrypted_value": found, "app.settings.encrypted_value": 0}, undecryptable
    )


def test_the_active_key_is_needed_by_definition() -> None:
    assert len(interlocks.while_active(2, 2)) == 1
    assert interlocks.while_active(1, 2) == []


def test_a_single_value_that_needs_it_is_enough_and_is_named_with_its_place() -> None:
    (reason,) = interlocks.while_needed(1, [needed(found=1)], accept_undecryptable=True)
    assert "1 value opens under version 1" in reason
    assert "functions.secrets.encrypted_value 1" in reason
    assert "app.settings" not in reason
    assert interlocks.while_needed(1, [needed()], accept_undecryptable=False) == []


def test_a_value_in_a_database_beside_it_counts_too_and_the_database_is_named() -> None:
    (reason,) = interlocks.while_needed(1, [needed(), needed(found=3, database="branch_a")], accept_undecryptable=False)
    assert "database branch_a" in reason


def test_values_that_nothing_opens_are_accepted_only_when_that_is_said() -> None:
    (reason,) = interlocks.while_needed(1, [needed(undecryptable=2)], accept_undecryptable=False)
    assert "--accept-undecryptable" in reason
    assert interlocks.while_needed(1, [needed(undecryptable=2)], accept_undecryptable=True) == []


def test_the_second_step_needs_the_first() -> None:
    assert len(interlocks.before_it_is_disabled(1, disabled=False)) == 1
    assert interlocks.before_it_is_disabled(1, disabled=True) == []


def test_the_cooling_off_time_runs_from_the_moment_at_which_it_was_disabled() -> None:
    assert interlocks.before_it_has_cooled_off(NOW - WEEK, WEEK, NOW) == []
    assert len(interlocks.before_it_has_cooled_off(NOW - WEEK + timedelta(seconds=1), WEEK, NOW)) == 1
    assert interlocks.before_it_has_cooled_off(None, WEEK, NOW) == []
    assert interlocks.before_it_has_cooled_off(NOW, timedelta(0), NOW) == []


def test_backups_keep_it_for_as_long_as_they_reach_back() -> None:
    month = timedelta(days=30)
    assert len(interlocks.before_backups_have_passed(None, NOW - WEEK, month, NOW)) == 1
    assert interlocks.before_backups_have_passed(None, NOW - month, month, NOW) == []
    assert interlocks.before_backups_have_passed(None, None, month, NOW) == []


def test_a_date_to_keep_it_until_is_kept() -> None:
    assert len(interlocks.before_backups_have_passed(NOW + WEEK, None, timedelta(0), NOW)) == 1
    assert interlocks.before_backups_have_passed(NOW, None, timedelta(0), NOW) == []


def test_only_its_own_fingerprint_confirms_it() -> None:
    assert interlocks.unless_confirmed("58352c770942498e", "58352C770942498E ") == []
    assert interlocks.unless_confirmed("58352c770942498e", None) == []
    (reason,) = interlocks.unless_confirmed("58352c770942498e", "5fbbcb26efd25aa5")
    assert "58352c770942498e" in reason
