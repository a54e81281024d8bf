"""The section `database`: where the server's PostgreSQL is, and as whom to connect."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fluxbase_cli.config.conninfo import ConnInfo, holds_connection_string, parse_conninfo
from fluxbase_cli.config.secret import Secret
from fluxbase_cli.errors import ConfigurationError

if TYPE_CHECKING:
    from fluxbase_cli.config.reader import Reader, SettingValue

_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_MAX_PORT = 65535
_URL_VARIABLE = "FLUXBASE_DATABASE_URL"


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """Where and as whom to connect.

    Either `url` is set and says it all, and the other fields tell of it what may be shown; or `url` is None and the
    other fields are the connection. The defaults are the server's.

    Attributes:
        host: the host or the socket's folder; None when the URL leaves it to libpq.
        port: the port; None when the URL leaves it to libpq, or has several.
        user: `admin_user`, else `user`: the server's own role is not enough to see all rows.
        password: `admin_password`, else `password`; empty leaves it to libpq (`~/.pgpass`).
        database: the database.
        ssl_mode: one of libpq's; None when the URL says it or leaves it to libpq.
        url: a connection string in either of libpq's forms.
        source: the place where the connection is configured, never a value.
        instead: another database on the same server to connect to, with all else as it is.
    """

    host: str | None = "localhost"
    port: int | None = 5432
    user: str | None = "postgres"
    password: Secret = Secret("postgres")  # noqa: RUF009  # immutable
    database: str | None = "fluxbase"
    ssl_mode: str | None = "disable"
    url: Secret | None = None
    source: str = "defaults"
    instead: str | None = None

    @property
    def name(self) -> str:
        """The database's name, as far as it is configured."""
        return self.instead or self.database or "the default one"

    def with_database(self, database: str) -> DatabaseSettings:
        """The same server and role, and another database."""
        return replace(self, instead=database)

    @classmethod
    def from_url(cls, url: str, source: str = "--database-url") -> DatabaseSettings:
        """Settings that connect to a URL, or to a connection string of the form `host=… user=…`.

        Args:
            url: the connection string; white space around it is dropped.
            source: the place it was found.

        Raises:
            ConfigurationError: it can't be read. The message quotes nothing of it.
        """
        address = parse_conninfo(url.strip(), source)
        return cls(
            host=address.host,
            port=int(address.port) if address.port is not None and "," not in address.port else None,
            user=address.user,
            password=Secret(""),
            database=address.database,
            ssl_mode=None,
            url=Secret(url.strip()),
            source=source,
        )

    def connection_parameters(self) -> dict[str, str | int]:
        """What `psycopg.connect` takes as keyword arguments. It holds the password: never show it.

        Another database (`instead`) is not in it: whoever connects puts it in the place of what stands here.
        """
        if self.url is not None:
            return {"conninfo": self.url.reveal()}
        parameters: dict[str, str | int | None] = {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password.reveal(),
            "dbname": self.database,
            "sslmode": self.ssl_mode,
        }
        return {name: value for name, value in parameters.items() if value is not None and value != ""}

    def describe(self) -> str:
        """The address as `user@host:port/database`, for messages: no password, whatever the form."""
        if self.url is not None:
            address = parse_conninfo(self.url.reveal(), self.source)
            return (address if self.instead is None else address._replace(database=self.instead)).describe()
        port = None if self.port is None else str(self.port)
        return ConnInfo(self.user, self.host, port, self.instead or self.database).describe()


def read_database(reader: Reader, database_url: str | None) -> DatabaseSettings:
    """Read the connection: `database_url`, else `FLUXBASE_DATABASE_URL`, else `database.*`.

    Args:
        reader: the file and the environment.
        database_url: what the option `--database-url` says, if it was given.

    Raises:
        ConfigurationError: a setting can't be used.
    """
    if database_url:
        return DatabaseSettings.from_url(database_url)
    url = reader.variable(_URL_VARIABLE)
    if url is not None:
        return DatabaseSettings.from_url(url.text, url.place)
    host = _plain(reader, "host")
    user = _plain(reader, "admin_user") or _plain(reader, "user")
    database = _plain(reader, "database")
    admin_password = reader.text("database.admin_password")
    password = (
        admin_password if admin_password is not None and admin_password.text else reader.text("database.password")
    )
    ssl_mode = _ssl_mode(reader)
    default = DatabaseSettings()
    port = reader.integer("database.port", minimum=1, maximum=_MAX_PORT)
    return DatabaseSettings(
        host=host.text if host else default.host,
        port=default.port if port is None else port,
        user=user.text if user else default.user,
        # Unlike elsewhere an empty text in the file counts: it is how to leave the password to ~/.pgpass.
        password=default.password if password is None else Secret(password.text),
        database=database.text if database else default.database,
        ssl_mode=ssl_mode.text if ssl_mode else default.ssl_mode,
        source=_source(reader),
    )


def _plain(reader: Reader, name: str) -> SettingValue | None:
    """A setting that is shown to the user; None when it is not set or empty."""
    found = reader.text(f"database.{name}")
    if found is None or not found.text:
        return None
    if holds_connection_string(found.text):
        raise ConfigurationError(
            f"{found.place} is a whole connection string", hint=f"That goes into {_URL_VARIABLE} or --database-url."
        )
    return found


def _ssl_mode(reader: Reader) -> SettingValue | None:
    found = reader.text("database.ssl_mode")
    if found is None or not found.text:
        return None
    if found.text not in _SSL_MODES:
        raise ConfigurationError(f"{found.place} must be one of {', '.join(_SSL_MODES)}")
    return found


def _source(reader: Reader) -> str:
    section = reader.section("database")
    places = [] if section is None else [section.place]
    settings = ("host", "port", "user", "admin_user", "password", "admin_password", "database", "ssl_mode")
    variables = (reader.environment.get(f"FLUXBASE_DATABASE_{name.upper()}") for name in settings)
    places += [variable.place for variable in variables if variable is not None]
    return "; ".join(places) or DatabaseSettings().source
