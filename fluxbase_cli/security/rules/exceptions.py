"""The two rules on exceptions. `fluxbase_cli.security.run` checks them after all others, with their findings."""

from __future__ import annotations

from collections.abc import Iterator

from fluxbase_cli.security.facts import Facts
from fluxbase_cli.security.finding import Found, Severity
from fluxbase_cli.security.rule import Point, rule


@rule(
    "FB-CHK-001",
    "Exception that matches nothing",
    severity=Severity.LOW,
    point=Point.AUDITS,
    quote=None,
    explanation="""
    The exception names a rule or a place that has no finding: it is misspelt, or what it accepted is corrected. It is
    no finding if the rule could not be checked.
    """,
    remedy="# Remove it from security.check.exceptions, or correct its `where`.",
)
def exception_matches_nothing(facts: Facts) -> Iterator[Found]:
    """An exception without a finding."""
    for exception in facts.unmatched_exceptions:
        yield Found(exception.place, "no finding matches it")


@rule(
    "FB-CHK-002",
    "Exception that has expired or has no reason",
    severity=Severity.MEDIUM,
    point=Point.AUDITS,
    quote="Regular security audits",
    explanation="""
    An exception counts until its date of expiry, at most a year, and only with a reason. Otherwise what it accepted
    counts again.
    """,
    remedy="# Look at the finding again. Correct it, or write a new date and a reason.",
)
def exception_has_expired(facts: Facts) -> Iterator[Found]:
    """An exception that does not count."""
    for exception, fault in facts.faulty_exceptions:
        yield Found(exception.place, fault)
