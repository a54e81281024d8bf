"""Rules on the roles of the database."""

from __future__ import annotations

from collections.abc import Iterator

from fluxbase_cli.security.database.fluxbase import fluxbase_database
from fluxbase_cli.security.database.names import joined, quoted
from fluxbase_cli.security.database.roles import (
    ApiRole,
    read_api_roles,
    read_creatable,
    read_database_privileges,
    read_server_roles,
)
from fluxbase_cli.security.facts import Facts
from fluxbase_cli.security.finding import Found, NotCheckedError, Place, Severity
from fluxbase_cli.security.rule import Point, rule

_OWN_ROLE = """
CREATE ROLE fluxbase_server LOGIN PASSWORD '…';
GRANT anon, authenticated, service_role TO fluxbase_server;
-- Then database.user: fluxbase_server. database.admin_user stays the role that makes the tables.
"""


@rule(
    "FB-ROLE-001",
    "The server's role is too strong",
    severity=Severity.HIGH,
    point=Point.ROW_LEVEL_SECURITY,
    quote="Fluxbase uses PostgreSQL Row-Level Security for tenant data isolation",
    explanation="""
    The role as which the server connects is a superuser, goes around row-level security, or may create roles. Then
    every fault in the server or in a procedure reaches everything. Checked is `database.user` of the configuration;
    without it, each role with a login that is a member of `service_role`.
    """,
    remedy=_OWN_ROLE,
)
def server_role_is_too_strong(facts: Facts) -> Iterator[Found]:
    """The role of the server is a superuser, or goes around row-level security."""
    try:
        setting = facts.configuration.get("database.user")
        name = None if setting is None else setting.text
    except NotCheckedError:
        name = None
    roles = fluxbase_database(facts).read(read_server_roles, name)
    # The role of the configuration may not exist in this database, if a pooler or a proxy gives another one.
    chosen = [each for each in roles if each.configured] or roles
    if not chosen:
        message = "as which role the server connects: no role with a login is a member of service_role"
        raise NotCheckedError(message)
    for role in chosen:
        reasons = [
            *(["is a superuser"] if role.superuser else []),
            *(["goes around row-level security"] if role.bypasses_row_security and not role.superuser else []),
            *(["may create roles"] if role.creates_roles and not role.superuser else []),
        ]
        if reasons:
            yield Found(Place("role", role.name), f"the server connects as this role, and it {' and '.join(reasons)}")


@rule(
    "FB-ROLE-002",
    "anon or authenticated is too strong",
    severity=Severity.CRITICAL,
    point=Point.ROW_LEVEL_SECURITY,
    quote="Fluxbase uses PostgreSQL Row-Level Security for tenant data isolation",
    explanation="""
    `anon` and `authenticated` are the roles of all requests of users. They must not log in, not be superusers, not go
    around row-level security, own no tables, and not be members of a role that does, or of `service_role`.
    """,
    remedy="""
    ALTER ROLE anon NOLOGIN NOSUPERUSER NOBYPASSRLS;
    ALTER ROLE authenticated NOLOGIN NOSUPERUSER NOBYPASSRLS;
    """,
)
def api_role_is_too_strong(facts: Facts) -> Iterator[Found]:
    """A role of the API has more rights than policies can limit."""
    for role in fluxbase_database(facts).read(read_api_roles):
        name = quoted(role.name)
        for text, remedy in _strengths(role, name):
            yield Found(Place("role", role.name), text, remedy=remedy)


def _strengths(role: ApiRole, name: str) -> Iterator[tuple[str, str]]:
    if role.can_login:
        yield "it may log in", f"ALTER ROLE {name} NOLOGIN PASSWORD NULL;"
    if role.superuser:
        yield "it is a superuser", f"ALTER ROLE {name} NOSUPERUSER;"
    if role.bypasses_row_security:
        yield "it goes around row-level security", f"ALTER ROLE {name} NOBYPASSRLS;"
    if role.strong:
        revokes = "\n".join(f"REVOKE {quoted(each)} FROM {name};" for each in role.strong)
        yield f"it may become {', '.join(role.strong)}", f"{revokes}  -- or from the role between them"
    if role.owned:
        yield (
            f"it owns {', '.join(role.owned[:3])}{' and others' if len(role.owned) > 3 else ''}",  # noqa: PLR2004
            f"REASSIGN OWNED BY {name} TO CURRENT_USER;",
        )


@rule(
    "FB-ROLE-004",
    "Roles of the API may create objects",
    severity=Severity.HIGH,
    point=Point.ROW_LEVEL_SECURITY,
    quote=None,
    explanation="""
    `anon` or `authenticated` may create tables and functions, directly or through PUBLIC. In a schema of a
    search_path such an object takes the place of another one: high. In another schema, or a schema of its own:
    medium. Temporary tables: low; PUBLIC may create them unless that was taken away.
    """,
    remedy="REVOKE CREATE ON SCHEMA public FROM anon, authenticated, PUBLIC;",
)
def api_roles_may_create(facts: Facts) -> Iterator[Found]:
    """A role of the API may create objects in a schema, or in the database."""
    database = fluxbase_database(facts)
    for each in database.read(read_creatable):
        yield Found(
            Place("schema", each.schema),
            f"{joined(each.roles)} may create objects in it"
            + (", and it is on the search_path" if each.on_path else ""),
            Severity.HIGH if each.on_path else Severity.MEDIUM,
            f"REVOKE CREATE ON SCHEMA {quoted(each.schema)} FROM anon, authenticated, PUBLIC;",
        )
    privileges = database.read(read_database_privileges)
    name = quoted(privileges.name)
    if privileges.schema_creators:
        yield Found(
            Place("database", privileges.name),
            f"{joined(privileges.schema_creators)} may create schemas in it",
            Severity.MEDIUM,
            f"REVOKE CREATE ON DATABASE {name} FROM anon, authenticated, PUBLIC;",
        )
    elif privileges.temporary_creators:
        yield Found(
            Place("database", privileges.name),
            f"{joined(privileges.temporary_creators)} may create temporary tables in it",
            Severity.LOW,
            f"REVOKE TEMPORARY ON DATABASE {name} FROM anon, authenticated, PUBLIC;",
        )
