"""The section `security.encryption.server`: how the server gets its key, and how it is stopped and started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from fluxbase_cli.config.command import read_words
from fluxbase_cli.config.names import SectionNames
from fluxbase_cli.config.secret import Secret
from fluxbase_cli.config.url import is_web_address
from fluxbase_cli.duration import parse_duration
from fluxbase_cli.errors import ConfigurationError

if TYPE_CHECKING:
    from fluxbase_cli.config.reader import Reader

SECTION = "security.encryption.server"
NAMES = SectionNames(
    SECTION,
    frozenset(
        {
            "env_file",
            "health_timeout",
            "health_url",
            "ignore_sessions",
            "install_key_command",
            "keyring",
            "pass_environment",
            "session_timeout",
            "settle_time",
            "start_command",
            "stop_command",
            "verify_command",
        }
    ),
)
#: The variable that tells every released server its key.
SERVER_KEY_VARIABLE = "FLUXBASE_ENCRYPTION_KEY"
#: A server gets its key in this many bytes of text.
SERVER_KEY_BYTES = 32

_COMMANDS = ("install_key_command", "stop_command", "start_command", "verify_command")
_EXAMPLE = '["docker", "compose", "stop", "fluxbase"]'


class ServerKeyring(StrEnum):
    """How many keys the server knows."""

    #: By the configuration: single if `encryption_key` is configured, else versioned.
    AUTO = "auto"
    #: One key, as every released server.
    SINGLE = "single"
    #: The keys of `security.encryption.keys`.
    VERSIONED = "versioned"


@dataclass(frozen=True, slots=True)
class ServerKey:
    """The setting `encryption_key`: the key that the server has, as far as the configuration says.

    Attributes:
        source: where it was found, never a value.
        value: its text.
        variable: whether it is the variable `FLUXBASE_ENCRYPTION_KEY`.
    """

    source: str
    value: Secret
    variable: bool = False

    @property
    def length(self) -> int:
        """The length of its text in bytes."""
        return len(self.value.reveal().encode("utf-8", "surrogateescape"))


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How the server gets its key, and how it is stopped and started.

    Attributes:
        keyring: how many keys it knows.
        env_file: the file in which its `FLUXBASE_ENCRYPTION_KEY` stands.
        install_key_command: the program that gives it a key, which it reads from standard input.
        stop_command, start_command: the programs that stop and start all servers of this database.
        verify_command: a program that checks whether the started server can read its secrets.
        health_url: answers 200 when the server is up.
        health_timeout: how long the server may take for that after it was started.
        settle_time: how long a healthy server is watched before the last audit.
        session_timeout: how long to wait until no other session is left after the server was stopped.
        ignore_sessions: application names and roles whose sessions may stay.
        pass_environment: variables that the commands get besides those that are needed to find and run programs.
        places: where each of these settings was found, by its name; never a value.
    """

    keyring: ServerKeyring = ServerKeyring.AUTO
    env_file: Path | None = None
    install_key_command: tuple[str, ...] = ()
    stop_command: tuple[str, ...] = ()
    start_command: tuple[str, ...] = ()
    verify_command: tuple[str, ...] = ()
    health_url: str | None = None
    health_timeout: timedelta = timedelta(seconds=60)
    settle_time: timedelta = timedelta(seconds=3)
    session_timeout: timedelta = timedelta(seconds=30)
    ignore_sessions: frozenset[str] = frozenset()
    pass_environment: frozenset[str] = frozenset()
    places: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), compare=False, repr=False)

    def place(self, name: str) -> str:
        """Where the setting with this name was found, or where it belongs."""
        return self.places.get(name, f"{SECTION}.{name}")

    @property
    def is_configured(self) -> bool:
        """Whether a cutover is meant to be possible: it says how the server is stopped or started."""
        return bool(self.stop_command or self.start_command)


def read_server(reader: Reader, directory: Path) -> ServerSettings:
    """Read the section.

    Args:
        reader: the file and the environment.
        directory: the folder at which a relative `env_file` starts.

    Raises:
        ConfigurationError: a setting can't be used.
    """
    texts = ("keyring", "env_file", "health_url", "health_timeout", "settle_time", "session_timeout")
    found = {name: each for name in texts if (each := reader.text(f"{SECTION}.{name}")) is not None and each.text}
    commands = {name: read_words(reader, f"{SECTION}.{name}", _EXAMPLE) for name in _COMMANDS}
    places = {name: each.place for name, each in found.items()}
    places |= {name: words[0].place.removesuffix("[0]") for name, words in commands.items() if words}

    def duration(name: str, default: timedelta) -> timedelta:
        return parse_duration(found[name].text, found[name].place) if name in found else default

    def words(name: str) -> tuple[str, ...]:
        return tuple(word.text for word in commands[name])

    default = ServerSettings()
    return ServerSettings(
        keyring=_keyring(reader),
        env_file=directory / Path(found["env_file"].text).expanduser() if "env_file" in found else None,
        install_key_command=words("install_key_command"),
        stop_command=words("stop_command"),
        start_command=words("start_command"),
        verify_command=words("verify_command"),
        health_url=_health_url(found["health_url"].text, places["health_url"]) if "health_url" in found else None,
        health_timeout=duration("health_timeout", default.health_timeout),
        settle_time=duration("settle_time", default.settle_time),
        session_timeout=duration("session_timeout", default.session_timeout),
        ignore_sessions=_names(reader, "ignore_sessions"),
        pass_environment=_names(reader, "pass_environment"),
        places=MappingProxyType(places),
    )


def _keyring(reader: Reader) -> ServerKeyring:
    found = reader.text(f"{SECTION}.keyring")
    if found is None or not found.text:
        return ServerKeyring.AUTO
    try:
        return ServerKeyring(found.text.strip().lower())
    except ValueError:
        raise ConfigurationError(
            f"{found.place} must be one of single, versioned, auto",
            hint="single: the server knows one key, as every released server. versioned: it reads "
            "security.encryption.keys.",
        ) from None


def _names(reader: Reader, name: str) -> frozenset[str]:
    return frozenset(word.text for word in read_words(reader, f"{SECTION}.{name}", '["NAME", "NAME"]'))


def _health_url(text: str, place: str) -> str:
    if not is_web_address(text):
        raise ConfigurationError(
            f"{place} is not a URL that begins with http:// or https://", hint="As in http://localhost:8080/health."
        )
    return text
