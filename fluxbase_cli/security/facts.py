"""What rules may read: the configuration, the database and the live server. Each of them may be absent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, TypeVar

from fluxbase_cli.security.finding import NotCheckedError
from fluxbase_cli.security.generation import Generation

if TYPE_CHECKING:
    from fluxbase_cli.security.configuration.reading import ServerConfiguration
    from fluxbase_cli.security.database.session import DatabaseFacts

_P = TypeVar("_P")


@dataclass(frozen=True, slots=True)
class Absent:
    """A part that is not looked at.

    Attributes:
        reason: why, one sentence without a final full stop.
        failed: whether it should have been looked at; False: the operator left it out.
    """

    reason: str
    failed: bool = False


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
    """

    today: date
    generation: Generation | None
    production: bool
    read_configuration: ServerConfiguration | Absent
    read_database: DatabaseFacts | Absent

    @property
    def configuration(self) -> ServerConfiguration:
        """The configuration of the server.

        Raises:
            NotCheckedError: it is absent.
        """
        return _present(self.read_configuration)

    @property
    def database(self) -> DatabaseFacts:
        """The database.

        Raises:
            NotCheckedError: it is absent.
        """
        return _present(self.read_database)


def _present(part: _P | Absent) -> _P:
    if isinstance(part, Absent):
        raise NotCheckedError(part.reason)
    return part
