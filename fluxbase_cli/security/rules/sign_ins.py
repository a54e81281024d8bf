"""Rules on what the server's log says about sign-ins."""

from __future__ import annotations

from collections.abc import Iterator

from fluxbase_cli.security.database.fluxbase import fluxbase_database
from fluxbase_cli.security.database.sign_ins import DAYS, FOR_ACCOUNT, FROM_ADDRESS, read_failures, read_recent
from fluxbase_cli.security.facts import Facts
from fluxbase_cli.security.finding import Found, NotCheckedError, Place, Severity
from fluxbase_cli.security.rule import Point, rule

_LOCKED = 5


def _require_log_in_database(facts: Facts) -> None:
    try:
        backend = facts.configuration.get("logging.backend")
    except NotCheckedError:
        return
    if backend is not None and backend.text not in ("", "postgres", "postgresql"):
        message = f"the server logs to {backend.text}, and this check reads only the log in the database"
        raise NotCheckedError(message)


@rule(
    "FB-LOG-002",
    "Sign-ins are not logged",
    severity=Severity.HIGH,
    point=Point.LOGS,
    quote="Monitor authentication logs",
    explanation="""
    Users signed in during the last seven days, and the log in the database has no security event of that time. So
    nobody can see failed sign-ins either.
    """,
    remedy="""
    logging:    # in fluxbase.yaml; then restart, sign in once and check again
      backend: postgres
    """,
)
def sign_ins_are_not_logged(facts: Facts) -> Iterator[Found]:
    """Users sign in, and the log has no security events."""
    _require_log_in_database(facts)
    recent = fluxbase_database(facts).read(read_recent)
    if recent.signed_in and not recent.logged:
        yield Found(
            Place("table", "logging.entries"),
            f"users signed in during the last {DAYS} days, and it has no entry of the category security of that time",
        )


@rule(
    "FB-LOG-003",
    "Many failed sign-ins",
    severity=Severity.MEDIUM,
    point=Point.LOGS,
    quote="Monitor authentication logs",
    explanation="""
    In the last 24 hours: 50 failed sign-ins or more from one address, 20 or more for one account, or five locked
    accounts. It is high if a sign-in from that address succeeded after the first of them. Behind a proxy all users may
    have one address: then the number for accounts counts. At most 20 addresses are named.
    """,
    remedy="""
    SELECT timestamp, fields FROM logging.entries
    WHERE category = 'security' AND timestamp > now() - interval '24 hours'
    ORDER BY timestamp;
    """,
)
def many_failed_sign_ins(facts: Facts) -> Iterator[Found]:
    """There are many failed sign-ins."""
    _require_log_in_database(facts)
    failures = fluxbase_database(facts).read(read_failures)
    for each in failures.addresses:
        text = f"{each.failures} failed sign-ins in 24 hours (many: {FROM_ADDRESS})"
        if each.succeeded:
            text += ", and one that succeeded after the first of them"
        yield Found(Place("address", each.address), text, Severity.HIGH if each.succeeded else Severity.MEDIUM)
    if failures.accounts:
        yield Found(
            Place("log", "accounts", "the log of sign-ins"),
            f"{failures.accounts} account{'s' if failures.accounts > 1 else ''} with {FOR_ACCOUNT} failed sign-ins or "
            "more in 24 hours",
        )
    if failures.locked >= _LOCKED:
        yield Found(
            Place("log", "locked accounts", "the log of sign-ins"),
            f"{failures.locked} accounts were locked in 24 hours",
        )
