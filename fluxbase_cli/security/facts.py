"""What rules may read: the configuration, the keys, the database and the live server. Each of them may be absent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from fluxbase_cli.security.configuration.reading import ServerConfiguration
from fluxbase_cli.security.database.session import DatabaseFacts
from fluxbase_cli.security.database.sessions import Session, read_sessions
from fluxbase_cli.security.exceptions import RuleException
from fluxbase_cli.security.generation import Generation
from fluxbase_cli.security.keys import KeyFacts
from fluxbase_cli.security.live.answers import LiveFacts
from fluxbase_cli.security.part import Absent, present

__all__ = ["Absent", "Facts"]

NO_URL = Absent("no address of the server was given (--url)")
NO_KEYS = Absent("the keys were not read")


@dataclass(frozen=True, slots=True)
class Facts:
    """What rules may read. A rule that reads a part that is absent ends as *not checked*.

    Attributes:
        today: the date.
        generation: the generation of the server; None if it is not known.
        production: whether the server looks like one in production. Rules about development settings lower their
            severity by two steps if it is not (`Severity.lowered`).
        read_configuration: the configuration of the server, or why it is absent.
        read_database: the database, or why it is absent.
        read_live: the answers of the live server, or why they are absent.
        read_keys: the keys, or why they are absent.
        compared: the configurations of other environments, each with its name.
        probe: whether tables may be looked at as a stranger.
        faulty_exceptions: the exceptions that do not count, each with the reason.
        unmatched_exceptions: the exceptions that matched no finding.
    """

    today: date
    generation: Generation | None
    production: bool
    read_configuration: ServerConfiguration | Absent
    read_database: DatabaseFacts | Absent
    read_live: LiveFacts | Absent = NO_URL
    read_keys: KeyFacts | Absent = NO_KEYS
    compared: tuple[tuple[str, ServerConfiguration], ...] = ()
    probe: bool = False
    faulty_exceptions: tuple[tuple[RuleException, str], ...] = ()
    unmatched_exceptions: tuple[RuleException, ...] = ()

    @property
    def configuration(self) -> ServerConfiguration:
        """The configuration of the server.

        Raises:
            NotCheckedError: it is absent.
        """
        return present(self.read_configuration)

    @property
    def database(self) -> DatabaseFacts:
        """The database.

        Raises:
            NotCheckedError: it is absent.
        """
        return present(self.read_database)

    @property
    def sessions(self) -> tuple[Session, ...]:
        """The sessions of the role as which the server connects to the database.

        Raises:
            NotCheckedError: the configuration or the database is absent.
        """
        role = self.configuration.text("database.user")
        return tuple(each for each in self.database.read(read_sessions) if each.role == role)

    @property
    def live(self) -> LiveFacts:
        """The answers of the live server.

        Raises:
            NotCheckedError: they are absent.
        """
        return present(self.read_live)

    @property
    def keys(self) -> KeyFacts:
        """The keys, and what the database records about them.

        Raises:
            NotCheckedError: they are absent.
        """
        return present(self.read_keys)
