"""Rules on the origins whose pages may use the API (CORS), by the configuration."""

from __future__ import annotations

from collections.abc import Iterator

from fluxbase_cli.security.facts import Facts
from fluxbase_cli.security.finding import Found, NotCheckedError, Place, Severity
from fluxbase_cli.security.part import Absent
from fluxbase_cli.security.rule import Point, rule


@rule(
    "FB-CORS-001",
    "Pages of any origin may use the API",
    severity=Severity.MEDIUM,
    point=Point.HEADERS,
    quote=None,
    explanation="""
    With `*` in `cors.allowed_origins`, scripts of all pages may read the API's answers. The server switches credentials
    off then. It is critical if the live server allows a made-up origin together with credentials: then any page that a
    signed-in user visits may act for that user. A public API that is meant for all pages needs an exception.
    """,
    remedy="FLUXBASE_CORS_ALLOWED_ORIGINS=https://app.example.com    # no blanks around the commas",
)
def any_origin_is_allowed(facts: Facts) -> Iterator[Found]:
    """`*`, or a live server that allows an origin that nobody has listed."""
    if not isinstance(facts.read_live, Absent):
        allowed = facts.live.allowed_origin
        if allowed is not None:
            severity = Severity.CRITICAL if allowed.credentials and allowed.reflected else Severity.MEDIUM
            how = "with credentials" if allowed.credentials else "without credentials"
            yield Found(Place("url", facts.live.origin), f"it allows an origin that nobody has listed, {how}", severity)
    if isinstance(facts.read_configuration, Absent):
        if isinstance(facts.read_live, Absent):
            raise NotCheckedError(facts.read_configuration.reason)
        return
    origins = facts.configuration.get("cors.allowed_origins")
    if origins is not None and "*" in (each.strip() for each in origins.items):
        yield Found(origins.place, "it has *")
