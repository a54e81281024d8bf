"""Tables of 80 columns, the live view, the list of values that were left, and what comes next."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from fluxbase_cli.counts import Counts
from fluxbase_cli.engine.events import BatchDone, Message, PassStarted, Waiting
from fluxbase_cli.engine.outcome import AuditReport
from fluxbase_cli.log_events import LogEvent
from fluxbase_cli.report.left_values import all_left_lines, left_in_short, left_lines
from fluxbase_cli.report.live_table import live_lines
from fluxbase_cli.report.next_step import audit_next, job_next
from fluxbase_cli.report.progress_state import ProgressState
from fluxbase_cli.report.table import WIDTH, paragraph, table
from fluxbase_cli.store.quarantine import Quarantine
from fluxbase_cli.store.records import UNWRITABLE, JobKind, QuarantineEntry
from fluxbase_cli.unexamined import Unexamined, UnexaminedKind
from tests.fixtures.job_reports import COMPLETED

_LONG = "functions.secret_versions.encrypted_value"


def _progress(names: int = 1) -> tuple[ProgressState, list[float]]:
    now = [0.0]
    state = ProgressState(lambda: now[0])
    state.apply(PassStarted(0, {f"app.table_{number:02}.value": 1000 for number in range(names)}, {}))
    return state, now


def _batch(rows: int, table_name: str = "app.table_00") -> BatchDone:
    return BatchDone(table_name, rows, {"value": Counts(scanned=rows)}, 0)


def test_the_time_left_leaves_a_pause_out() -> None:
    state, now = _progress()
    now[0] = 5.0
    state.apply(_batch(100))
    assert (state.rate_per_s, state.left_s) == (20.0, 45.0)

    state.apply(Waiting("the job was paused by ann", None, paused=True))
    now[0] = 3605.0
    assert state.pace() == ["paused", "45s left"]
    state.apply(Message(LogEvent.JOB_CONTINUED, "going on"))
    now[0] = 3610.0
    state.apply(_batch(100))

    assert (state.rate_per_s, state.left_s) == (20.0, 40.0)


def test_the_rate_is_that_of_now_and_not_that_since_the_start() -> None:
    state, now = _progress()
    for second in range(1, 41):
        now[0] = float(second)
        state.apply(_batch(20 if second <= 20 else 2))

    assert state.rate_per_s == pytest.approx(2.0, rel=0.2)
    now[0] = 100.0
    assert (state.rate_per_s, state.left_s) == (0.0, None)


@pytest.mark.parametrize("columns", [20, 40, 59, 79, 120, 200])
@pytest.mark.parametrize("height", [3, 5, 22, 48])
def test_a_view_is_never_larger_than_the_window_and_names_what_it_leaves_out(columns: int, height: int) -> None:
    state, _ = _progress(30)
    state.apply(_batch(1000, "app.table_07"))
    state.apply(_batch(10, "app.table_21"))

    lines = live_lines(state, columns, height)

    assert len(lines) <= height
    assert max(map(len, lines)) <= columns
    # The one in progress is the first.
    if columns > 40:
        assert lines[2 if height > 3 else -1].startswith(("app.table_21.value", "… and 30 more locations"))
        shown = sum(line.startswith("app.") for line in lines)
        assert f"… and {30 - shown} more locations, 1 of them done" in lines or shown == 30


@pytest.mark.parametrize("versions", range(1, 9))
def test_a_table_of_any_number_of_columns_has_80_columns_and_every_cell(versions: int) -> None:
    header = ["LOCATION", *(f"VERSION {number}" for number in range(versions)), "PLAINTEXT", "UNDECRYPTABLE"]
    rows = [[_LONG, *(f"{number}0042" for number in range(versions)), "7", "8"]]

    lines = list(table(header, rows, right=range(1, len(header))))

    assert max(map(len, lines)) <= WIDTH
    words = " ".join(lines).split()
    assert all(word in words for cell in (*header, *rows[0]) for word in cell.split())
    wide = list(table(header, rows, split=False))
    assert len(wide) == 2


def test_a_first_cell_that_is_too_long_has_a_line_of_its_own() -> None:
    lines = list(table(("LOCATION", "DONE", "SCANNED"), [("a" * 75, "5%", "1234"), ("b", "6%", "5")], right=(1, 2)))

    assert lines == ["LOCATION  DONE  SCANNED", "a" * 75, "            5%     1234", "b           6%        5"]


def test_a_paragraph_keeps_commands_whole() -> None:
    lines = list(paragraph("Some words and then `fluxbase-cli secrets status 7 --watch --interval 10` to end"))

    assert any("`fluxbase-cli secrets status 7 --watch --interval 10`" in line for line in lines)
    assert max(map(len, lines)) <= WIDTH


def _left(*kinds: tuple[str, str, int]) -> Quarantine:
    return Quarantine(
        QuarantineEntry(location, UUID(int=number), (), reason)
        for location, reason, count in kinds
        for number in range(count)
    )


def test_fifty_bad_values_are_one_kind_with_five_examples() -> None:
    left = _left(("a.b.c", "no key opens it", 50))

    assert list(left_lines(left, 3)) == [
        "50 values could not be opened and were left as they are:",
        "  a.b.c, 50 values: no key opens it",
        *(f"    {UUID(int=number)}" for number in range(5)),
        "  `fluxbase-cli secrets status 3` lists all of them",
    ]
    assert len(list(all_left_lines(left, 3))) == 52


def test_many_kinds_never_push_the_account_off_the_screen() -> None:
    left = _left(*((f"a.b.c{kind:02}", "no key opens it", 9) for kind in range(40)), ("a.b.d", f"{UNWRITABLE}check", 1))

    lines = list(left_lines(left, 3))

    assert len(lines) <= 20
    assert lines[0] == "360 values could not be opened and were left as they are:"
    assert "  … and 36 more locations or reasons" in lines


_REPORT = replace(COMPLETED, job=7, locations={"a.b.c": Counts(scanned=10, re_encrypted=10, updated=10)}, handled=10)


@pytest.mark.parametrize(
    ("changed", "begins"),
    [
        ({}, "Next: prove what still needs the old key: `fluxbase-cli secrets audit --key-version 1 --databases all`"),
        ({"state": "failed"}, "Next: fix the cause"),
        ({"quarantine": _left(("a.b.c", "no key opens it", 2))}, "Next: find the key of the values"),
        ({"quarantine": _left(("a.b.c", f"{UNWRITABLE}check", 2))}, "Next: correct the rows"),
        ({"state": "dry-run", "job": None}, "Next: the same command without --dry-run"),
    ],
)
def test_a_job_says_what_comes_next_and_its_number(changed: dict[str, object], begins: str) -> None:
    report = replace(_REPORT, **changed)  # type: ignore[arg-type]  # fields of a report

    lines = list(job_next(report, told=False))

    assert lines[0].startswith(begins)
    assert ("Job 7: `fluxbase-cli secrets status 7` shows it in full." in lines) == (report.job is not None)


def test_after_a_plan_its_approval_comes_next() -> None:
    report = replace(_REPORT, state="dry-run", job=None, kind=JobKind.ROLLBACK)

    assert list(job_next(report, told=False, plan=Path("my plan.json"))) == [
        "Next: have the plan and its digest approved, then `fluxbase-cli secrets rollback --plan 'my plan.json'`"
    ]


def test_what_a_job_has_left_is_said_in_one_line() -> None:
    two = replace(_REPORT, quarantine=_left(("a.b.c", "no key opens it", 2)))
    one = replace(_REPORT, job=None, state="dry-run", quarantine=_left(("a.b.c", "no key opens it", 1)))
    unseen = replace(_REPORT, unexamined=(Unexamined(UnexaminedKind.DATABASE, "tenant_a", "it can't be reached"),))

    assert left_in_short(two) == (
        "2 values could not be opened and were left as they are. `fluxbase-cli secrets status 7` lists them"
    )
    assert left_in_short(one) == (
        "1 value could not be opened and was left as it is. `fluxbase-cli secrets list --undecryptable` lists it"
    )
    assert left_in_short(unseen) == f"not examined: {unseen.unexamined[0]}"


def test_an_audit_that_finds_values_says_how_they_move() -> None:
    clean = AuditReport(1, {}, (1, 2), 1.0, Quarantine(), ())

    assert list(audit_next(clean)) == []
