"""Checks the database and the role before anything is written.

A list of small checks, each with a name, a status and a remedy. Row-level security hides rows without an error, so a
role that may not see all rows is refused (docs/developers/format.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.rows import dict_row

from fluxbase_cli.catalogue.locations import CATALOGUE, SealedTable
from fluxbase_cli.catalogue.releases import Release
from fluxbase_cli.counts import worded
from fluxbase_cli.printable import joined
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.databases import FurtherDatabases, find_databases
from fluxbase_cli.store.findings import CheckStatus, Finding, refuse_if_any
from fluxbase_cli.store.obstacles import NOTHING_ALLOWED, Allowed, find_obstacles
from fluxbase_cli.store.queries import named_queries
from fluxbase_cli.store.relation import Relation, columns_of
from fluxbase_cli.store.relations import FoundRelations, find_relations
from fluxbase_cli.store.server_log import logged_values
from fluxbase_cli.store.sessions import other_sessions
from fluxbase_cli.store.transactions import Access
from fluxbase_cli.unexamined import Unexamined

SERVICE_ROLE = "service_role"
_OLDEST_SERVER = 150_000


@dataclass(frozen=True, slots=True)
class Preflight:
    """What the checks found.

    Attributes:
        host, port: the server, as the connection names it.
        database: the database's name.
        role: the role that logged in.
        server_version: as PostgreSQL prints it.
        access: how to read and write values with this role.
        relations: the relations with sealed values, in the order of the catalogue.
        unexamined: what can't be examined.
        findings: all checks, in order.
        triggers_fire: whether triggers would fire on our updates.
        release: the release of Fluxbase of this database.
        further: the databases of branches and tenants.
    """

    host: str
    port: int
    database: str
    role: str
    server_version: str
    access: Access
    relations: tuple[Relation, ...]
    unexamined: tuple[Unexamined, ...]
    findings: tuple[Finding, ...]
    triggers_fire: bool
    release: Release
    further: FurtherDatabases

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the operator should know, although it does not stop the job."""
        warnings = [finding.message for finding in self.findings if finding.status is CheckStatus.TELL]
        return (*warnings, *(f"can't be examined: {each}" for each in self.unexamined))

    def refuse_if_unfit(self) -> None:
        """Raise an error if a check refuses.

        Raises:
            PreflightRefusedError: its message is the first refusal, its hint has all remedies.
        """
        refuse_if_any(self.findings)


def inspect(  # noqa: PLR0913  # what a check may depend on
    connection: Connection,
    *,
    write: bool,
    tells: bool = False,
    allowed: Allowed = NOTHING_ALLOWED,
    catalogue: Sequence[SealedTable] = CATALOGUE,
    secondary: bool = False,
) -> Preflight:
    """Run all checks. Reads the system catalogues only.

    Args:
        connection: any session of the role that will do the job.
        write: whether values will be written, or only read.
        tells: nothing will be written, and what would stop a job is told.
        allowed: what the operator accepts.
        catalogue: the sealed tables to look for.
        secondary: this is the database of a branch or a tenant, whose lists of databases are not used.

    Returns:
        The findings. A refusal raises no error here (see `Preflight.refuse_if_unfit`).
    """
    queries = named_queries("preflight.sql")
    with connection.cursor(row_factory=dict_row) as cursor:
        session: dict[str, Any] = cursor.execute(queries["session"]).fetchone() or {}
        found = find_relations(connection, catalogue)
        columns = columns_of(found.relations)
        can_switch = bool(session["can_switch"])
        own = bool(session["bypasses"])
        weaker: list[dict[str, Any]] = cursor.execute(queries["weaker"], columns).fetchall() if write else []
        roles = _candidates(weaker, found.relations, own=own, can_switch=can_switch)
        lacking: dict[str | None, list[str]] = {}
        for role in roles:
            rows = cursor.execute(
                queries["privileges"],
                {
                    "role": role or session["role"],
                    **columns,
                    "write": write,
                },
            ).fetchall()
            lacking[role] = [row["lacks"] for row in rows]
        role = next((role for role in roles if not lacking[role]), roles[0] if roles else None)
        quiet = bool(session["can_silence"])
        triggers = [
            f"{row['table_name']}.{row['trigger_name']}"
            for row in cursor.execute(
                queries["triggers"],
                {
                    **columns,
                    "quiet": quiet,
                },
            ).fetchall()
        ]

    findings = [
        *_server(session, write=write),
        *_role(session, role, roles, weaker),
        *_privileges(session, role, lacking, found.relations),
        Finding("release", CheckStatus.GOOD, found.release.name),
        *(
            finding
            for finding in _tables(found)
            if write or finding.status is not CheckStatus.REFUSE or not found.relations
        ),
    ]
    access = Access(role=role, quiet=quiet)
    if write or tells:
        stops = list(_triggers(session, triggers, quiet=quiet, allowed=allowed.triggers))
        if roles and not session["in_recovery"]:
            stops += find_obstacles(connection, found.relations, access, allowed)
        findings += stops if write else map(_told, stops)
    if write:
        findings += logged_values(connection, found.relations, session["role"])
    findings += _sessions(len(other_sessions(connection, [session["database"]])))
    further = (
        find_databases(connection, access) if roles and not secondary and not found.is_tenant else FurtherDatabases()
    )
    findings += _further(further)
    return Preflight(
        host=connection.info.host or "local socket",
        port=connection.info.port,
        database=session["database"],
        role=session["role"],
        server_version=session["server_version"],
        access=access,
        relations=found.relations,
        unexamined=found.unexamined,
        findings=tuple(findings),
        triggers_fire=bool(triggers),
        release=found.release,
        further=further,
    )


