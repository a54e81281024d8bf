"""A database in which a job failed: why, and what to do, for people and in JSON."""

from __future__ import annotations

from fluxbase_cli.engine.databases import DatabaseOutcome, DatabasesReport
from fluxbase_cli.errors import DatabaseError
from fluxbase_cli.report.json_report import databases_report
from fluxbase_cli.report.text import database_lines
from tests.fixtures.job_reports import COMPLETED

_ERROR = DatabaseError("the role may not read functions.secrets", hint="Run: GRANT SELECT ON functions.secrets TO cli;")
_REPORT = DatabasesReport(
    COMPLETED,
    (DatabaseOutcome("main", "main", COMPLETED), DatabaseOutcome("branch_a", "branch", None, _ERROR)),
    several=True,
)


def test_people_are_told_what_to_do() -> None:
    lines = list(database_lines(_REPORT))

    assert lines[-2:] == ["✗ branch_a (branch): the role may not read functions.secrets", f"  {_ERROR.hint}"]


def test_json_has_what_to_do() -> None:
    failed = databases_report(_REPORT)["databases"][1]

    assert (failed["state"], failed["error"], failed["hint"]) == ("failed", _ERROR.message, _ERROR.hint)
