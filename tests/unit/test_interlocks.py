"""The interlocks, the rules that keep a key from being destroyed, one by one."""

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


def test_the_active_key_is_always_needed() -> None:
    assert len(interlocks.while_active(2, 2)) == 1
    assert interlocks.while_active(1, 2) == []


def test_one_value_that_needs_the_key_is_enough_and_its_location_is_named() -> None:
    (reason,) = interlocks.while_needed(1, [needed(found=1)], accept_undecryptable=True)
    assert "1 value opens under version 1" in reason
    assert "functions.secrets.encrypted_value 1" in reason
    assert "app.settings" not in reason
    assert interlocks.while_needed(1, [needed()], accept_undecryptable=False) == []


def test_a_value_in_another_database_counts_too_and_the_database_is_named() -> None:
    (reason,) = interlocks.while_needed(1, [needed(), needed(found=3, database="branch_a")], accept_undecryptable=False)
    assert "database branch_a" in reason


def test_undecryptable_values_are_accepted_only_with_the_option() -> None:
    (reason,) = interlocks.while_needed(1, [needed(undecryptable=2)], accept_undecryptable=False)
    assert "--accept-undecryptable" in reason
    assert interlocks.while_needed(1, [needed(undecryptable=2)], accept_undecryptable=True) == []


def test_the_second_step_needs_the_first() -> None:
    assert len(interlocks.before_it_is_disabled(1, disabled=False)) == 1
    assert interlocks.before_it_is_disabled(1, disabled=True) == []


def test_the_cooling_off_time_begins_when_the_key_is_disabled() -> None:
    assert interlocks.before_it_has_cooled_off(NOW - WEEK, WEEK, NOW) == []
    assert len(interlocks.before_it_has_cooled_off(NOW - WEEK + timedelta(seconds=1), WEEK, NOW)) == 1
    assert interlocks.before_it_has_cooled_off(None, WEEK, NOW) == []
    assert interlocks.before_it_has_cooled_off(NOW, timedelta(0), NOW) == []


def test_the_backup_horizon_keeps_the_key() -> None:
    month = timedelta(days=30)
    assert len(interlocks.before_backups_have_passed(None, NOW - WEEK, month, NOW)) == 1
    assert interlocks.before_backups_have_passed(None, NOW - month, month, NOW) == []
    assert interlocks.before_backups_have_passed(None, None, month, NOW) == []


def test_the_key_is_kept_until_the_configured_date() -> None:
    assert len(interlocks.before_backups_have_passed(NOW + WEEK, None, timedelta(0), NOW)) == 1
    assert interlocks.before_backups_have_passed(NOW, None, timedelta(0), NOW) == []


def test_only_the_fingerprint_of_the_key_confirms() -> None:
    assert interlocks.unless_confirmed("58352c770942498e", "58352C770942498E ") == []
    assert interlocks.unless_confirmed("58352c770942498e", None) == []
    (reason,) = interlocks.unless_confirmed("58352c770942498e", "5fbbcb26efd25aa5")
    assert "58352c770942498e" in reason