def _candidates(
    weaker: Sequence[dict[str, Any]], relations: Sequence[Relation], *, own: bool, can_switch: bool
) -> list[str | None]:
    """The roles as which values may be read and written, the best first. None is the role that logged in.

    What a weaker role has attached to a table (a trigger, a CHECK) must not run as a superuser. Then the values are
    written as `service_role`, or as the tables' owner.
    """
    switched: list[str | None] = [SERVICE_ROLE] if can_switch else []
    if not weaker:
        return ([None] if own else []) + switched
    owners = {row["owner"] for row in weaker if row["owner_sees_all"]}
    all_of_them = len(owners) == 1 and len(weaker) == len({relation.qualified for relation in relations})
    return switched + ([owners.pop()] if all_of_them else [])


def _told(finding: Finding) -> Finding:
    """A finding about a job, for a command that writes nothing."""
    if finding.status is not CheckStatus.REFUSE:
        return finding
    return Finding(finding.check, CheckStatus.TELL, joined("a job would be refused: ", finding.sentence))


def _tables(found: FoundRelations) -> Iterator[Finding]:
    for unusable in found.unusable:
        yield Finding("tables", CheckStatus.REFUSE, unusable.message, unusable.remedy)
    there = {relation.table.qualified for relation in found.relations}
    for relation in {relation.table: relation for relation in found.relations}.values():
        if relation.table.parent is not None and relation.table.parent not in there | set(found.foreign):
            yield Finding(
                "tables",
                CheckStatus.REFUSE,
                f"table {relation.table.parent} is missing, though tables that depend on it are there",
                "Is this the whole Fluxbase database? Check the database name, and restore the table.",
            )
    for name in found.foreign:
        # In a tenant's database these point to the main database. To read them would process rows twice.
        yield Finding(
            "tables", CheckStatus.TELL, f"{name} is a foreign table; skipped (its rows are in the main database)"
        )
    if not found.relations:
        yield Finding(
            "tables",
            CheckStatus.REFUSE,
            "none of Fluxbase's sealed tables is in this database",
            "Check host and database name: this is not the main database of a Fluxbase server.",
        )
        return
    locations = {relation.table.location(column) for relation in found.relations for column in relation.columns}
    yield Finding(
        "tables",
        CheckStatus.GOOD,
        f"{worded(len(there), 'table', 'tables')} with {worded(len(locations), 'sealed column', 'sealed columns')}",
    )


def _server(session: dict[str, Any], *, write: bool) -> Iterator[Finding]:
    version = session["server_version"]
    if session["server_version_num"] < _OLDEST_SERVER:
        yield Finding(
            "server",
            CheckStatus.REFUSE,
            f"PostgreSQL {version} is too old",
            "Upgrade the server: PostgreSQL 15 to 18 are supported.",
        )
    elif write and session["in_recovery"]:
        yield Finding(
            "server",
            CheckStatus.REFUSE,
            "this server is a read-only standby",
            "Point database.host or --database-url at the primary.",
        )
    elif write and session["read_only"]:
        yield Finding(
            "server",
            CheckStatus.REFUSE,
            "transactions are read-only here (default_transaction_read_only)",
            f'ALTER ROLE "{session["role"]}" SET default_transaction_read_only = off;',
        )
    else:
        yield Finding("server", CheckStatus.GOOD, f"PostgreSQL {version}, database {session['database']}")


