"""What to do about a server that can't be reached: certificates, TLS and limits are not a server that is down.

The texts are those of libpq 18, as a TLS server with a foreign certificate and a server without TLS caused them.
"""

from __future__ import annotations

import psycopg
import pytest

from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.store.connect_hint import connect_hint
from fluxbase_cli.store.refused_connection import TooManyConnectionsError

_DATABASE = DatabaseSettings.from_url("postgresql://u@db/d", "the test")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("SSL error: certificate verify failed", "Name the certificate of the authority: sslrootcert=FILE in the URL"),
        (
            'server certificate for "elsewhere" does not match host name "db"',
            "set database.ssl_mode (sslmode in the URL)",
        ),
        ('root certificate file "/nope" does not exist', "Name the certificate of the authority"),
        ('could not read certificate file "/nope"', "Check the certificate of the client"),
        ("server does not support SSL, but SSL was required", "Turn on TLS at the server"),
        ('weak sslmode "verify-ca" may not be used with sslrootcert=system', "Correct database.ssl_mode"),
    ],
)
def test_a_failure_of_tls_is_not_answered_with_whether_the_server_is_up(text: str, hint: str) -> None:
    told = connect_hint(_DATABASE, psycopg.OperationalError(text))
    assert hint in told
    assert "is up" not in told


def test_a_server_that_is_down_is_answered_with_where_its_address_is_from() -> None:
    told = connect_hint(_DATABASE, psycopg.OperationalError("Connection refused"))
    assert told == "Check that the server is up and that this address is right (the test)."


def test_a_server_that_takes_no_more_connections_is_up() -> None:
    told = connect_hint(_DATABASE, TooManyConnectionsError('too many connections for role "u"'))
    assert told.startswith("End sessions that are not needed, or raise the limit")
