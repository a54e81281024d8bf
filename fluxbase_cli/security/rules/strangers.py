"""The rule that looks at tables as a stranger (`--probe`)."""

from __future__ import annotations

from collections.abc import Iterator

from fluxbase_cli.security.database.probe import probe_tables
from fluxbase_cli.security.facts import Facts
from fluxbase_cli.security.finding import Found, NotCheckedError, Place, Severity, Unchecked
from fluxbase_cli.security.rule import Point, rule


@rule(
    "FB-RLS-011",
    "A stranger sees rows",
    severity=Severity.CRITICAL,
    point=Point.ROW_LEVEL_SECURITY,
    quote="Test policies with different user roles",
    explanation="""
    With --probe, each table that has row-level security is looked at as `anon`, and as a signed-in user whom nobody
    knows: whether there is a row, never what is in it. The transaction is read-only and rolled back. It is critical if
    anon sees a row, high if the unknown user does. A table with public content needs an exception. Tables without
    row-level security are found by FB-RLS-001.
    """,
    remedy="""
    DROP POLICY name ON schema.name;
    CREATE POLICY own_rows ON schema.name
        USING (user_id = auth.current_user_id());
    """,
)
def stranger_sees_rows(facts: Facts) -> Iterator[Found | Unchecked]:
    """A table shows a row to a stranger."""
    database = facts.database
    if not facts.probe:
        raise NotCheckedError("tables were not looked at as a stranger (--probe)")
    for each in database.read(probe_tables):
        if each.problem is not None:
            yield Unchecked(f"{each.table} as {each.role}: {each.problem}")
            continue
        anon = each.role == "anon"
        text = "anon sees a row" if anon else "a signed-in user whom nobody knows sees a row"
        yield Found(Place("table", each.table), text, None if anon else Severity.HIGH)
