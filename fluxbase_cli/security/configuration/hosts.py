"""Tells hosts apart: this machine, a private network, or anywhere."""

from __future__ import annotations

import ipaddress
from enum import Enum


class Reach(Enum):
    """Who can reach a host, as far as its name tells."""

    LOOPBACK = "this machine"
    PRIVATE = "a private network"
    PUBLIC = "anywhere"


_LOCAL_ENDINGS = (".localhost", ".localdomain")
#: Names that only the resolver of a cluster, a container network or a company knows.
_PRIVATE_ENDINGS = (".local", ".internal", ".svc", ".cluster.local", ".lan", ".home.arpa", ".intranet", ".docker")


def reach_of(host: str) -> Reach:
    """Who can reach a host.

    Args:
        host: a name, an address, or the folder of a socket; empty counts as this machine.
    """
    name = host.strip().strip("[]").rstrip(".").lower()
    if not name or name.startswith(("/", "@")) or name == "localhost" or name.endswith(_LOCAL_ENDINGS):
        return Reach.LOOPBACK
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        # A name without a dot is a service in the same network of containers.
        return Reach.PRIVATE if "." not in name or name.endswith(_PRIVATE_ENDINGS) else Reach.PUBLIC
    if address.is_loopback or address.is_unspecified:
        return Reach.LOOPBACK
    return Reach.PRIVATE if address.is_private or address.is_link_local else Reach.PUBLIC
