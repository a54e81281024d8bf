"""Settings of the database, of the role and of PGOPTIONS do not change what the tool reads, writes or waits for."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.engine.observe.status import job_details, recent_jobs
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.store.connection import connect, session
from fluxbase_cli.store.refused_connection import TooManyConnectionsError
from tests.fixtures.command import with_password
from tests.fixtures.fluxbase import Fluxbase, Role

#: Each of these has made a command fail, or changes what a value or a statement means.
_HOSTILE = {
    "DateStyle": "SQL, DMY",
    "IntervalStyle": "sql_standard",
    "TimeZone": "America/St_Johns",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "standard_conforming_strings": "off",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "quote_all_identifiers": "on",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "search_path": "public, pg_catalog",
    "lock_timeout": "1ms",
    "statement_timeout": "150ms",
    "idle_in_transaction_session_timeout": "1ms",
    "idle_session_timeout": "400ms",
}


def _set_for_database(flux: Fluxbase, settings: dict[str, str]) -> None:
    later = {"transaction_timeout": "100ms"}
    with psycopg.connect(flux.url, autocommit=True) as connection:
        if connection.info.server_version >= 170000:
            settings = settings | later
        for name, value in settings.items():
            connection.execute(f"ALTER DATABASE {connection.info.dbname} SET {name} = '{value}'".encode())


def test_a_job_an_audit_and_the_status_work_with_any_settings_of_the_database(full: Fluxbase) -> None:
    _set_for_database(full, _HOSTILE)

    assert full.run(dry_run=True).state == "dry-run"
    report = full.run(workers=2)
    assert report.state == "completed"
    assert report.job is not None
    assert full.audit(1).found == 0

    job = job_details(full.database, report.job).summary.job
    assert job.created_at.utcoffset() == UTC.utcoffset(None)
    assert [each.job.id for each in recent_jobs(full.database)] == [report.job]


def test_no_time_limit_of_the_server_holds_in_our_sessions(full: Fluxbase) -> None:
    _set_for_database(full, _HOSTILE)

    with session(full.database) as connection:
        connection.execute("BEGIN; SELECT pg_sleep(0.3)")
        connection.execute("COMMIT")
        assert connection.execute("SELECT '2026-02-01'::date::text, NULL = NULL").fetchone() == ("2026-02-01", None)


def test_settings_of_the_environment_do_not_hold_in_our_sessions(
    full: Fluxbase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGDATESTYLE", "German")
    monkeypatch.setenv("PGTZ", "Asia/Kathmandu")
    monkeypatch.setenv("PGOPTIONS", "-c statement_timeout=100 -c bytea_output=escape")

    with session(full.database) as connection:
        connection.execute("SELECT pg_sleep(0.3)")
        row = connection.execute("SELECT now()::date::text, current_setting('TimeZone')").fetchone()
    assert row is not None
    assert (row[0][4], row[1]) == ("-", "UTC")


# --- the server's words -----------------------------------------------------------------------------------------------

#: What a server answers in another language. The texts are made as long as the English ones: a message has its length.
_WORDS = {
    english: other.ljust(len(english))
    for english, other in {
        b"password authentication failed for user": b"Passwort-Anmeldung schlug fehl:",
        b"does not exist": b"gibt es nicht",
        b"too many connections for role": b"zu viele Verbindungen:",
    }.items()
}


@contextmanager
def _translated(url: str) -> Iterator[str]:
    """The server of a URL, whose messages are in another language."""
    parts = urlsplit(url)
    listener = socket.create_server(("127.0.0.1", 0))

    def pump(source: socket.socket, target: socket.socket, *, translate: bool) -> None:
        try:
            while chunk := source.recv(65536):
                for english, other in _WORDS.items() if translate else ():
                    chunk = chunk.replace(english, other)
                target.sendall(chunk)
        except OSError:
            pass
        finally:
            source.close()
            target.close()

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.create_connection((parts.hostname or "localhost", parts.port or 5432))
            threading.Thread(target=pump, args=(client, server), kwargs={"translate": False}, daemon=True).start()
            threading.Thread(target=pump, args=(server, client), kwargs={"translate": True}, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        netloc = f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{listener.getsockname()[1]}"
        yield urlunsplit(parts._replace(netloc=netloc))
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def test_a_wrong_password_role_or_database_is_a_wrong_configuration_in_any_language(flux: Fluxbase) -> None:
    with _translated(flux.url) as url:
        wrong = {
            "Anmeldung": with_password(url, "wrong-password-marker"),
            "gibt es nicht": urlunsplit(urlsplit(url)._replace(path="/nowhere")),
        }
        for words, address in wrong.items():
            with pytest.raises(ConfigurationError, match=words) as refused:
                connect(DatabaseSettings.from_url(address, "the test"))
            assert "wrong-password-marker" not in str(refused.value)


def test_a_missing_password_is_a_wrong_configuration(flux: Fluxbase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSFILE", "/nowhere")
    parts = urlsplit(flux.url)
    url = urlunsplit(parts._replace(netloc=f"postgres@{parts.netloc.rpartition('@')[2]}"))

    with pytest.raises(ConfigurationError, match="asks for a password, and none is configured"):
        connect(DatabaseSettings.from_url(url, "the test"))


def test_too_many_connections_are_told_apart_in_any_language(flux: Fluxbase, role: Role) -> None:
    flux.rows(f"ALTER ROLE {role.name} CONNECTION LIMIT 0")
    assert role.database.url is not None

    with _translated(role.database.url.reveal()) as url, pytest.raises(TooManyConnectionsError, match="zu viele"):
        connect(DatabaseSettings.from_url(url, "the test"))
