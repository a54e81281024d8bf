"""Rules on rate limits."""

from __future__ import annotations

from collections.abc import Iterator

from fluxbase_cli.security.configuration.reading import ServerConfiguration
from fluxbase_cli.security.database.app_settings import read_app_settings
from fluxbase_cli.security.database.sessions import ONLY_MONITORS
from fluxbase_cli.security.facts import Facts
from fluxbase_cli.security.finding import Found, NotCheckedError, Place, Severity, Unchecked
from fluxbase_cli.security.part import Absent
from fluxbase_cli.security.rule import Point, rule

_VARIABLE = "FLUXBASE_SECURITY_ENABLE_GLOBAL_RATE_LIMIT"
_SETTING = "security.enable_global_rate_limit"
_AT_THE_PROXY = """
# At the proxy (nginx):
limit_req_zone $binary_remote_addr zone=fluxbase:10m rate=100r/m;
limit_req zone=fluxbase burst=50 nodelay;    # in the location of the server
"""


def _has_proxy(configuration: ServerConfiguration) -> bool:
    """Whether a proxy stands before the server: it has no TLS of its own."""
    address = configuration.public_address
    return bool(configuration.text("server.trusted_proxies")) or (address is not None and address[1].scheme == "https")


@rule(
    "FB-RATE-001",
    "Global rate limit is off",
    severity=Severity.MEDIUM,
    point=Point.RATE_LIMIT,
    quote="Enable global rate limiting",
    explanation="""
    The server reads this switch from a variable or from its table app.settings, and not from fluxbase.yaml. Without
    either it is off. It allows 100 requests a minute for each address that connects. Behind a proxy that is the
    proxy's address, so all users together have 100 requests: it is low then, and the proxy must limit requests, which
    this check can't see. It is info if the address of the server is that of this machine.
    """,
    remedy=f"{_VARIABLE}=true    # only without a proxy in front of the server",
)
def global_rate_limit_is_off(facts: Facts) -> Iterator[Found | Unchecked]:
    """Neither the variable nor the table switches the limit on."""
    if not isinstance(facts.read_live, Absent):
        answer = facts.live.config
        if answer is not None and answer.header("x-ratelimit-limit") is not None:
            return
    configuration = facts.configuration
    variable = configuration.variable(_VARIABLE)
    if variable is not None:
        if variable.text.lower() not in ("true", "1", "yes"):
            yield _off(facts, variable.place, "it is off")
        return
    written = configuration.get(_SETTING)
    in_file = written is not None and not written.is_default and written.text == "true"
    try:
        stored = facts.database.read(read_app_settings).get("app.security.enable_global_rate_limit")
    except NotCheckedError as error:
        yield Unchecked(f"whether app.settings switches the limit on: {error.reason}")
        if not in_file:
            return
        stored = None
    if stored is not True:
        text = "it is on in fluxbase.yaml only, which the server does not read for it" if in_file else "it is off"
        yield _off(facts, written.place if written is not None else Place("setting", _SETTING, _SETTING), text)


def _off(facts: Facts, place: Place, text: str) -> Found:
    if _has_proxy(facts.configuration):
        # Behind a proxy the server's own limit would stop all users together. We can't see the proxy's.
        return Found(place, f"{text}; the proxy must limit requests", Severity.LOW, _AT_THE_PROXY.strip())
    return Found(place, text, Severity.MEDIUM if facts.production else Severity.INFO)


@rule(
    "FB-RATE-002",
    "Limits are counted for each instance alone",
    severity=Severity.MEDIUM,
    point=Point.RATE_LIMIT,
    quote="Use Redis for multi-instance",
    explanation="""
    The limits of the HTTP interface are counted in the memory of each instance, with Redis too: `scaling.backend`
    shares only messages and the limits of edge functions. With three instances three times as many sign-ins can be
    tried. It is medium if there seem to be several instances: one of them is elected to run scheduled jobs, or the
    sessions of the server's role in the database come from several addresses. It is info if Redis or PostgreSQL is set
    as if it shared all limits.
    """,
    remedy=_AT_THE_PROXY,
)
def limits_are_counted_alone(facts: Facts) -> Iterator[Found | Unchecked]:
    """Several instances, or a backend that does not share the limits."""
    configuration = facts.configuration
    backend = configuration.get("scaling.backend")
    election = configuration.get("scaling.enable_scheduler_leader_election")
    if backend is not None and backend.text in ("redis", "postgres"):
        yield Found(backend.place, f"{backend.text} shares the limits of edge functions only", Severity.INFO, None)
    elif election is not None and configuration.flag("scaling.enable_scheduler_leader_election"):
        yield Found(election.place, "there are several instances, and each counts alone")
    elif not isinstance(facts.read_database, Absent):
        yield from _instances(facts)


def _instances(facts: Facts) -> Iterator[Found | Unchecked]:
    if any(each.hidden for each in facts.sessions):
        yield Unchecked(f"whether several instances are connected: {ONLY_MONITORS}")
        return
    addresses = {each.address for each in facts.sessions if each.address is not None}
    if len(addresses) > 1:
        place = Place("role", facts.configuration.text("database.user"))
        yield Found(place, f"its sessions come from {len(addresses)} addresses, and each instance counts alone")


@rule(
    "FB-RATE-003",
    "All clients look like one",
    severity=Severity.LOW,
    point=Point.RATE_LIMIT,
    quote=None,
    explanation="""
    The server counts the address that connects. Behind a proxy that is the proxy, so the limit of 10 sign-ins a minute
    is shared by all users: one person who tries passwords keeps all others out, and the limit says nothing about one
    person. Count at the proxy, where the addresses of the users are known.
    """,
    remedy="""
    # At the proxy (nginx):
    limit_req_zone $binary_remote_addr zone=signin:10m rate=10r/m;
    location /api/v1/auth/ {
        limit_req zone=signin burst=5;
        proxy_pass http://fluxbase:8080;
    }
    """,
)
def all_clients_look_like_one(facts: Facts) -> Iterator[Found]:
    """A proxy is in front of the server."""
    configuration = facts.configuration
    if not _has_proxy(configuration):
        return
    address = configuration.public_address
    trusted = configuration.get("server.trusted_proxies")
    place = trusted.place if trusted is not None else address[0].place if address is not None else Place("setting", "")
    yield Found(place, "a proxy is in front of the server, and its limits count the proxy")
