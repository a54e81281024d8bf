"""Says whether a database is one of a Fluxbase server, so that no rule passes in another one."""

from __future__ import annotations

from fluxbase_cli.security.database.roles import read_api_roles
from fluxbase_cli.security.database.session import DatabaseFacts
from fluxbase_cli.security.facts import Facts
from fluxbase_cli.security.finding import NotCheckedError

_ROLES = frozenset({"anon", "authenticated"})


def fluxbase_database(facts: Facts) -> DatabaseFacts:
    """The database.

    Raises:
        NotCheckedError: it is absent, or it is no database of a Fluxbase server.
    """
    database = facts.database
    if facts.generation is None:
        message = "the tables of a Fluxbase server are not in this database, or an upgrade did not finish"
        raise NotCheckedError(message)
    missing = _ROLES - {each.name for each in database.read(read_api_roles)}
    if missing:
        message = f"the role {' and '.join(sorted(missing))} of a Fluxbase server does not exist"
        raise NotCheckedError(message)
    return database
