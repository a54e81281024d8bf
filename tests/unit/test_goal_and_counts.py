"""What the goal of a job makes of a value, and how values are counted."""

from __future__ import annotations

from dataclasses import fields, replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxbase_cli.counts import Counts
from fluxbase_cli.engine.goal import Goal
from fluxbase_cli.engine.outcome import AuditReport, JobReport, LocationAudit
from fluxbase_cli.engine.tally import Tally
from fluxbase_cli.errors import ExitCode
from fluxbase_cli.keyring import Layer
from fluxbase_cli.store.quarantine import Quarantine
from fluxbase_cli.store.records import JobState, QuarantineEntry
from tests.fixtures.job_reports import COMPLETED

NAMES = [field.name for field in fields(Counts)]
counts = st.builds(Counts, **dict.fromkeys(NAMES, st.integers(0, 10**9)))
layers = st.lists(st.builds(Layer, st.integers(1, 4), st.booleans()), min_size=1, max_size=3).map(tuple)


def seal(*versions: int) -> tuple[Layer, ...]:
    return tuple(Layer(version, derived=False) for version in versions)


@pytest.mark.parametrize(
    ("goal", "version", "becomes"),
    [
        (Goal(2, source=1), 1, 2),
        (Goal(2, source=1), 2, 2),
        (Goal(2, source=1), 3, 3),
        (Goal(2), 1, 2),
        (Goal(2), 2, 2),
        (Goal(2), 3, 2),
        (Goal(2, source=2), 2, 2),
    ],
)
def test_only_seals_of_the_source_move_or_all_when_there_is_no_source(goal: Goal, version: int, becomes: int) -> None:
    assert goal.version_for(version) == becomes
    assert goal.moves(version) == (version != becomes)


def test_each_layer_moves_as_the_goal_says_and_keeps_its_kind_of_key() -> None:
    had = (Layer(1, derived=True), Layer(3, derived=False), Layer(2, derived=True))
    assert Goal(2, source=1).layers_for(had) == (
        Layer(2, derived=True),
        Layer(3, derived=False),
        Layer(2, derived=True),
    )
    assert Goal(2).layers_for(had) == (Layer(2, derived=True), Layer(2, derived=False), Layer(2, derived=True))


@given(goal=st.builds(Goal, st.integers(1, 4), source=st.none() | st.integers(1, 4)), had=layers)
def test_a_second_run_with_the_same_goal_changes_nothing(goal: Goal, had: tuple[Layer, ...]) -> None:
    has = goal.layers_for(had)
    assert not goal.moves_any(has)
    assert goal.layers_for(has) == has
    assert (has != had) == goal.moves_any(had)


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        ((1,), Counts(scanned=5, re_encrypted=5, updated=5)),
        ((2,), Counts(scanned=5, already_current=5)),
        ((3,), Counts(scanned=5, other_versions=5)),
        ((2, 1), Counts(scanned=5, re_encrypted=5, updated=5)),
        ((3, 1), Counts(scanned=5, re_encrypted=5, updated=5)),
        ((2, 2), Counts(scanned=5, already_current=5)),
        ((2, 3), Counts(scanned=5, other_versions=5)),
    ],
)
def test_a_value_is_counted_once_by_its_seals(versions: tuple[int, ...], expected: Counts) -> None:
    assert Goal(2, source=1).count(seal(*versions), 5, written=True) == expected
    not_written = Counts.from_dict(expected.as_dict() | {"updated": 0})
    assert Goal(2, source=1).count(seal(*versions), 5, written=False) == not_written


@given(counts, counts, counts)
def test_counts_are_added_field_by_field_and_in_any_order(first: Counts, second: Counts, third: Counts) -> None:
    total = first + second
    assert all(getattr(total, name) == getattr(first, name) + getattr(second, name) for name in NAMES)
    assert total == second + first
    assert (first + second) + third == first + (second + third)
    assert first + Counts() == first


@given(counts)
def test_counts_survive_being_stored(one: Counts) -> None:
    assert Counts.from_dict(one.as_dict()) == one
    assert list(one.as_dict()) == NAMES


def test_a_count_that_an_older_version_did_not_store_is_0() -> None:
    assert Counts.from_dict({"scanned": 3}) == Counts(scanned=3)


@pytest.mark.parametrize("name", NAMES)
def test_counts_are_true_when_any_of_them_is(name: str) -> None:
    assert Counts(**{name: 1})
    assert not Counts()


