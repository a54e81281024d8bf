"""The address of the database in all its forms, passwords that libpq finds, and names of our sessions."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import psycopg
import pytest

from fluxbase_cli.config import DatabaseSettings, load_settings
from fluxbase_cli.demo.server import EmbeddedServer
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.store.connection import connect, connect_or_explain, session
from fluxbase_cli.store.sessions import other_sessions
from tests.fixtures.embedded import PostgresServer
from tests.fixtures.fluxbase import Fluxbase


def _configured(folder: Path, text: str, **environ: str) -> DatabaseSettings:
    (folder / "fluxbase.yaml").write_text(f"database:\n{text}", encoding="utf-8")
    return load_settings(directory=folder, environ=environ, system_directory=folder / "nothing").database


def _without_password(url: str) -> tuple[str, str]:
    """A URL without its password, and the password."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username}@{host}")), unquote(parts.password or "")


def _yaml_of(url: str) -> str:
    parts = urlsplit(url)
    return f"  host: '{parts.hostname}:{parts.port}'\n  user: {parts.username}\n  database: '{parts.path[1:]}'\n"


@pytest.mark.parametrize(
    ("host", "expected", "port"),
    [
        ("[::1]", "::1", 5432),
        ("[::1]:6", "::1", 6),
        ("::1", "::1", 5432),
        ("[fe80::1%eth0]:7", "fe80::1%eth0", 7),
        ("db.example.com:6543", "db.example.com", 6543),
        ("/var/run/postgresql", "/var/run/postgresql", 5432),
        ("one,two", "one,two", 5432),
    ],
)
def test_a_host_may_have_brackets_and_a_port(tmp_path: Path, host: str, expected: str, port: int) -> None:
    database = _configured(tmp_path, f"  host: '{host}'\n")
    assert (database.host, database.port) == (expected, port)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("  host: 'h:6'\n  port: 7\n", "database.port is 7, and .*database.host names port 6"),
        ("  host: 'h:99999'\n", "the port must be a whole number from 1 to 65535"),
        ("  host: 'one:1,two:2'\n", "has several hosts with ports"),
    ],
)
def test_a_host_whose_port_can_not_be_used_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        _configured(tmp_path, text)


def test_the_port_may_be_written_twice(tmp_path: Path) -> None:
    assert _configured(tmp_path, "  host: 'h:6'\n  port: 6\n").port == 6


def test_a_socket_folder_is_an_address(full: Fluxbase, postgres_server: PostgresServer) -> None:
    if not isinstance(postgres_server, EmbeddedServer):
        pytest.skip("the socket of the server of FLUXBASE_TEST_DATABASE_URL is not known")
    parts = urlsplit(full.url)
    folder = quote(str(postgres_server.socket_directory), safe="")
    url = f"postgresql://{parts.username}:{parts.password}@{folder}:{parts.port}{parts.path}"
    with session(DatabaseSettings.from_url(url)) as connection:
        assert connection.execute("SELECT inet_client_addr()").fetchone() == (None,)


def test_the_next_of_several_hosts_is_used(full: Fluxbase) -> None:
    parts = urlsplit(full.url)
    url = f"postgresql://{parts.username}:{parts.password}@127.0.0.1:1,{parts.hostname}:{parts.port}{parts.path}"
    with session(DatabaseSettings.from_url(url)) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_an_unknown_parameter_of_the_url_is_named(full: Fluxbase) -> None:
    _, password = _without_password(full.url)
    with pytest.raises(ConfigurationError, match="does not know: sslmod, pool_size") as refused:
        connect(DatabaseSettings.from_url(f"{full.url}?sslmod=disable&pool_size=3&connect_timeout=5"))
    assert password not in str(refused.value)


def test_options_of_the_url_hold_where_we_set_nothing(full: Fluxbase) -> None:
    with session(DatabaseSettings.from_url(f"{full.url}?options=-c%20work_mem%3D5MB%20-c%20DateStyle%3DSQL")) as own:
        assert own.execute("SELECT current_setting('work_mem'), current_setting('DateStyle')").fetchone() == (
            "5MB",
            "ISO, MDY",
        )


@pytest.mark.parametrize("how", ["PGPASSWORD", "PGPASSFILE", "~/.pgpass"])
def test_a_password_that_libpq_finds_is_used_where_none_is_configured(
    full: Fluxbase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    _, password = _without_password(full.url)
    monkeypatch.setenv("HOME", str(tmp_path))
    if how == "PGPASSWORD":
        monkeypatch.setenv("PGPASSWORD", password)
    else:
        file = tmp_path / ".pgpass"
        file.write_text(f"*:*:*:*:{password}\n", encoding="utf-8")
        file.chmod(0o600)
        if how == "PGPASSFILE":
            monkeypatch.setenv("HOME", "/nowhere")
            monkeypatch.setenv("PGPASSFILE", str(file))
    database = _configured(tmp_path, _yaml_of(full.url))
    with session(database) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_the_default_password_of_the_server_is_used_where_there_is_no_other_one(
    flux: Fluxbase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    parts = urlsplit(flux.url)
    name = f"test_{parts.path[-8:]}"
    flux.rows(f"CREATE ROLE {name} LOGIN PASSWORD 'postgres'")
    try:
        text = _yaml_of(flux.url).replace(f"user: {parts.username}", f"user: {name}")
        connect_or_explain(_configured(tmp_path, text)).close()
    finally:
        flux.rows(f"DROP ROLE {name}")


def test_our_sessions_are_not_those_of_others_under_any_name(full: Fluxbase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGAPPNAME", "from-the-environment")
    named = DatabaseSettings.from_url(f"{full.url}?application_name=key-rotation")
    with connect(named) as first, connect(full.database) as second, psycopg.connect(full.url) as other:
        names = [each.application_name for each in other_sessions(first, [first.info.dbname])]
        assert names == [each.application_name for each in other_sessions(second, [second.info.dbname])]
        assert names == ["from-the-environment"]
        assert first.execute("SHOW application_name").fetchone() == ("fluxbase-cli: key-rotation",)
        assert not other.closed
