"""Durations in the configuration."""

from __future__ import annotations

from datetime import timedelta

import pytest

from fluxbase_cli.duration import format_duration, parse_duration, parse_seconds
from fluxbase_cli.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("7d", timedelta(days=7)),
        ("90s", timedelta(seconds=90)),
        ("30m", timedelta(minutes=30)),
        (" 12H ", timedelta(hours=12)),
        ("2w", timedelta(weeks=2)),
        ("1d12h", timedelta(hours=36)),
        ("1d 12h", timedelta(hours=36)),
        ("0", timedelta(0)),
        ("0s", timedelta(0)),
        ("1.5h", timedelta(minutes=90)),
        ("500ms", timedelta(milliseconds=500)),
        ("2min", timedelta(minutes=2)),
        ("1m 500ms", timedelta(seconds=60.5)),
    ],
)
def test_a_number_and_a_unit_are_a_duration(text: str, length: timedelta) -> None:
    assert parse_duration(text) == length


@pytest.mark.parametrize("text", ["", " ", "7", "d", "-7d", "7 days", "1.5", "1,5d", ".5d", "1e3s", "7y", "7d!", "٣d"])
def test_any_other_text_is_refused_with_its_place_and_never_quoted(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_duration(text, "fluxbase.yaml: min_age")

    assert caught.value.message == "fluxbase.yaml: min_age is not a length of time"
    assert "7d" in (caught.value.hint or "")


def test_a_duration_too_long_for_a_date_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="longer than 100 years"):
        parse_duration("999999999w")


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(days=7), "7d"),
        (timedelta(hours=36), "1d12h"),
        (timedelta(days=1, seconds=5), "1d"),
        (timedelta(seconds=45), "45s"),
        (timedelta(milliseconds=300), "0s"),
        (timedelta(minutes=90), "1h30m"),
    ],
)
def test_a_duration_is_written_in_its_two_largest_units(length: timedelta, text: str) -> None:
    assert format_duration(length) == text


@pytest.mark.parametrize(
    ("text", "seconds"), [("120", 120.0), ("0.5", 0.5), ("2m", 120.0), ("1m30s", 90.0), ("0", 0.0)]
)
def test_an_option_takes_the_same_forms_and_a_number_of_seconds(text: str, seconds: float) -> None:
    assert parse_seconds(text, "--patience") == seconds


@pytest.mark.parametrize("text", ["soon", "-1", "1e3", "nan", "inf", ""])
def test_an_option_refuses_any_other_text(text: str) -> None:
    with pytest.raises(ConfigurationError, match="--patience is not a length of time"):
        parse_seconds(text, "--patience")
