"""What the server's log in the database says about sign-ins."""

from __future__ import annotations

from dataclasses import dataclass

from fluxbase_cli.security.database.rows import FILE, require
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.queries import Statements

#: Sign-ins are compared with the log over this time.
DAYS = 7
#: So many failures in 24 hours are many: from an address, and for an account.
FROM_ADDRESS, FOR_ACCOUNT = 50, 20
_LOG = ("category", "timestamp", "fields", "ip_address", "user_id")


@dataclass(frozen=True, slots=True)
class Recent:
    """What happened in the last days.

    Attributes:
        signed_in: whether anybody signed in.
        logged: whether a security event was logged.
    """

    signed_in: bool
    logged: bool


@dataclass(frozen=True, slots=True)
class FailingAddress:
    """An address with many failed sign-ins in the last 24 hours.

    Attributes:
        address: the address.
        failures: their number.
        succeeded: whether a sign-in from there succeeded after the first failure.
    """

    address: str
    failures: int
    succeeded: bool


@dataclass(frozen=True, slots=True)
class Failures:
    """Failed sign-ins in the last 24 hours.

    Attributes:
        addresses: the addresses with many of them, at most 20.
        accounts: the number of accounts with many of them.
        locked: how often an account was locked.
    """

    addresses: tuple[FailingAddress, ...]
    accounts: int
    locked: int


def read_recent(connection: Connection) -> Recent:
    """Sign-ins and security events of the last days.

    Raises:
        NotCheckedError: this release has no such tables.
    """
    require(connection, {"auth.sessions": ("created_at",), "logging.entries": _LOG})
    (row,) = Statements(connection, FILE).rows("signed_in", days=DAYS)
    return Recent(**row)


def read_failures(connection: Connection) -> Failures:
    """Failed sign-ins of the last 24 hours.

    Raises:
        NotCheckedError: this release has no such table.
    """
    require(connection, {"logging.entries": _LOG})
    statements = Statements(connection, FILE)
    (row,) = statements.rows("failures_by_account", least=FOR_ACCOUNT)
    addresses = statements.rows("failures_by_address", least=FROM_ADDRESS)
    return Failures(tuple(FailingAddress(**each) for each in addresses), row["accounts"], row["locked"])
