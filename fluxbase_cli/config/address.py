"""A database address, told without its password."""

from __future__ import annotations

import re
from urllib.parse import unquote

_SCHEME = re.compile(r"postgres(?:ql)?://")
_ANY_SCHEME = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]*://")
# Narrow on purpose. An unescaped password with an @, a / or a ? in it shifts the parts of a URL; what then stands in
# the place of a host is a piece of the password, and must not be shown.
_HOST = re.compile(r"[A-Za-z0-9_.-]*|\[[0-9A-Fa-f:.]+\]|/[A-Za-z0-9_./-]*")
_HOST_AND_PORT = re.compile(r"(?P<host>[A-Za-z0-9_.%-]*|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]*))?")
_NAME = re.compile(r"[^\s@/:?=&#'\"\\\x00-\x1f\x7f]*")
_PORT = re.compile(r"[0-9]*(?:,[0-9]*)*")
_PAIR = re.compile(
    r"\s*([A-Za-z_]+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'(?=\s|$)|((?:[^\s'\\]|\\.)*)(?=\s|$))\s*",
    re.DOTALL,
)


def is_address(address: str) -> bool:
    """Whether libpq would take this for a PostgreSQL URL or for ``key=value`` pairs."""
    return bool(_SCHEME.match(address)) or ("=" in address and not _ANY_SCHEME.match(address))


def describe_address(address: str) -> str | None:
    """Tell an address as ``user@host:port/database``, as far as it names these.

    Args:
        address: a ``postgresql://`` URL, or libpq's ``key=value`` pairs.

    Returns:
        The description; None where there is any doubt about what is what.
    """
    parts = _of_url(address) if _SCHEME.match(address) else _of_pairs(address)
    if parts is None or "service" in parts:
        return None
    user, host, port, database = (parts.get(name, "") for name in ("user", "host", "port", "dbname"))
    host = host or parts.get("hostaddr", "")
    if not (user or host or database):
        return None
    hosts = host.split(",")
    if not (all(map(_HOST.fullmatch, hosts)) and _NAME.fullmatch(user) and _NAME.fullmatch(database)):
        return None
    if not _PORT.fullmatch(port):
        return None
    shown = _hosts_and_ports(hosts, port.split(","))
    return (f"{user}@" if user else "") + shown + (f"/{database}" if database else "")


def _hosts_and_ports(hosts: list[str], ports: list[str]) -> str:
    if len(ports) == 1:
        ports *= len(hosts)
    ports += [""] * (len(hosts) - len(ports))
    return ",".join(f"{host or 'localhost'}:{port or '5432'}" for host, port in zip(hosts, ports, strict=False))


def _of_url(address: str) -> dict[str, str] | None:
    rest = _SCHEME.sub("", address, count=1)
    # After the one @ that ends the user and password, another is a sign of an unescaped password.
    before, at, after = rest.partition("@")
    userinfo, rest = (before, after) if at else ("", rest)
    if "@" in rest or any(character in userinfo for character in "/?#"):
        return None
    hostspecs, _, query = rest.partition("?")
    hostspecs, _, database = hostspecs.partition("/")
    hosts, ports = [], []
    for hostspec in hostspecs.split(","):
        match = _HOST_AND_PORT.fullmatch(hostspec)
        if match is None:
            return None
        hosts.append(unquote(match["host"]))
        ports.append(match["port"] or "")
    parts = {
        "user": unquote(userinfo.partition(":")[0]),
        "host": ",".join(hosts),
        "port": ",".join(ports),
        "dbname": unquote(database),
    }
    for pair in query.split("&") if query else ():
        name, equals, value = pair.partition("=")
        if not equals:
            return None
        parts[name] = unquote(value)
    return parts


def _of_pairs(address: str) -> dict[str, str] | None:
    parts: dict[str, str] = {}
    position = 0
    while position < len(address):
        match = _PAIR.match(address, position)
        if match is None:
            return None
        quoted, plain = match[2], match[3]
        parts[match[1]] = re.sub(r"\\(.)", r"\1", quoted if quoted is not None else plain, flags=re.DOTALL)
        position = match.end()
    return parts or None
