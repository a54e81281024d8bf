"""The section `database`: the address of the server's PostgreSQL, and the role to connect as."""

from __future__ import annotations

import re
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
#: `[::1]`, `[::1]:5432`, `db.example.com:5432`. An address of IPv6 without brackets has no port.
_HOST = re.compile(
    r"(?:\[(?P<bracketed>[0-9A-Fa-f:.]+(?:%[^\]]+)?)\]|(?P<name>[^:/,@\[\]]+))(?::(?P<port>[0-9]{1,5}))?"
)
_PORT_OF_ONE = re.compile(r":[0-9]{1,5}(?:,|$)")


#: The source of settings that are not configured.
DEFAULT_SOURCE = "defaults"


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """The address of the database and the role to connect as.

    If `url` is set, it alone decides the connection, and the other fields hold the parts that may be shown. If `url` is
    None, the other fields decide the connection. The defaults are the same as the server's.

    Attributes:
        host: the host or the folder of the socket; None if the URL leaves it to libpq.
        port: the port; None if the URL leaves it to libpq, or has several.
        user: `admin_user`, otherwise `user`. The role of the server itself can't see all rows.
        password: `admin_password`, otherwise `password`. If it is empty, libpq finds it (`~/.pgpass`).
        is_default_password: none is configured. The server's default is sent only if libpq finds no other one
            (`PGPASSWORD`, `PGPASSFILE`, `~/.pgpass`) and the server asks for one.
        database: the database.
        ssl_mode: one of libpq's modes; None if the URL sets it or leaves it to libpq.
        url: a connection string in one of libpq's two forms.
        source: where the connection is configured, never a value.
        instead: connect to this database on the same server, with the same other settings.
    """

    host: str | None = "localhost"
    port: int | None = 5432
    user: str | None = "postgres"
    password: Secret = Secret("postgres")  # noqa: RUF009  # immutable
    database: str | None = "fluxbase"
    ssl_mode: str | None = "disable"
    url: Secret | None = None
    source: str = DEFAULT_SOURCE
    instead: str | None = None
    is_default_password: bool = False

    @property
    def name(self) -> str:
        """The name of the database, or a placeholder if none is configured."""
        return self.instead or self.database or "the default one"

    def with_database(self, database: str) -> DatabaseSettings:
        """The same settings with another database on the same server."""
        return replace(self, instead=database)

    @classmethod
    def from_url(cls, url: str, source: str = "--database-url") -> DatabaseSettings:
        """Make settings from a URL, or from a connection string of the form `host=… user=…`.

        Args:
            url: the connection string; white space around it is removed.
            source: where it was found.

        Raises:
            ConfigurationError: the string can't be parsed. The message quotes nothing of it.
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
        """The keyword arguments for `psycopg.connect`. They hold the password: never show them.

        They do not hold `instead`. The code that connects must replace the database by it.
        """
        if self.url is not None:
            return {"conninfo": self.url.reveal()}
        parameters: dict[str, str | int | None] = {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": None if self.is_default_password else self.password.reveal(),
            "dbname": self.database,
            "sslmode": self.ssl_mode,
        }
        return {name: value for name, value in parameters.items() if value is not None and value != ""}

    def describe(self) -> str:
        """The address as `user@host:port/database`, for messages. It never holds a password."""
        if self.url is not None:
            address = parse_conninfo(self.url.reveal(), self.source)
            return (address if self.instead is None else address._replace(database=self.instead)).describe()
        port = None if self.port is None else str(self.port)
        return ConnInfo(self.user, self.host, port, self.instead or self.database).describe()


def read_database(reader: Reader, database_url: str | None) -> DatabaseSettings:
    """Read the connection from `database_url`, otherwise `FLUXBASE_DATABASE_URL`, otherwise `database.*`.

    Args:
        reader: the file and the environment.
        database_url: the value of the option `--database-url`, if it was given.

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
    named, port_of_host = (default.host, None) if host is None else _host_and_port(host)
    if port_of_host is not None and port not in (None, port_of_host):
        raise ConfigurationError(
            f"database.port is {port}, and {host.place if host else 'database.host'} names port {port_of_host}",
            hint="Write the port in one place.",
        )
    return DatabaseSettings(
        host=named,
        port=port_of_host or port or default.port,
        user=user.text if user else default.user,
        # Only here, an empty text in the file counts as set: it means that the password is in ~/.pgpass.
        password=default.password if password is None else Secret(password.text),
        database=database.text if database else default.database,
        ssl_mode=ssl_mode.text if ssl_mode else default.ssl_mode,
        source=_source(reader),
        is_default_password=password is None,
    )


def _host_and_port(found: SettingValue) -> tuple[str, int | None]:
    """Read a host, also one in brackets or with its port. A folder of a socket and several hosts stay as they are.

    Raises:
        ConfigurationError: the port can't be used, or several hosts have ports.
    """
    text = found.text.strip()
    match = _HOST.fullmatch(text)
    if match is not None:
        port = None if match["port"] is None else int(match["port"])
        if port is not None and not 1 <= port <= _MAX_PORT:
            raise ConfigurationError(f"{found.place}: the port must be a whole number from 1 to {_MAX_PORT}")
        return match["bracketed"] or match["name"], port
    if "," in text and _PORT_OF_ONE.search(text):
        raise ConfigurationError(
            f"{found.place} has several hosts with ports",
            hint=f"Write them into {_URL_VARIABLE}, as postgresql://user@one:5432,two:5433/database.",
        )
    return text, None


def _plain(reader: Reader, name: str) -> SettingValue | None:
    """Read a setting that is shown to the user. Return None if it is not set or empty."""
    found = reader.text(f"database.{name}")
    if found is None or not found.text:
        return None
    if holds_connection_string(found.text):
        raise ConfigurationError(
            f"{found.place} is a whole connection string",
            hint=f"Set {_URL_VARIABLE} to it, or pass it with --database-url.",
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
    return "; ".join(places) or DEFAULT_SOURCE