def test_a_tally_counts_each_value_once_according_to_the_goal() -> None:
    tally = Tally(plaintext=4, undecryptable=3)
    tally.opened.update({seal(1): 10, seal(2): 20, seal(3): 30, seal(2, 1): 5})
    assert tally.scanned == 68
    assert tally.counts(Goal(2, source=1), written=True) == Counts(
        scanned=68,
        re_encrypted=15,
        already_current=20,
        updated=15,
        plaintext=4,
        undecryptable=3,
        other_versions=30,
    )
    assert tally.moving(Goal(2, source=1)) == 15
    assert tally.moving(Goal(2)) == 45


def test_a_value_with_layers_of_two_keys_needs_both_and_of_one_key_needs_it_once() -> None:
    tally = Tally()
    tally.opened.update({seal(2, 1): 3, seal(1, 1): 4, (Layer(1, derived=True),): 5})
    assert tally.by_version() == {1: 12, 2: 3}


def test_a_tally_minus_itself_is_empty() -> None:
    tally = Tally(plaintext=1, undecryptable=2)
    tally.opened[seal(1)] = 3
    other = Tally()
    other.add(tally)
    other.add(tally)
    assert (other.scanned, other.plaintext, other.undecryptable) == (10, 2, 4)
    other.remove(tally)
    other.remove(tally)
    assert (other.scanned, other.plaintext, other.undecryptable) == (0, 0, 0)
    assert not other.counts(Goal(2), written=True)


def job(state: str, *, undecryptable: int = 0, signal: int | None = None) -> JobReport:
    return replace(
        COMPLETED,
        state=state,
        locations={"a": Counts(scanned=1), "b": Counts(scanned=2, undecryptable=undecryptable)},
        elapsed_seconds=2.0,
        handled=10,
        signal=signal,
    )


@pytest.mark.parametrize(
    ("report", "code"),
    [
        (job("completed"), ExitCode.DONE),
        (job("dry-run"), ExitCode.DONE),
        (job("completed", undecryptable=1), ExitCode.UNDECRYPTABLE_LEFT),
        (job("dry-run", undecryptable=1), ExitCode.UNDECRYPTABLE_LEFT),
        (job("failed", undecryptable=1), ExitCode.FAILED),
        (job("failed"), ExitCode.FAILED),
        (job("interrupted", signal=2), ExitCode.SIGINT),
        (job("interrupted", signal=15, undecryptable=1), ExitCode.SIGTERM),
        (job("interrupted"), ExitCode.SIGINT),
    ],
)
def test_a_job_ends_the_command_with_the_documented_exit_code(report: JobReport, code: int) -> None:
    assert report.exit_code == code


def test_only_a_job_that_ended_normally_is_done() -> None:
    not_done = (JobState.INTERRUPTED, JobState.FAILED, JobState.SUPERSEDED)
    assert [state for state in not_done if job(state.value).exit_code == ExitCode.DONE] == []


def test_a_jobs_total_and_rate_cover_all_its_locations() -> None:
    report = job("completed", undecryptable=1)
    assert report.total == Counts(scanned=3, undecryptable=1)
    assert report.rate_per_second == 5.0


def report_of(key_version: int | None, by_version: dict[int, int], undecryptable: int) -> AuditReport:
    scanned = sum(by_version.values()) + undecryptable
    return AuditReport(
        key_version=key_version,
        locations={"a": LocationAudit(scanned, by_version, 7, undecryptable), "b": LocationAudit(0, {}, 0, 0)},
        versions=(1, 2),
        elapsed_seconds=1.0,
        quarantine=Quarantine(QuarantineEntry("a", UUID(int=n), (), "why") for n in range(undecryptable)),
        warnings=(),
    )


@pytest.mark.parametrize(
    ("report", "found", "code"),
    [
        (report_of(1, {2: 5}, 0), 0, ExitCode.DONE),
        (report_of(1, {1: 3, 2: 5}, 0), 3, ExitCode.CHECK_SAYS_NO),
        (report_of(1, {1: 3, 2: 5}, 2), 3, ExitCode.CHECK_SAYS_NO),
        (report_of(None, {1: 3, 2: 5}, 0), 8, ExitCode.DONE),
        (report_of(None, {1: 3, 2: 5}, 2), 8, ExitCode.UNDECRYPTABLE_LEFT),
    ],
)
def test_an_audit_ends_the_command_with_the_exit_code_of_its_result(report: AuditReport, found: int, code: int) -> None:
    assert report.found == found
    assert report.exit_code == code
    assert report.plaintext == 7


def test_an_audit_lists_every_version_of_the_ring_even_those_that_nothing_needs() -> None:
    assert report_of(1, {2: 5}, 0).by_version == {1: 0, 2: 5}
