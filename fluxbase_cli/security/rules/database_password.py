"""The rule on passwords of the database."""

from __future__ import annotations

from collections.abc import Iterator

from fluxbase_cli.security.configuration.hosts import Reach, reach_of
from fluxbase_cli.security.configuration.published import DATABASE_PASSWORDS, is_published
from fluxbase_cli.security.facts import Facts
from fluxbase_cli.security.finding import Found, Severity, Unchecked
from fluxbase_cli.security.rule import Point, rule


@rule(
    "FB-ROLE-006",
    "Database password is published",
    severity=Severity.HIGH,
    point=Point.ENVIRONMENT,
    quote="Use environment variables for secrets",
    explanation="""
    The password is one of those in the server's examples and documentation, or one that is tried first. Anybody who
    reaches the port of the database reads and writes everything. It is critical if the database is on a host that can
    be anywhere. It is low if the address of the server is that of this machine.
    """,
    remedy="""
    ALTER ROLE fluxbase PASSWORD '…';    -- from: openssl rand -hex 32; in psql: \\password
    FLUXBASE_DATABASE_PASSWORD=…
    """,
)
def database_password_is_published(facts: Facts) -> Iterator[Found | Unchecked]:
    """The password of the server's role, or of the role for migrations."""
    configuration = facts.configuration
    remote = reach_of(configuration.text("database.host")) is Reach.PUBLIC
    for path in ("database.password", "database.admin_password"):
        setting = configuration.get(path)
        if setting is None or not is_published(setting.text, DATABASE_PASSWORDS):
            continue
        if setting.is_default and not configuration.complete:
            yield Unchecked("the database password is neither in the file nor in a variable that this check sees")
            continue
        severity = Severity.CRITICAL if remote else Severity.HIGH
        severity = severity if remote or facts.production else severity.lowered(2)
        yield Found(setting.place, "it is a password that anybody can look up", severity)
