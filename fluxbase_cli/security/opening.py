"""Opens all that rules read, and says why a part is absent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from fluxbase_cli.catalogue.releases import NEWEST_KNOWN
from fluxbase_cli.config import Settings, load_settings
from fluxbase_cli.config.database import read_database
from fluxbase_cli.config.files import SourceFile
from fluxbase_cli.config.reader import Reader, variable_name
from fluxbase_cli.errors import ConfigurationError, FluxbaseCliError
from fluxbase_cli.security.configuration.hosts import Reach, reach_of
from fluxbase_cli.security.configuration.known import MAIN, NEWEST_STABLE, RELEASES
from fluxbase_cli.security.configuration.opening import open_configuration
from fluxbase_cli.security.configuration.reading import ServerConfiguration
from fluxbase_cli.security.database.release import read_release
from fluxbase_cli.security.database.session import DatabaseFacts, open_database
from fluxbase_cli.security.exceptions import RuleException, read_exceptions
from fluxbase_cli.security.facts import NO_URL, Facts
from fluxbase_cli.security.finding import NotCheckedError
from fluxbase_cli.security.generation import Generation, generation_of
from fluxbase_cli.security.keys import KeyFacts, read_keys
from fluxbase_cli.security.live.answers import LiveFacts
from fluxbase_cli.security.live.looking import look_at
from fluxbase_cli.security.part import Absent

_NO_DATABASE = Absent("the database was left out (--no-database)")
_NO_CONFIGURATION = Absent("no fluxbase.yaml and no variable of the server was found")


@dataclass(frozen=True, slots=True)
class Asked:
    """What the operator asked for.

    Attributes:
        config: the configuration file; None searches for it.
        database_url: a connection string that overrides all other settings of the database.
        database: whether to look into the database.
        server_environment: a file with all variables of the server.
        url: the address of the live server.
        authorities: certificates of authorities to trust for it.
        release: the release of the server; None: as the database says, otherwise the newest stable one.
        production: whether to check as in production.
        compare: configuration files of other environments.
        probe: whether to look at tables as a stranger.
    """

    config: Path | None = None
    database_url: str | None = None
    database: bool = True
    server_environment: Path | None = None
    url: str | None = None
    authorities: Path | None = None
    release: str | None = None
    production: bool = False
    compare: tuple[Path, ...] = ()
    probe: bool = False


@dataclass(frozen=True, slots=True)
class Opened:
    """What is there.

    Attributes:
        facts: what rules may read.
        exceptions: findings that the operator accepts.
        release: the release whose settings count.
        database: the address of the database, without a password.
    """

    facts: Facts
    exceptions: tuple[RuleException, ...]
    release: str
    database: str

    @property
    def looked_at(self) -> tuple[str, ...]:
        """What was read, for people: files, the database, the address."""
        facts = self.facts
        found: list[str] = []
        if not isinstance(facts.read_configuration, Absent):
            labels = (facts.read_configuration.config_label, facts.read_configuration.env_label)
            found += [each for each in labels if each is not None]
            found += ["variables"] if facts.read_configuration.has_variables else []
        if not isinstance(facts.read_database, Absent):
            found.append(f"database {self.database}")
        if not isinstance(facts.read_live, Absent):
            found.append(facts.read_live.origin)
        return tuple(found)

    @property
    def config_file(self) -> str | None:
        """The name of the configuration file, if there is one."""
        found = self.facts.read_configuration
        return None if isinstance(found, Absent) else found.config_label

    @property
    def parts(self) -> dict[str, Absent | None]:
        """Each part by its name, and why it is absent."""
        facts = self.facts
        parts = {
            "configuration": facts.read_configuration,
            "database": facts.read_database,
            "url": facts.read_live,
            "keys": facts.read_keys,
        }
        return {name: part if isinstance(part, Absent) else None for name, part in parts.items()}


@contextmanager
def open_facts(asked: Asked, *, directory: Path, environ: Mapping[str, str], today: date) -> Iterator[Opened]:
    """Open all parts.

    Args:
        asked: what the operator asked for.
        directory: the working directory.
        environ: the environment of the process.
        today: the date.

    Raises:
        ConfigurationError: the command line, an exception or a named file can't be used.
    """
    release = None if asked.release is None else _known_release(asked.release)
    found, reader = open_configuration(
        config=asked.config, directory=directory, environ=environ, server_environment=asked.server_environment
    )
    exceptions = read_exceptions(reader.document)
    compared = tuple(_compared(path, directory) for path in asked.compare)
    with ExitStack() as stack:
        database, address = _database(asked, reader, stack)
        generation = _generation(release, database)
        found = replace(found, release=release or (MAIN if generation is Generation.MAIN else NEWEST_STABLE))
        live: LiveFacts | Absent = NO_URL
        if asked.url is not None:
            live = look_at(asked.url, authorities=asked.authorities)
        facts = Facts(
            today,
            generation,
            asked.production or _looks_like_production(found, live),
            found if _has_content(found) else _NO_CONFIGURATION,
            database,
            live,
            _keys(asked, found.config_file, directory, {**environ, **_variables_of(found)}, database),
            compared,
            asked.probe,
        )
        yield Opened(facts, exceptions, found.release, address)


def _known_release(text: str) -> str:
    """The entry of the table of settings for a release.

    Raises:
        ConfigurationError: the release is not known.
    """
    name = text.strip().lower().removeprefix("v")
    if name in RELEASES:
        return name
    if name.startswith("2026.3.7"):
        return MAIN
    raise ConfigurationError(
        f"--release {text!r} is no release that fluxbase-cli knows",
        hint=f"Name a release from {RELEASES[0]} to {NEWEST_STABLE}, or main ({NEWEST_KNOWN}).",
    )


def _database(asked: Asked, reader: Reader, stack: ExitStack) -> tuple[DatabaseFacts | Absent, str]:
    """The database, or why it is absent; and its address."""
    if not asked.database:
        return _NO_DATABASE, ""
    try:
        settings = read_database(reader, asked.database_url)
        return stack.enter_context(open_database(settings)), settings.describe()
    except FluxbaseCliError as error:
        return Absent(error.message, failed=True), ""


def _generation(release: str | None, database: DatabaseFacts | Absent) -> Generation | None:
    if not isinstance(database, Absent):
        try:
            return generation_of(database.read(read_release))
        except NotCheckedError:
            return None
    if release is None:
        return None
    return Generation.MAIN if release == MAIN else Generation.STABLE


def _keys(
    asked: Asked,
    config: SourceFile | None,
    directory: Path,
    environ: Mapping[str, str],
    database: DatabaseFacts | Absent,
) -> KeyFacts | Absent:
    try:
        settings: Settings = load_settings(
            config=config, database_url=asked.database_url, directory=directory, environ=environ
        )
    except ConfigurationError as error:
        return Absent(f"the keys can't be read: {error.message}")
    return read_keys(settings, environ, database)


def _variables_of(configuration: ServerConfiguration) -> dict[str, str]:
    """All variables of the server, where they are known."""
    if not configuration.complete:
        return {}
    return {name: configuration.text_of_variable(name) for name in configuration.environment.names()}


def _compared(path: Path, directory: Path) -> tuple[str, ServerConfiguration]:
    file = directory / path
    config = SourceFile(file, file.name, option="--compare")
    found, _ = open_configuration(config=config, directory=file.parent, environ={})
    return str(path), found


def _has_content(configuration: ServerConfiguration) -> bool:
    """Whether anything of the server's configuration was found."""
    if configuration.config_label is not None or configuration.unreadable:
        return True
    return any(configuration.environment.get(variable_name(path)) is not None for path in configuration.known)


def _looks_like_production(configuration: ServerConfiguration, live: LiveFacts | Absent) -> bool:
    """Whether the server's address is not that of this machine."""
    if not isinstance(live, Absent) and reach_of(live.host) is not Reach.LOOPBACK:
        return True
    address = configuration.public_address
    return address is not None and reach_of(address[1].hostname or "") is not Reach.LOOPBACK
