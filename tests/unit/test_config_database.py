"""Where the database is, and what the output shows of its address."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from fluxbase_cli.config import DatabaseSettings, Secret, load_settings
from fluxbase_cli.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

FILE = """
database:
  host: file-host
  port: 6001
  user: app
  admin_user: boss
  password: app-password
  admin_password: boss-password
  database: file-db
  ssl_mode: require
"""


def load(
    directory: Path, text: str = "", environ: dict[str, str] | None = None, database_url: str | None = None
) -> DatabaseSettings:
    (directory / "fluxbase.yaml").write_text(text, encoding="utf-8")
    return load_settings(
        database_url=database_url, directory=directory, environ=environ or {}, system_directory=directory / "etc"
    ).database


def refusal(directory: Path, text: str = "", environ: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(directory, text, environ)
    return f"{caught.value.message} {caught.value.hint or ''}"


def test_the_file_is_read(tmp_path: Path) -> None:
    database = load(tmp_path, FILE)
    assert database.connection_parameters() == {
        "host": "file-host",
        "port": 6001,
        "user": "boss",
        "password": "boss-password",
        "dbname": "file-db",
        "sslmode": "require",
    }
    assert database.describe() == "boss@file-host:6001/file-db"
    assert database.source == "fluxbase.yaml: database"


@pytest.mark.parametrize(
    ("variable", "value", "parameter", "expected"),
    [
        ("HOST", "env", "host", "env"),
        ("PORT", "7", "port", 7),
        ("ADMIN_USER", "env", "user", "env"),
        ("ADMIN_PASSWORD", "env", "password", "env"),
        ("DATABASE", "env", "dbname", "env"),
        ("SSL_MODE", "verify-full", "sslmode", "verify-full"),
    ],
)
def test_a_variable_beats_the_file_and_an_empty_one_does_not(
    tmp_path: Path, variable: str, value: str, parameter: str, expected: object
) -> None:
    name = f"FLUXBASE_DATABASE_{variable}"
    before = load(tmp_path, FILE).connection_parameters()
    database = load(tmp_path, FILE, {name: value})
    assert database.connection_parameters() == {**before, parameter: expected}
    assert database.source == f"fluxbase.yaml: database; environment: {name}"
    assert load(tmp_path, FILE, {name: ""}).connection_parameters() == before


def test_admin_user_and_admin_password_fall_back_independently(tmp_path: Path) -> None:
    for text, user, password in (
        ("{user: u, password: p, admin_user: U}", "U", "p"),
        ("{user: u, password: p, admin_password: P}", "u", "P"),
        ("{user: u, password: p, admin_user: '', admin_password: ''}", "u", "p"),
        # Without a password libpq looks for one first.
        ("{admin_user: U}", "U", None),
        ("{}", "postgres", None),
    ):
        database = load(tmp_path, f"database: {text}")
        parameters = database.connection_parameters()
        assert (parameters["user"], parameters.get("password")) == (user, password)
        assert database.is_default_password is (password is None)
        assert password is not None or database.password.reveal() == "postgres"
    parameters = load(tmp_path, "database: {admin_user: U}", {"FLUXBASE_DATABASE_USER": "u"}).connection_parameters()
    assert parameters["user"] == "U"
    parameters = load(tmp_path, "database: {user: u}", {"FLUXBASE_DATABASE_PASSWORD": "p"}).connection_parameters()
    assert (parameters["user"], parameters["password"]) == ("u", "p")


def test_an_empty_password_in_the_file_leaves_it_to_pgpass(tmp_path: Path) -> None:
    assert "password" not in load(tmp_path, "database: {password: ''}").connection_parameters()


def test_the_option_beats_the_variable_and_that_beats_the_section(tmp_path: Path) -> None:
    environ = {"FLUXBASE_DATABASE_URL": "postgresql://v@variable/d", "FLUXBASE_DATABASE_HOST": "host"}
    database = load(tmp_path, FILE, environ, "postgresql://o@option/d")
    assert (database.describe(), database.source) == ("o@option/d", "--database-url")
    assert database.connection_parameters() == {"conninfo": "postgresql://o@option/d"}
    database = load(tmp_path, FILE, environ, "")
    assert (database.describe(), database.source) == ("v@variable/d", "environment: FLUXBASE_DATABASE_URL")
    database = load(tmp_path, FILE, {**environ, "FLUXBASE_DATABASE_URL": ""})
    assert database.describe() == "boss@host:6001/file-db"


def test_with_a_url_errors_in_the_section_do_not_matter(tmp_path: Path) -> None:
    assert load(tmp_path, "database: {port: x, ssl_mode: y}", {}, "postgresql://h/d").describe() == "h/d"


@pytest.mark.parametrize("port", ["0", "65536", "-1", "'5432x'", "54.32", "05432", "0x10", "true", "[]", "5_432"])
def test_a_port_must_be_valid(tmp_path: Path, port: str) -> None:
    assert "fluxbase.yaml: database.port" in refusal(tmp_path, f"database: {{port: {port}}}")


@pytest.mark.parametrize("port", ["1", "65535", "'5432'", "' 5432 '"])
def test_a_port_may_be_text(tmp_path: Path, port: str) -> None:
    assert load(tmp_path, f"database: {{port: {port}}}").port == int(port.strip("' "))


def test_an_ssl_mode_must_be_one_of_libpqs_and_is_not_echoed(tmp_path: Path) -> None:
    for mode in ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"):
        assert load(tmp_path, f"database: {{ssl_mode: {mode}}}").ssl_mode == mode
    message = refusal(tmp_path, "", {"FLUXBASE_DATABASE_SSL_MODE": "hunter2"})
    assert "environment: FLUXBASE_DATABASE_SSL_MODE must be one of disable," in message
    assert "hunter2" not in message


def test_a_number_or_boolean_without_quotes_is_taken_as_text(tmp_path: Path) -> None:
    database = load(tmp_path, "database: {password: 123456, user: on, database: 7}")
    assert (database.password.reveal(), database.user, database.database) == ("123456", "on", "7")


@pytest.mark.parametrize("value", ["0123", "1_000", "12e34", "0x1F", "12:34:56", "2024-01-01", "9999999999999999999"])
def test_a_password_that_yaml_does_not_read_as_text_must_be_quoted(tmp_path: Path, value: str) -> None:
    message = refusal(tmp_path, f"database: {{password: {value}}}")
    assert "fluxbase.yaml: database.password is not text: put quotes around it" in message
    assert value not in message.replace("0123 or 12e34", "")
    assert load(tmp_path, f"database: {{password: '{value}'}}").password.reveal() == value


@pytest.mark.parametrize("name", ["host", "user", "database"])
@pytest.mark.parametrize("value", ["postgresql://u:hunter2@h/d", "host=h password=hunter2"])
def test_a_connection_string_in_the_wrong_place_is_refused_and_not_shown(tmp_path: Path, name: str, value: str) -> None:
    message = refusal(tmp_path, f"database: {{{name}: '{value}'}}")
    assert f"database.{name} is a whole connection string" in message
    assert "hunter2" not in message


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:hunter2@h:6/d", "u@h:6/d"),
        ("postgres://u:hunter2@h/d?sslmode=require&application_name=x", "u@h/d"),
        ("postgresql://u:hunter2@h1:1,h2:2/d", "u@h1:1,h2:2/d"),
        ("postgresql://h/d?user=u&password=hunter2&port=7", "u@h:7/d"),
        ("postgresql://u:hunter2@[::1]:6/d", "u@[::1]:6/d"),
        ("postgresql://u:hunter2#?x@h/d", "u@h/d"),
        ("postgresql://u%40corp:hunter2@%2Frun%2Fpg/d%20b", "u@corp@/run/pg/d b"),
        ("postgresql:///d?host=/run", "/run/d"),
        ("postgresql://", "(default host)"),
        (" postgresql://u:hunter2@h/d\n", "u@h/d"),
        ("host=h port=6 user=u password=hunter2 dbname=d", "u@h:6/d"),
        (r"host = h user='u\'s' password='hun ter2 host=x' dbname=d", "u's@h/d"),
        (r"user=a\ b password=hunter2\'x host=h", "a b@h"),
        ("hostaddr=::1 port=6 password=hunter2", "[::1]:6"),
        ("host=a,b port=6 user=u", "u@a:6,b:6"),
        ("postgresql://u:hunter2@h/\x1b[31m".replace("\x1b", "%1B"), "u@h/…[31m"),
    ],
)
def test_an_address_is_described_without_its_password(url: str, shown: str) -> None:
    database = DatabaseSettings.from_url(url)
    assert database.describe() == shown
    assert database.connection_parameters() == {"conninfo": url.strip()}
    assert "hunter2" not in repr(database)


@pytest.mark.parametrize(
    "url",
    [
        "hunter2",
        "mysql://u:hunter2@h/d",
        "postgresql:/u:hunter2@h/d",
        "postgresql://u:hunter2/x@h/d",
        "postgresql://u:12/hunter2@h/d",
        "postgresql://u:12?hunter2@h/d@e",
        "postgresql://u:hun@ter2@h/d",
        "postgresql://u:hunter2@h:port/d",
        "postgresql://u:hunter2@h:123456/d",
        "postgresql://u:hunter2@h/d?x",
        "postgresql://u:hunter2%zz@h/d",
        "postgresql://u:hun ter2@h/d",
        "postgresql://[hunter2/d",
        "host=h password='hunter2",
        "host=h password=hunter2 x",
        "host=h password=hunter2 port=x",
        "dbname=postgresql://u:hunter2@h/d",
        "postgresql://h/password%3Dhunter2",
    ],
)
def test_a_malformed_address_is_refused_and_not_quoted(tmp_path: Path, url: str) -> None:
    message = refusal(tmp_path, "", {"FLUXBASE_DATABASE_URL": url})
    assert "environment: FLUXBASE_DATABASE_URL can't be read" in message
    for piece in ("hun", "ter2", "12"):
        assert piece not in message


ALPHABET = st.text(st.sampled_from("ab1:/@?#%&=,[]' \\$.é"), max_size=8)
PASSWORD = ALPHABET.map(lambda text: f"Zq{text}Zq")


@given(user=ALPHABET, password=PASSWORD, database=ALPHABET)
def test_an_encoded_url_is_read_as_libpq_reads_it(user: str, password: str, database: str) -> None:
    assume(not any("=" in text or "://" in text for text in (user, database)))
    url = f"postgresql://{quote(user, safe='')}:{quote(password, safe='')}@h:6/{quote(database, safe='')}"
    settings = DatabaseSettings.from_url(url)
    theirs = conninfo_to_dict(url)
    assert (settings.user or "", settings.database or "") == (theirs.get("user", ""), theirs.get("dbname", ""))
    assert "Zq" not in settings.describe() + repr(settings)


@given(user=ALPHABET, password=PASSWORD, database=ALPHABET)
def test_pairs_are_read_as_libpq_reads_them(user: str, password: str, database: str) -> None:
    assume(not any("=" in text or "://" in text for text in (user, database)))
    text = make_conninfo(host="h", user=user, password=password, dbname=database)
    settings = DatabaseSettings.from_url(text)
    assert (settings.user or "", settings.database or "") == (user, database)
    assert "Zq" not in settings.describe() + repr(settings)


@given(password=PASSWORD)
@example("Zq12/x@Zq")
@example("Zq@Zq")
def test_an_unencoded_password_is_hidden_or_refused_but_never_shown(password: str) -> None:
    url = f"postgresql://u:{password}@h/d"
    try:
        shown = DatabaseSettings.from_url(url).describe()
    except ConfigurationError as error:
        shown = f"{error.message} {error.hint}"
    assert "Zq" not in shown


@given(st.text(st.sampled_from("ab1:/@?%&=,[]' \\"), max_size=14).map(lambda rest: f"postgresql://{rest}"))
def test_where_libpq_accepts_a_url_that_we_accept_it_sees_the_same_parts(url: str) -> None:
    try:
        settings = DatabaseSettings.from_url(url)
        theirs = conninfo_to_dict(url.strip())
    except (ConfigurationError, ProgrammingError, UnicodeDecodeError):
        return
    assert (settings.user or "") == (theirs.get("user") or "")
    assert (settings.database or "") == (theirs.get("dbname") or "")


def test_settings_can_be_made_in_code_without_arguments() -> None:
    assert DatabaseSettings().describe() == "postgres@localhost:5432/fluxbase"
    assert DatabaseSettings(host="::1", password=Secret("")).describe() == "postgres@[::1]:5432/fluxbase"
