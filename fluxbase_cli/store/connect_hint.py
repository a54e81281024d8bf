"""What to do about a server that can't be reached."""

from __future__ import annotations

import psycopg

from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.config.database import DEFAULT_SOURCE
from fluxbase_cli.store.refused_connection import FREE_CONNECTIONS, TooManyConnectionsError

_AUTHORITY = "the certificate of the authority: sslrootcert=FILE in the URL, or PGSSLROOTCERT"
_MODE = "database.ssl_mode (sslmode in the URL)"
#: Words of libpq (`fe-secure-openssl.c`, `fe-secure-common.c`, `fe-connect.c`), and what to do. The first that fits
#: counts.
_TLS = (
    (
        "does not match host name",
        f"Connect by the name that is in the server's certificate, or set {_MODE} to verify-ca: it compares no names.",
    ),
    (
        "certificate verify failed",
        f"The server's certificate is not signed by an authority that is trusted here. Name {_AUTHORITY}.",
    ),
    (
        "root certificate file",
        f"Name {_AUTHORITY}. `system` stands for the authorities that this machine trusts.",
    ),
    ("certificate", "Check the certificate of the client: sslcert and sslkey in the URL, or PGSSLCERT and PGSSLKEY."),
    ("private key file", "Check the key of the client: sslkey in the URL, or PGSSLKEY. No others may read it."),
    (
        "does not support SSL",
        f"Turn on TLS at the server (ssl = on), or change {_MODE}: disable and prefer need no TLS.",
    ),
    ("sslmode", f"Correct {_MODE}."),
)


def connect_hint(database: DatabaseSettings, error: psycopg.Error) -> str:
    """What to do about a server that can't be reached.

    Args:
        database: the address.
        error: the failure.
    """
    if isinstance(error, TooManyConnectionsError):
        return FREE_CONNECTIONS
    if database.source == DEFAULT_SOURCE:
        return (
            "No database is configured, so the default address was used. Set database.* in fluxbase.yaml, "
            "FLUXBASE_DATABASE_URL or --database-url."
        )
    text = str(error)
    for words, hint in _TLS:
        if words in text:
            return hint
    return f"Check that the server is up and that this address is right ({database.source})."
