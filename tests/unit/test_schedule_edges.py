"""Edge cases of the schedule: the exact time of a date, other time zones, no date at all, and each named expression."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.moments import moment_text
from fluxbase_cli.rotation import schedule
from fluxbase_cli.rotation.schedule import DueDecision, decide_due, parse_schedule

NEW_YORK = ZoneInfo("America/New_York")
MONTHLY = parse_schedule("0 2 1 * *", ZoneInfo("UTC"), "the test")
FIRST = datetime(2026, 11, 1, 2, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def machine_in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("machine_in_tokyo")
def test_the_time_zone_of_the_machine_does_not_matter() -> None:
    daily = parse_schedule("0 2 * * *", NEW_YORK, "the test")
    noon = datetime(2026, 7, 1, 12, tzinfo=UTC)

    following, before = daily.next_after(noon), daily.last_before(noon)

    assert (following, before) == (datetime(2026, 7, 2, 6, tzinfo=UTC), datetime(2026, 7, 1, 6, tzinfo=UTC))
    assert following is not None
    assert before is not None
    assert following.tzinfo is before.tzinfo is UTC
    assert moment_text(datetime(2026, 7, 1, 2, tzinfo=NEW_YORK)) == "2026-07-01 06:00 UTC"


def test_a_fraction_of_a_second_after_the_date_is_after_it() -> None:
    assert MONTHLY.last_before(FIRST + timedelta(microseconds=1)) == FIRST
    assert MONTHLY.last_before(FIRST - timedelta(microseconds=1)) == datetime(2026, 10, 1, 2, tzinfo=UTC)


def test_a_schedule_without_any_date_gives_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "CronSim", lambda *_arguments, **_options: iter(()))
    assert MONTHLY.next_after(FIRST) is None
    assert MONTHLY.last_before(FIRST) is None
    assert decide_due(MONTHLY, FIRST, last_rotation=None, active_since=None) == DueDecision(
        due=False, why="no rotation is recorded yet"
    )


def test_a_rotation_at_exactly_the_date_counts_for_that_date() -> None:
    assert decide_due(MONTHLY, FIRST + DAY, last_rotation=FIRST, active_since=None) == DueDecision(
        due=False,
        why="the last rotation began at 2026-11-01 02:00 UTC",
        next=datetime(2026, 12, 1, 2, tzinfo=UTC),
    )


def test_if_nothing_else_is_known_the_age_of_a_key_counts_from_the_last_rotation() -> None:
    rotated = FIRST - DAY
    decision = decide_due(MONTHLY, FIRST, last_rotation=rotated, active_since=None, min_age=7 * DAY)
    assert decision == DueDecision(
        due=False,
        why="the active key is 1d old, and min_age is 7d",
        date=FIRST,
        next=rotated + 7 * DAY,
    )
    # If the time since which the key is active is known, it counts.
    decision = decide_due(MONTHLY, FIRST, last_rotation=rotated, active_since=FIRST - 8 * DAY, min_age=7 * DAY)
    assert (decision.due, decision.date) == (True, FIRST)


def test_an_invalid_schedule_is_refused_with_the_field_and_an_example(monkeypatch: pytest.MonkeyPatch) -> None:
    hint = 'Five fields, minute hour day month weekday: "0 2 1 * *" is 2 o\'clock on the first of each month.'
    for text, what in (("0 2 1 *", "it must have five fields"), ("61 2 1 * *", "bad minute")):
        with pytest.raises(ConfigurationError) as error:
            parse_schedule(text, NEW_YORK, "schedule")
        assert (error.value.message, error.value.hint) == (f"schedule is not a cron expression: {what}", hint)

    def refuse(*_arguments: object) -> None:
        raise AssertionError

    monkeypatch.setattr(schedule, "CronSim", refuse)
    with pytest.raises(ConfigurationError, match=r"^schedule is not a cron expression: unknown form$"):
        parse_schedule("0 2 1 * *", NEW_YORK, "schedule")


def test_names_are_stored_in_one_form() -> None:
    assert parse_schedule(" 0 2 * * mon ", NEW_YORK, "schedule").expression == "0 2 * * MON"
    assert parse_schedule("@Daily", NEW_YORK, "schedule").expression == "0 0 * * *"
