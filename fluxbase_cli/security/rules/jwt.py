"""Rules on JWT secrets and on how long tokens live."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta

from fluxbase_cli.counts import worded
from fluxbase_cli.duration import format_duration
from fluxbase_cli.security.configuration.published import JWT_SECRETS, is_published
from fluxbase_cli.security.configuration.reading import ServerConfiguration, Setting
from fluxbase_cli.security.configuration.secrets import is_reference, sample_reason
from fluxbase_cli.security.configuration.tokens import claims_of
from fluxbase_cli.security.facts import Facts
from fluxbase_cli.security.finding import Found, NotCheckedError, Severity
from fluxbase_cli.security.rule import Point, rule

_REMEDY = """
FLUXBASE_AUTH_JWT_SECRET=…    # from: openssl rand -base64 48
# Restart all servers. All users must sign in again, and tokens that you have made yourself must be made again.
"""
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
#: The names with which build tools put a variable into what a browser gets.
_BROWSER = ("VITE_", "NEXT_PUBLIC_", "PUBLIC_", "REACT_APP_", "EXPO_PUBLIC_", "NUXT_PUBLIC_", "VUE_APP_", "GATSBY_")
_STRONG_CHARACTERS, _LEAST_CHARACTERS = 64, 32


def _secrets(configuration: ServerConfiguration) -> Iterator[Setting]:
    """The JWT secrets of the server and of its tenants.

    Raises:
        NotCheckedError: there is none that this check sees.
    """
    secret = configuration.get("auth.jwt_secret")
    known = secret is not None and (not secret.is_default or configuration.complete)
    if secret is not None and known:
        yield secret
    yield from configuration.tenant_settings("auth.jwt_secret")
    if not known:
        raise NotCheckedError(
            "the JWT secret is neither in the file nor in a variable that this check sees; "
            "give it as FLUXBASE_AUTH_JWT_SECRET"
        )


@rule(
    "FB-JWT-001",
    "JWT secret is published",
    severity=Severity.CRITICAL,
    point=Point.JWT_SECRET,
    quote="Use strong JWT secrets (256+ bits)",
    explanation="""
    The secret is one of the samples in the server's repository or documentation, or in that of Supabase, whose tokens
    the server accepts. With it anybody can sign a token with any role. The server accepts several of these samples.
    """,
    remedy=_REMEDY,
)
def jwt_secret_is_published(facts: Facts) -> Iterator[Found]:
    """The JWT secret is a published sample."""
    for secret in _secrets(facts.configuration):
        if is_published(secret.text, JWT_SECRETS):
            yield Found(secret.place, "it is a sample that anybody can look up")


@rule(
    "FB-JWT-002",
    "JWT secret is weak",
    severity=Severity.HIGH,
    point=Point.JWT_SECRET,
    quote="Use strong random secret",
    explanation="""
    Tokens are signed with HMAC-SHA256. Anybody who has one token can try secrets at home, so the secret must be
    random and have 256 bits. It is high if it has fewer than 32 characters or looks like a sample, info from 32 to 63
    characters. A secret of 64 hexadecimal digits is strong, but the server refuses it (FB-CFG-004).
    """,
    remedy=_REMEDY,
)
def jwt_secret_is_weak(facts: Facts) -> Iterator[Found]:
    """The JWT secret is short or a pattern."""
    for secret in _secrets(facts.configuration):
        if is_published(secret.text, JWT_SECRETS) or is_reference(secret.text):
            continue
        length, reason = len(secret.text), sample_reason(secret.text)
        if reason is not None:
            yield Found(secret.place, reason)
        elif length < _LEAST_CHARACTERS:
            yield Found(secret.place, f"it has {length} characters; 48 random bytes in base64 have 64")
        elif length < _STRONG_CHARACTERS and not _is_random(length):
            yield Found(secret.place, f"it has {length} characters; 64 are better", Severity.INFO)


def _is_random(length: int) -> bool:
    # 32 random bytes in base64 have 44 characters and 256 bits.
    return length >= 44  # noqa: PLR2004


@rule(
    "FB-JWT-003",
    "Access tokens live long",
    severity=Severity.MEDIUM,
    point=Point.JWT_SECRET,
    quote="expires in 1 hour",
    explanation="""
    An access token that was stolen can be used until it ends, so `auth.jwt_expiry` is what limits the damage. The
    server's default is 15 minutes. More than an hour is medium, more than a day high.
    """,
    remedy="FLUXBASE_AUTH_JWT_EXPIRY=15m",
)
def access_tokens_live_long(facts: Facts) -> Iterator[Found]:
    """`auth.jwt_expiry` is long."""
    yield from _long(facts, "auth.jwt_expiry", medium=_HOUR, high=_DAY)


@rule(
    "FB-JWT-004",
    "Refresh tokens live long",
    severity=Severity.MEDIUM,
    point=Point.JWT_SECRET,
    quote="refresh_expiry: 720h (30 days)",
    explanation="""
    With a refresh token that was stolen, somebody stays signed in until it ends. The server's default is 7 days. More
    than 30 days is medium, more than 90 days high. It is low if it is not longer than the access token.
    """,
    remedy="FLUXBASE_AUTH_REFRESH_EXPIRY=168h",
)
def refresh_tokens_live_long(facts: Facts) -> Iterator[Found]:
    """`auth.refresh_expiry` is long, or shorter than the access token."""
    yield from _long(facts, "auth.refresh_expiry", medium=30 * _DAY, high=90 * _DAY)
    setting = facts.configuration.get("auth.refresh_expiry")
    refresh, access = (
        facts.configuration.duration("auth.refresh_expiry"),
        facts.configuration.duration("auth.jwt_expiry"),
    )
    if setting is not None and refresh is not None and access is not None and timedelta(0) < refresh <= access:
        yield Found(setting.place, "it is not longer than the access token, so it has no use", Severity.LOW)


@rule(
    "FB-JWT-005",
    "Service or anon token lives long",
    severity=Severity.MEDIUM,
    point=Point.JWT_SECRET,
    quote="Set separate limits for service role tokens",
    explanation="""
    A token with the role `service_role` passes row-level security. More than a day is medium, more than 30 days, or
    no end, is high. Tokens in variables are checked too. A token with the role `anon` is meant to be public: medium
    at most.
    """,
    remedy="""
    FLUXBASE_AUTH_SERVICE_ROLE_TTL=24h
    FLUXBASE_AUTH_ANON_TTL=24h
    # For programs: a service key with an end, from the dashboard, in place of a token.
    """,
)
def service_token_lives_long(facts: Facts) -> Iterator[Found]:
    """`auth.service_role_ttl`, `auth.anon_ttl` or a token in a variable is long."""
    configuration = facts.configuration
    yield from _long(facts, "auth.service_role_ttl", medium=_DAY, high=30 * _DAY)
    yield from _long(facts, "auth.anon_ttl", medium=30 * _DAY, high=None)
    now = datetime.combine(facts.today, time.min, UTC)
    for name in configuration.environment.names():
        claims = claims_of(configuration.text_of_variable(name))
        if claims is None or claims.role not in ("service_role", "anon"):
            continue
        left = None if claims.expires is None else claims.expires - now
        if left is not None and left <= _DAY:
            continue
        service = claims.role == "service_role"
        long = left is None or left > 30 * _DAY
        if not service and not long:
            continue
        ends = "never ends" if left is None else f"ends in {worded(left.days, 'day', 'days')}"
        severity = Severity.HIGH if service and long else Severity.MEDIUM if service else Severity.LOW
        yield Found(configuration.variable_place(name), f"it is a {claims.role} token that {ends}", severity)


@rule(
    "FB-JWT-006",
    "Service token where a browser gets it",
    severity=Severity.CRITICAL,
    point=Point.JWT_SECRET,
    quote=None,
    explanation="""
    Build tools put variables with prefixes such as VITE_ or NEXT_PUBLIC_ into the pages that everybody loads. A
    `service_role` token or a service key there opens everything to everybody.
    """,
    remedy="# Remove the variable, make its token or key invalid in the dashboard, and use the anon key in browsers.",
)
def service_token_in_a_browser(facts: Facts) -> Iterator[Found]:
    """A service token or key is in a variable for browsers."""
    configuration = facts.configuration
    for name in configuration.environment.names():
        if not name.startswith(_BROWSER):
            continue
        text = configuration.text_of_variable(name)
        claims = claims_of(text)
        if claims is not None and claims.role == "service_role":
            yield Found(configuration.variable_place(name), "it is a service_role token")
        elif text.startswith("sk_") and sample_reason(text) is None:
            yield Found(configuration.variable_place(name), "it is a service key")


def _long(facts: Facts, path: str, *, medium: timedelta, high: timedelta | None) -> Iterator[Found]:
    configuration = facts.configuration
    own = configuration.get(path)
    for setting in (*([own] if own else []), *configuration.tenant_settings(path)):
        duration = configuration.duration_of(setting)
        if duration is None or duration <= medium:
            continue
        severity = Severity.HIGH if high is not None and duration > high else Severity.MEDIUM
        yield Found(setting.place, f"it is {format_duration(duration)}", severity)
