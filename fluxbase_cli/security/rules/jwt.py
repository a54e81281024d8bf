"""Rules on JWT secrets and tokens."""

from __future__ import annotations

from collections.abc import Iterator

from fluxbase_cli.security.configuration.published import JWT_SECRETS, is_published
from fluxbase_cli.security.facts import Facts
from fluxbase_cli.security.finding import Found, Severity
from fluxbase_cli.security.rule import Point, rule


@rule(
    "FB-JWT-001",
    "JWT secret is published",
    severity=Severity.CRITICAL,
    point=Point.JWT_SECRET,
    quote="Use strong JWT secrets (256+ bits)",
    explanation="""
    The secret is one of the samples in the server's repository or documentation. Anybody can sign a token with it, with
    the role `service_role` too, and then reads and writes everything. The server accepts several of these samples.
    """,
    remedy="""
    openssl rand -base64 48    # set it as FLUXBASE_AUTH_JWT_SECRET and restart; all users must sign in again
    """,
)
def jwt_secret_is_published(facts: Facts) -> Iterator[Found]:
    """The JWT secret is a published sample."""
    secret = facts.configuration.get("auth.jwt_secret")
    if secret is not None and is_published(secret.text, JWT_SECRETS):
        yield Found(secret.place, "it is a sample that anybody can look up")
