"""Rules on administrators."""

from __future__ import annotations

from collections.abc import Iterator

from fluxbase_cli.security.database.fluxbase import fluxbase_database
from fluxbase_cli.security.database.users import read_has_dashboard_user, read_strong_users
from fluxbase_cli.security.facts import Facts
from fluxbase_cli.security.finding import Found, Place, Severity
from fluxbase_cli.security.part import Absent
from fluxbase_cli.security.rule import Point, rule

_INTENDED = "admin"

_FINISH = "Open /admin and finish the setup, before the server can be reached from outside."


@rule(
    "FB-ADM-002",
    "The dashboard has no user yet",
    severity=Severity.HIGH,
    point=Point.AUDITS,
    quote=None,
    explanation="""
    As long as the dashboard has no user, the first sign-up makes one, without a token. Make the administrator before
    the server can be reached from outside. It is low on a machine for development.
    """,
    remedy="""
    fluxbase auth login    # or open /admin and finish the setup, before the server can be reached from outside
    """,
)
def dashboard_has_no_user(facts: Facts) -> Iterator[Found]:
    """Nobody has an account of the dashboard."""
    severity = Severity.HIGH if facts.production else Severity.HIGH.lowered(2)
    says = None if isinstance(facts.read_live, Absent) else facts.live.needs_setup
    if says:
        yield Found(Place("url", facts.live.origin), "it answers that its setup is not finished", severity, _FINISH)
    if says is not None and isinstance(facts.read_database, Absent):
        return
    table, there = fluxbase_database(facts).read(read_has_dashboard_user)
    if not there:
        yield Found(
            Place("table", table),
            "it has no user: make the administrator before going live",
            severity,
            _FINISH,
        )


@rule(
    "FB-ADM-003",
    "Users of the application with roles of administrators",
    severity=Severity.CRITICAL,
    point=Point.ROW_LEVEL_SECURITY,
    quote="Test policies with different user roles",
    explanation="""
    The column `role` of `auth.users` decides what a request of that user may do. `service_role`, `dashboard_admin` and
    `instance_admin` go around row-level security: critical. `admin` may be intended: medium, and an exception with a
    reason is right then.
    """,
    remedy="UPDATE auth.users SET role = 'authenticated' WHERE id = '…';",
)
def users_with_strong_roles(facts: Facts) -> Iterator[Found]:
    """Users of the application have roles of administrators."""
    for role, number in fluxbase_database(facts).read(read_strong_users).items():
        yield Found(
            Place("user role", role, f"role {role} in auth.users"),
            f"{number} user{'s have' if number > 1 else ' has'} it",
            Severity.MEDIUM if role == _INTENDED else Severity.CRITICAL,
            f"SELECT id, created_at, updated_at FROM auth.users WHERE role = '{role}';\n"  # noqa: S608  # to be read
            "UPDATE auth.users SET role = 'authenticated' WHERE id = '…';",
        )
