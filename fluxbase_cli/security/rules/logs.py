"""Rules on the security log, by the configuration."""

from __future__ import annotations

from collections.abc import Iterator

from fluxbase_cli.counts import worded
from fluxbase_cli.security.facts import Facts
from fluxbase_cli.security.finding import Found, Severity
from fluxbase_cli.security.rule import Point, rule

_DAYS = 90


@rule(
    "FB-LOG-001",
    "Security log is not kept long enough",
    severity=Severity.MEDIUM,
    point=Point.LOGS,
    quote="Monitor authentication logs",
    explanation="""
    Sign-ins, failed sign-ins and locked accounts are in the security log. Who looks for the beginning of an incident
    needs months of it: fewer than 90 days is medium; 0 keeps it for ever. If the log is not kept in PostgreSQL, this
    check can't look into it: info.
    """,
    remedy="FLUXBASE_LOGGING_SECURITY_RETENTION_DAYS=90",
)
def security_log_is_short(facts: Facts) -> Iterator[Found]:
    """`logging.security_retention_days`, and where the log is kept."""
    configuration = facts.configuration
    setting, days = (
        configuration.get("logging.security_retention_days"),
        configuration.integer("logging.security_retention_days"),
    )
    kept = configuration.text("logging.retention_enabled") == "false"
    if setting is not None and days is not None and 0 < days < _DAYS and not kept:
        yield Found(setting.place, f"it is kept for {worded(days, 'day', 'days')}")
    backend = configuration.get("logging.backend")
    if backend is not None and backend.text != "postgres":
        yield Found(backend.place, f"it is kept in {backend.text}, and this check can't look into it", Severity.INFO)
