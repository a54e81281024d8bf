"""Rules on encrypted connections, by the configuration."""

from __future__ import annotations

from collections.abc import Iterator

from fluxbase_cli.security.configuration.hosts import Reach, reach_of
from fluxbase_cli.security.database.sessions import ONLY_MONITORS
from fluxbase_cli.security.facts import Facts
from fluxbase_cli.security.finding import Found, NotCheckedError, Place, Severity, Unchecked
from fluxbase_cli.security.part import Absent
from fluxbase_cli.security.rule import Point, rule

_NOT_ENCRYPTED = ("disable", "allow", "prefer")


@rule(
    "FB-TLS-001",
    "Public address is not https",
    severity=Severity.HIGH,
    point=Point.HTTPS,
    quote="Enable HTTPS in production",
    explanation="""
    Links in mails and the addresses for single sign-on begin with this address. With http, passwords and tokens go over
    the network readable for everybody in between. The server has no TLS of its own: a proxy terminates it. An address
    of this machine or of a private network is no finding.
    """,
    remedy="FLUXBASE_PUBLIC_BASE_URL=https://…    # and a proxy that terminates TLS",
)
def public_address_is_not_https(facts: Facts) -> Iterator[Found]:
    """`public_base_url`, or `--url`, is http."""
    if not isinstance(facts.read_live, Absent) and not facts.live.is_https:
        yield Found(Place("url", facts.live.origin), "the address is http", _severity(facts.live.host))
    if isinstance(facts.read_configuration, Absent):
        if isinstance(facts.read_live, Absent):
            raise NotCheckedError(facts.read_configuration.reason)
        return
    address = facts.configuration.public_address
    if address is None:
        return
    setting, parts = address
    if parts.scheme == "http" and reach_of(parts.hostname or "") is Reach.PUBLIC:
        yield Found(setting.place, "the address is http")


def _severity(host: str) -> Severity:
    return Severity.HIGH if reach_of(host) is Reach.PUBLIC else Severity.INFO


@rule(
    "FB-TLS-002",
    "Connection to the database is not encrypted",
    severity=Severity.HIGH,
    point=Point.HTTPS,
    quote="Enable HTTPS in production",
    explanation="""
    The server's default is `disable`. With disable, allow or prefer, passwords and data may go over the network
    readable, and with require nobody checks who answers. It is high if the host can be anywhere, low if it is in the
    same private network, such as another container, and no finding on the same machine. `require` to a host that can
    be anywhere is low. Where the configuration is in order, the open sessions of the server's role in the database are
    looked at too.
    """,
    remedy="""
    FLUXBASE_DATABASE_SSL_MODE=verify-full
    """,
)
def database_is_not_encrypted(facts: Facts) -> Iterator[Found | Unchecked]:
    """`database.ssl_mode` by where the database is, and the sessions that are open."""
    configuration = facts.configuration
    mode, host = configuration.get("database.ssl_mode"), configuration.text("database.host")
    reach = reach_of(host)
    if mode is None or reach is Reach.LOOPBACK:
        return
    if mode.text in _NOT_ENCRYPTED:
        private = reach is Reach.PRIVATE
        where = "a host in a private network" if private else "a host that can be anywhere"
        yield Found(mode.place, f"{mode.text}, to {where}", Severity.LOW if private else None)
        return
    if mode.text == "require" and reach is Reach.PUBLIC:
        yield Found(mode.place, "require: nobody checks whether it is the right server", Severity.LOW)
    if not isinstance(facts.read_database, Absent):
        yield from _sessions(facts)


def _sessions(facts: Facts) -> Iterator[Found | Unchecked]:
    """A session that is not encrypted, though the configuration asks for it: the server has another one."""
    if any(each.hidden for each in facts.sessions):
        yield Unchecked(f"whether open sessions are encrypted: {ONLY_MONITORS}")
    open_ones = {each.address for each in facts.sessions if each.address is not None and each.encrypted is False}
    for reach, severity in ((Reach.PUBLIC, None), (Reach.PRIVATE, Severity.LOW)):
        number = sum(reach_of(address) is reach for address in open_ones)
        if number:
            place = Place("role", facts.configuration.text("database.user"))
            yield Found(place, f"sessions from {number} address(es) of {reach.value} are not encrypted", severity)
            return
