"""Rules on lists of addresses that may use a part of the server."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from fluxbase_cli.security.facts import Facts
from fluxbase_cli.security.finding import Found, Severity
from fluxbase_cli.security.rule import Point, rule

_LISTS = (
    "server.allowed_ip_ranges",
    "migrations.allowed_ip_ranges",
    "functions.sync_allowed_ip_ranges",
    "jobs.sync_allowed_ip_ranges",
    "ai.sync_allowed_ip_ranges",
    "rpc.sync_allowed_ip_ranges",
)


@rule(
    "FB-API-004",
    "List of allowed addresses lets everybody in",
    severity=Severity.HIGH,
    point=Point.AUDITS,
    quote=None,
    explanation="""
    0.0.0.0/0 or ::/0 in a list of allowed addresses is no list: high. With `server.trusted_proxies`, the server
    believes the first address in the header X-Forwarded-For, which a client can write, unless the proxy overwrites
    the header: low, to look at the proxy. Migrations still need a service key.
    """,
    remedy="""
    FLUXBASE_MIGRATIONS_ALLOWED_IP_RANGES=10.1.2.0/24    # the addresses from which you deploy
    # At the proxy (nginx): proxy_set_header X-Forwarded-For $remote_addr;
    """,
)
def everybody_is_allowed(facts: Facts) -> Iterator[Found]:
    """A list has all addresses, or the proxy is trusted without a look at its header."""
    configuration = facts.configuration
    for path in _LISTS:
        setting = configuration.get(path)
        if setting is not None and any(_is_everything(each) for each in setting.items):
            yield Found(setting.place, "it has a range with all addresses")
    trusted = configuration.get("server.trusted_proxies")
    if trusted is None:
        return
    if any(_is_everything(each) for each in trusted.items):
        yield Found(trusted.place, "every address is trusted as a proxy")
    else:
        yield Found(trusted.place, "the proxy must overwrite X-Forwarded-For", Severity.LOW)


def _is_everything(text: str) -> bool:
    try:
        return ipaddress.ip_network(text.strip(), strict=False).prefixlen == 0
    except ValueError:
        return False