def _role(
    session: dict[str, Any], role: str | None, roles: Sequence[str | None], weaker: Sequence[dict[str, Any]]
) -> Iterator[Finding]:
    if weaker and not roles:
        yield Finding(
            "role",
            CheckStatus.REFUSE,
            f"{session['role']} is a superuser, and would run what role {weaker[0]['owner']} or the owner of a "
            f"function has attached to {weaker[0]['name']} (a trigger, a CHECK, an index)",
            f"Create the role {SERVICE_ROLE} with BYPASSRLS and the privileges on these tables: values are written as "
            "that role then. Or connect as the tables' owner.",
        )
    elif not roles:
        yield Finding(
            "role",
            CheckStatus.REFUSE,
            f"role {session['role']} is subject to row-level security: rows would be missing, without an error",
            f'Connect as database.admin_user, or run as a superuser: ALTER ROLE "{session["role"]}" BYPASSRLS;  '
            f'or: GRANT {SERVICE_ROLE} TO "{session["role"]}";',
        )
    elif role is None:
        yield Finding("role", CheckStatus.GOOD, f"{session['role']} sees all rows")
    else:
        yield Finding("role", CheckStatus.GOOD, f"{session['role']} sees all rows as {role}")


def _privileges(
    session: dict[str, Any], role: str | None, lacking: dict[str | None, list[str]], relations: Sequence[Relation]
) -> Iterator[Finding]:
    lacks = lacking.get(role, [])
    who = role or session["role"]
    if lacks:
        yield Finding(
            "privileges",
            CheckStatus.REFUSE,
            f"role {who} lacks {len(lacks)} privileges, the first: {lacks[0]}",
            " ".join(f'GRANT {lack} TO "{who}";' for lack in lacks),
        )
    elif lacking and relations:
        yield Finding("privileges", CheckStatus.GOOD, f"{who} has what is needed on all of them")


def _triggers(session: dict[str, Any], triggers: Sequence[str], *, quiet: bool, allowed: bool) -> Iterator[Finding]:
    if not triggers:
        yield Finding(
            "triggers", CheckStatus.GOOD, "silent during the job" if quiet else "none that an update would fire"
        )
        return
    listed = ", ".join(triggers)
    if allowed:
        yield Finding("triggers", CheckStatus.TELL, f"these triggers fire on every value written: {listed}")
    elif quiet:
        yield Finding(
            "triggers",
            CheckStatus.REFUSE,
            f"triggers enabled as ALWAYS or REPLICA would fire on every value written: {listed}",
            "Enable them as ORIGIN during the job (ALTER TABLE … ENABLE TRIGGER …), or accept it with "
            "--allow-triggers.",
        )
    else:
        yield Finding(
            "triggers",
            CheckStatus.REFUSE,
            f"role {session['role']} can't keep these triggers silent: {listed}",
            f'Run as a superuser: GRANT SET ON PARAMETER session_replication_role TO "{session["role"]}";  '
            "or accept with --allow-triggers that updated_at moves and webhooks fire.",
        )


def _further(further: FurtherDatabases) -> Iterator[Finding]:
    for kind in dict.fromkeys(each.kind for each in further.found):
        names = [each.name for each in further.found if each.kind == kind]
        hold = "databases hold" if len(names) > 1 else "database holds"
        yield Finding(
            "databases",
            CheckStatus.TELL,
            f"{len(names)} {kind} {hold} sealed values too: {', '.join(names)}; `--databases all` includes them",
        )
    for each in further.unexamined:
        yield Finding("databases", CheckStatus.TELL, f"{each.where}: {each.reason}")


def _sessions(others: int) -> Iterator[Finding]:
    if others:
        yield Finding(
            "sessions",
            CheckStatus.TELL,
            f"{others} other session{'s are' if others > 1 else ' is'} on this database; a Fluxbase server keeps "
            "sealing with the key it started with until it is restarted",
        )
    else:
        yield Finding("sessions", CheckStatus.GOOD, "nobody else is connected")
