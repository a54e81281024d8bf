"""Finds the parts of a PostgreSQL connection string that may be shown: user, host, port and database.

It follows libpq's grammar (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING; `fe-connect.c`,
`conninfo_uri_parse_options`) and not `urllib`. `urllib` splits in other places: it would show a part of a password with
`/`, `#` or `@` as a host, a port or a database.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from fluxbase_cli.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

_URL = re.compile(
    r"postgres(?:ql)?://"
    r"(?:(?P<user>[^:@/]*)(?::[^@/]*)?@)?"
    r"(?P<hosts>[^/?@]*)"
    r"(?:/(?P<database>[^?@]*))?"
    r"(?:\?(?P<query>[^@]*))?"
)
_HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+(?:%25[^\]]*)?\]|[^\[\]:,]*)(?::(?P<port>[0-9]*))?")
_PORTS = re.compile(r"[0-9]{0,5}(?:,[0-9]{0,5})*")
_PAIR = re.compile(
    r"\s*(?P<name>[A-Za-z_]+)\s*=\s*(?P<value>'(?:[^'\\]|\\.)*'|(?:[^\s'\\]|\\.)(?:[^\s\\]|\\.)*|(?=\s|$))(?=\s|$)"
)
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})|%00")


class ConnInfo(NamedTuple):
    """The parts of a connection string that are not secret. None means that libpq's default is used.

    Attributes:
        user: the role.
        host: the host, the folder of the socket, or several of them separated by commas.
        port: the port, or several separated by commas.
        database: the database.
    """

    user: str | None
    host: str | None
    port: str | None
    database: str | None

    def describe(self) -> str:
        """The address as `user@host:port/database`, without the parts that are not known."""
        hosts = (self.host or "(default host)").split(",")
        ports = (self.port or "").split(",")
        if len(ports) != len(hosts):
            # One port is for all hosts. For any other number of ports, libpq reports an error.
            ports = (ports if len(ports) == 1 else [""]) * len(hosts)
        text = ",".join(map(_host_and_port, hosts, ports))
        if self.user:
            text = f"{self.user}@{text}"
        if self.database:
            text = f"{text}/{self.database}"
        return "".join(character if character.isprintable() else "…" for character in text)


def parse_conninfo(text: str, place: str) -> ConnInfo:
    """Parse a connection string in one of libpq's two forms (`postgresql://…` and `host=… user=…`).

    Args:
        text: the connection string.
        place: where it was found, for the error.

    Raises:
        ConfigurationError: it has neither form. The message quotes nothing of it, because it may hold a password.
    """
    address = _parse_url(text) if re.match(r"postgres(?:ql)?://", text) else _parse_pairs(text)
    if address is None:
        raise ConfigurationError(
            f"the database address in {place} can't be read",
            hint="Expected postgresql://user:password@host:port/database; special characters in it are %-encoded "
            "(@ is %40, / is %2F, : is %3A).",
        )
    return address


def parameter_names(text: str) -> tuple[str, ...]:
    """The names of the parameters of a connection string that `parse_conninfo` has read. They are not secret."""
    match = _URL.fullmatch(text.strip())
    if match is None:
        return tuple(name for name, _ in _pairs(text) if name)
    return tuple(unquote(pair.partition("=")[0]) for pair in (match["query"] or "").split("&") if pair)


def holds_connection_string(text: str) -> bool:
    """Whether a user, host or database is by mistake a whole connection string. Showing it might show a password."""
    return "://" in text or "=" in text


def _parse_url(text: str) -> ConnInfo | None:
    match = _URL.fullmatch(text)
    if match is None or re.search(r"[\s\x00-\x1f\x7f]", text) or _BAD_ESCAPE.search(text):
        return None
    hosts, ports = [], []
    for written in match["hosts"].split(","):
        host = _HOST.fullmatch(written)
        if host is None:
            return None
        hosts.append(host["host"])
        ports.append(host["port"] or "")
    found = {"user": match["user"], "host": ",".join(hosts), "port": ",".join(ports), "dbname": match["database"]}
    for pair in (match["query"] or "").split("&"):
        name, equals, value = pair.partition("=")
        if pair and not equals:
            return None
        found[unquote(name)] = value
    return _address({name: unquote(value) for name, value in found.items() if value is not None})


def _parse_pairs(text: str) -> ConnInfo | None:
    pairs = dict(_pairs(text))
    # `_pairs` yields an empty name for text that is not a pair.
    return None if "" in pairs or not pairs else _address(pairs)


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    position, end = 0, len(text.rstrip())
    while position < end:
        match = _PAIR.match(text, position)
        if match is None:
            yield "", ""
            return
        value = match["value"]
        if value.startswith("'"):
            value = value[1:-1]
        yield match["name"], re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL)
        position = match.end()


def _address(found: dict[str, str]) -> ConnInfo | None:
    port = found.get("port", "")
    if not _PORTS.fullmatch(port):
        return None
    # Some libpq functions accept a connection string as the database name, so users write one there.
    if any(holds_connection_string(found.get(name, "")) for name in ("user", "host", "hostaddr", "dbname")):
        return None
    return ConnInfo(
        user=found.get("user") or None,
        host=found.get("host") or found.get("hostaddr") or None,
        port=port if port.strip(",") else None,
        database=found.get("dbname") or None,
    )


def _host_and_port(host: str, port: str) -> str:
    bracketed = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return f"{bracketed}:{port}" if port else bracketed
