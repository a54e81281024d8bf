"""When a rotation is due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.rotation.schedule import decide_due, parse_schedule

MONTHLY = parse_schedule("0 2 1 * *", ZoneInfo("UTC"), "the test")
WEEK = timedelta(days=7)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_a_rotation_is_due_from_the_minute_that_the_schedule_names() -> None:
    last = at("2026-10-01 02:00:03")

    before = decide_due(MONTHLY, at("2026-11-01 01:59:59"), last_rotation=last, active_since=last)
    then = decide_due(MONTHLY, at("2026-11-01 02:00:00"), last_rotation=last, active_since=last)

    assert (before.due, before.next) == (False, at("2026-11-01 02:00"))
    assert (then.due, then.date) == (True, at("2026-11-01 02:00"))
    assert then.why == "the schedule named 2026-11-01 02:00 UTC, the last rotation began at 2026-10-01 02:00 UTC"


def test_one_rotation_is_enough_after_three_missed_dates() -> None:
    late = at("2026-11-17 09:00")

    due = decide_due(MONTHLY, late, last_rotation=at("2026-08-01 02:00"), active_since=None)
    after = decide_due(MONTHLY, late + timedelta(minutes=1), last_rotation=late, active_since=late)

    assert due.due
    assert (after.due, after.next) == (False, at("2026-12-01 02:00"))


def test_a_key_is_not_rotated_before_it_reaches_the_minimum_age() -> None:
    forced = at("2026-10-30 12:00")

    young = decide_due(MONTHLY, at("2026-11-01 02:00"), last_rotation=forced, active_since=forced, min_age=WEEK)
    grown = decide_due(MONTHLY, forced + WEEK, last_rotation=forced, active_since=forced, min_age=WEEK)

    assert (young.due, young.next) == (False, forced + WEEK)
    assert young.why == "the active key is 1d14h old, and min_age is 7d"
    assert (grown.due, grown.date) == (True, at("2026-11-01 02:00"))


def test_a_key_that_came_into_use_by_hand_counts_as_a_rotation_does() -> None:
    rotated, moved = at("2026-10-01 02:00"), at("2026-11-01 11:00")

    after = decide_due(MONTHLY, at("2026-11-01 12:00"), last_rotation=rotated, active_since=moved, by_hand=True)
    first = decide_due(MONTHLY, at("2026-11-01 12:00"), last_rotation=None, active_since=moved, by_hand=True)
    earlier = decide_due(MONTHLY, at("2026-11-01 12:00"), last_rotation=moved, active_since=rotated, by_hand=True)
    later = decide_due(MONTHLY, at("2026-12-01 02:00"), last_rotation=rotated, active_since=moved, by_hand=True)

    assert (after.due, after.next) == (first.due, first.next) == (False, at("2026-12-01 02:00"))
    assert after.why == first.why == "the active key has been in use since 2026-11-01 11:00 UTC"
    assert (earlier.due, earlier.why) == (False, "the last rotation began at 2026-11-01 11:00 UTC")
    assert (later.due, later.date) == (True, at("2026-12-01 02:00"))
    assert later.why.endswith(", the active key has been in use since 2026-11-01 11:00 UTC")


def test_the_first_rotation_is_due_when_nothing_is_known_of_the_key() -> None:
    assert decide_due(MONTHLY, at("2026-11-17 09:00"), last_rotation=None, active_since=None).due
    young = decide_due(MONTHLY, at("2026-11-17 09:00"), last_rotation=None, active_since=at("2026-11-10 00:00"))
    assert not young.due


@given(
    start=st.timedeltas(timedelta(0), timedelta(days=3650)).map(lambda age: at("2020-01-01 00:00") + age),
    steps=st.lists(st.timedeltas(timedelta(minutes=1), timedelta(days=70)), max_size=40),
)
def test_after_each_check_one_rotation_covers_all_dates_since_the_last_check(
    start: datetime, steps: list[timedelta]
) -> None:
    last, now = start, start
    for step in steps:
        now += step
        dates_between = MONTHLY.last_before(now) != MONTHLY.last_before(last)
        decision = decide_due(MONTHLY, now, last_rotation=last, active_since=last)
        assert decision.due == dates_between
        if decision.due:
            last = now


def test_the_time_zone_is_the_configured_one_with_summer_time() -> None:
    berlin = parse_schedule("30 2 * * *", ZoneInfo("Europe/Berlin"), "the test")

    assert berlin.next_after(at("2026-03-27 12:00")) == at("2026-03-28 01:30")
    # On the night in which 2:30 does not exist, cron runs at 3:00.
    assert berlin.next_after(at("2026-03-28 12:00")) == at("2026-03-29 01:00")
    assert berlin.next_after(at("2026-03-29 12:00")) == at("2026-03-30 00:30")


def test_the_names_of_cron_are_known() -> None:
    assert parse_schedule("@Monthly", ZoneInfo("UTC"), "p").next_after(at("2026-11-17 09:00")) == at("2026-12-01 00:00")
    assert parse_schedule("0 4 * jan mon#1", ZoneInfo("UTC"), "p").next_after(at("2026-11-17 09:00")) == at(
        "2027-01-04 04:00"
    )


@pytest.mark.parametrize(
    ("expression", "what"),
    [
        ("61 * * * *", "bad minute"),
        ("* * * *", "it must have five fields"),
        ("0 0 2 1 * *", "it must have five fields"),
        ("@reboot", "it must have five fields"),
        ("0 0 31 2 *", "bad day-of-month"),
        ("* * * * 5#2/3", "bad day-of-week"),
    ],
)
def test_a_wrong_expression_is_refused_with_its_place_and_field(expression: str, what: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_schedule(expression, ZoneInfo("UTC"), "fluxbase.yaml: schedule")

    assert caught.value.message == f"fluxbase.yaml: schedule is not a cron expression: {what}"
