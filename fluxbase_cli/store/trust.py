"""Refuses schemas of ours that somebody else made, or in which somebody else could put a trigger or a function.

A role that may create schemas could make ours first, with a trigger that the next run executes as its own role. So
nothing of a schema is read or run before it was checked here.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from fluxbase_cli.errors import UntrustedSchemaError
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.queries import Statements

#: How many faults a message lists.
_MOST = 5


#: How long a check holds, in seconds. A command's sessions follow each other within this time; a process that runs for
#: days checks again.
_HOLDS_S = 60.0


@dataclass(frozen=True, slots=True)
class _Passed:
    """Schemas that passed.

    Attributes:
        schemas: their object ids. A schema that is made again has another id.
        until: how long this holds, by the monotonic clock.
    """

    schemas: list[int]
    until: float


#: What passed, by server, database, role and options. Only the owner of a schema or a superuser could change it after
#: that, so the long query, which takes longer than all others of a short session, need not run in each session.
_PASSED: dict[str, _Passed] = {}


def refuse_untrusted(connection: Connection, schemas: Sequence[str], *, again: bool = False) -> None:
    """Check who owns the schemas and what is in them. A schema that does not exist passes.

    A schema passes if its owner, and that of everything in it, is our role or a superuser; if it has no trigger, rule,
    policy, view, function, inheritance, default privilege or expression but ours; and if no other role could add one.

    Args:
        connection: a session of the role that will use them.
        schemas: their names.
        again: check them also if they have just passed.

    Raises:
        UntrustedSchemaError: a schema does not pass. Nothing of it was run.
    """
    statements = Statements(connection, "trust.sql")
    found = [row["oid"] for row in statements.rows("schemas", schemas=list(schemas))]
    if not found:
        return
    # It has no password.
    where = connection.info.dsn
    passed = _PASSED.get(where)
    if not again and passed and passed.schemas == found and time.monotonic() < passed.until:
        return
    faults = statements.rows("faults", schemas=list(schemas))
    if not faults:
        _PASSED[where] = _Passed(found, time.monotonic() + _HOLDS_S)
        return
    row = connection.execute("SELECT current_user::text").fetchone()
    role = row[0] if row else "?"
    first = faults[0]
    schema, listed = first["schema"], [each["fault"] for each in faults if each["schema"] == first["schema"]]
    more = "" if len(listed) <= _MOST else f"; and {len(listed) - _MOST} more"
    raise UntrustedSchemaError(
        f"the schema {schema} is not used, because {'; '.join(listed[:_MOST])}{more}",
        hint=_remedy(schema, role, by_owner=first["by_owner"], by_privilege=first["by_privilege"]),
    )


def refuse_event_triggers(connection: Connection) -> None:
    """Check, before tables are made, that no event trigger would run a weaker role's function as our role.

    Raises:
        UntrustedSchemaError: there is one.
    """
    found = Statements(connection, "trust.sql").rows("event_triggers")
    if found:
        name, owner = found[0]["name"], found[0]["owner"]
        raise UntrustedSchemaError(
            f"the event trigger {name} would run a function of role {owner} when tables are made",
            hint=f'As a superuser, run ALTER EVENT TRIGGER "{name}" DISABLE; then this command once; then '
            f'ALTER EVENT TRIGGER "{name}" ENABLE; or make a superuser the owner of its function.',
        )


def _remedy(schema: str, role: str, *, by_owner: bool, by_privilege: bool) -> str:
    if by_privilege:
        return (
            f"Others could change what this command runs as {role}. Take the privilege away (REVOKE … FROM …), and "
            "run the command again."
        )
    keys = schema.endswith("_keys")
    lost = "but it may hold wrapped keys, so look first" if keys else "it holds progress and no keys"
    if by_owner:
        return (
            f"Nothing in it was run. It must belong to {role} or to a superuser. If the owner runs your rotations, "
            f"connect as that role. If you do not know the schema, look at what is in it, and let a superuser run: "
            f"DROP SCHEMA {schema} CASCADE ({lost})."
        )
    return (
        "Nothing in it was run. Find out who made that, and drop it. If you do not know the schema: "
        f"DROP SCHEMA {schema} CASCADE ({lost})."
    )
