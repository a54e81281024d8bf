"""Rules on the live server: TLS, headers, and what answers without authentication."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta

from fluxbase_cli.counts import worded
from fluxbase_cli.security.configuration.hosts import Reach, reach_of
from fluxbase_cli.security.facts import Facts
from fluxbase_cli.security.finding import Found, NotCheckedError, Place, Severity, Unchecked
from fluxbase_cli.security.live.answers import ADMIN_PAGE, CONFIG, PROTECTED, Answer, LiveFacts, NoAnswer
from fluxbase_cli.security.rule import Point, rule

_TO_HTTPS = frozenset({301, 302, 307, 308})
_SOON = timedelta(days=14)
_HALF_YEAR_S = 15_768_000
_MAX_AGE = re.compile(r"max-age\s*=\s*\"?(\d+)", re.IGNORECASE)
_OLD_PROTOCOLS = frozenset({"SSLv3", "TLSv1", "TLSv1.1"})
_OK, _SERVER_ERROR = 200, 500


def _url(live: LiveFacts, path: str = "") -> Place:
    return Place("url", live.origin + path, live.origin + path)


def _any_answer(live: LiveFacts) -> Answer:
    """The answer whose headers are checked.

    Raises:
        NotCheckedError: there is none.
    """
    answer = live.answer(CONFIG)
    if answer is None or answer.status >= _SERVER_ERROR:
        found = live.answers[CONFIG]
        reason = found.reason if isinstance(found, NoAnswer) else f"it answered with status {found.status}"
        raise NotCheckedError(f"{live.origin}: {reason}")
    return answer


@rule(
    "FB-TLS-003",
    "http answers without a redirect to https",
    severity=Severity.HIGH,
    point=Point.HTTPS,
    quote="Enable HTTPS in production",
    explanation="""
    A client that begins with http:// sends its token readable before anything can redirect it, and everybody in between
    can answer in place of the server. The proxy must answer http with a redirect to https and nothing else, or not
    listen there at all: both are no finding.
    """,
    remedy="""
    # At the proxy (nginx):
    server { listen 80; return 308 https://$host$request_uri; }
    """,
)
def http_is_not_redirected(facts: Facts) -> Iterator[Found]:
    """Port 80 serves content."""
    live = facts.live
    if not live.is_https:
        raise NotCheckedError("--url is no https address")
    answer = live.plain_http
    if answer is None:
        raise NotCheckedError("--url has a port of its own, so it is not known where http would be")
    if isinstance(answer, NoAnswer):
        return
    location = answer.header("location") or ""
    if answer.status in _TO_HTTPS and location.startswith("https://"):
        return
    place = Place("url", f"http://{live.host}", f"http://{live.host}")
    yield Found(place, f"it answers with status {answer.status}, and not with a redirect to https")


@rule(
    "FB-TLS-004",
    "Certificate or TLS is not in order",
    severity=Severity.HIGH,
    point=Point.HTTPS,
    quote="Enable HTTPS in production",
    explanation="""
    The certificate is not valid for this host, has ended, or comes from an authority that this machine does not know;
    then nothing else is asked. A certificate that ends within 14 days, or a protocol older than TLS 1.2, is medium.
    For a private authority name its certificate with `--ca FILE`.
    """,
    remedy="# Renew the certificate at the proxy. Most proxies can do that automatically (ACME).",
)
def certificate_is_not_in_order(facts: Facts) -> Iterator[Found]:
    """The handshake failed, or the certificate ends soon."""
    live = facts.live
    if not live.is_https:
        raise NotCheckedError("--url is no https address")
    first = live.answers[CONFIG]
    if isinstance(first, NoAnswer) and first.certificate:
        yield Found(_url(live), first.reason)
        return
    if live.tls is None:
        raise NotCheckedError(f"{live.origin}: the handshake was not seen")
    if live.tls.version in _OLD_PROTOCOLS:
        yield Found(_url(live), f"it speaks {live.tls.version}", Severity.MEDIUM)
    now = datetime.combine(facts.today, time.min, UTC)
    if live.tls.expires is not None and live.tls.expires - now < _SOON:
        yield Found(_url(live), f"its certificate ends on {live.tls.expires:%Y-%m-%d}", Severity.MEDIUM)


@rule(
    "FB-HDR-001",
    "Header Strict-Transport-Security is missing",
    severity=Severity.MEDIUM,
    point=Point.HEADERS,
    quote="Strict-Transport-Security: max-age=31536000; includeSubDomains",
    explanation="""
    The header keeps browsers from ever using http for this host. The server does not send it since 2026.2.2, so the
    proxy must. A time shorter than half a year is low. Hosts of this machine are left out.
    """,
    remedy="""
    # At the proxy (nginx):
    add_header Strict-Transport-Security
        "max-age=31536000; includeSubDomains" always;
    """,
)
def no_strict_transport_security(facts: Facts) -> Iterator[Found]:
    """No HSTS, or a short one."""
    live = facts.live
    if not live.is_https:
        raise NotCheckedError("browsers heed the header on https only, and --url is http")
    header = _any_answer(live).header("strict-transport-security")
    if reach_of(live.host) is Reach.LOOPBACK:
        return
    age = None if header is None else _MAX_AGE.search(header)
    if header is None or age is None:
        yield Found(_url(live), "it is missing" if header is None else "it has no max-age")
    elif int(age[1]) < _HALF_YEAR_S:
        yield Found(
            _url(live),
            f"its max-age is {worded(int(age[1]), 'second', 'seconds')}, less than half a year",
            Severity.LOW,
        )


@rule(
    "FB-HDR-002",
    "Protective header is missing",
    severity=Severity.MEDIUM,
    point=Point.HEADERS,
    quote="Configure security headers",
    explanation="""
    The server sends these headers with every answer: X-Content-Type-Options: nosniff, X-Frame-Options: DENY, and a
    Content-Security-Policy. If one is missing, something between the server and the user removes or replaces it. The
    policy is only checked on the pages of the dashboard. X-XSS-Protection is obsolete: its absence is no finding.
    """,
    remedy="# Look for `proxy_hide_header` and the like at the proxy. The server itself sends these headers.",
)
def protective_header_is_missing(facts: Facts) -> Iterator[Found | Unchecked]:
    """nosniff, frame protection, and the policy of the dashboard."""
    live = facts.live
    answer = _any_answer(live)
    if (answer.header("x-content-type-options") or "").strip().lower() != "nosniff":
        yield Found(_url(live, "#x-content-type-options"), "X-Content-Type-Options is not nosniff")
    page = live.answer(ADMIN_PAGE)
    checked = page if page is not None and page.is_html and page.status == _OK else answer
    policy = checked.header("content-security-policy") or ""
    framed = (checked.header("x-frame-options") or "").strip().upper() in ("DENY", "SAMEORIGIN")
    if not framed and "frame-ancestors" not in policy:
        yield Found(_url(live, "#x-frame-options"), "neither X-Frame-Options nor frame-ancestors is there")
    if checked is page and not policy:
        yield Found(_url(live, ADMIN_PAGE), "the dashboard has no Content-Security-Policy")


@rule(
    "FB-API-009",
    "Internal interface answers without sign-in",
    severity=Severity.CRITICAL,
    point=Point.AUDITS,
    quote=None,
    explanation="""
    The interfaces for administrators, for monitoring and for tables must refuse a request without authentication. One
    of them answered with data. Something in front of the server adds credentials to every request, or the server is
    no released one.
    """,
    remedy="# Look for a proxy that adds `Authorization` or `apikey` to all requests, and remove that.",
)
def internal_interface_answers(facts: Facts) -> Iterator[Found | Unchecked]:
    """A protected path answers 200 with JSON."""
    live = facts.live
    _any_answer(live)
    if live.config is None:
        whole = live.answer(CONFIG)
        long = whole is not None and not whole.whole
        why = "its answer is longer than 64 KB" if long else "it does not answer as a Fluxbase server does"
        raise NotCheckedError(f"{live.origin}{CONFIG}: {why}")
    for path in PROTECTED:
        found = live.answers.get(path)
        if found is None or isinstance(found, NoAnswer):
            yield Unchecked(f"{live.origin}{path}: {'not asked' if found is None else found.reason}")
        elif found.status == _OK and not found.is_html and not found.whole:
            yield Unchecked(f"{live.origin}{path}: its answer is longer than 64 KB")
        elif found.status == _OK and not found.is_html and isinstance(found.data, dict | list):
            yield Found(_url(live, path), "it answers without sign-in")
