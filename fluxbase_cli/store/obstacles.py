"""Finds what would stop a job, or copy what it writes, besides triggers: before the first write, with the remedy.

Whether the server would take our updates is asked of the server itself: EXPLAIN of an update makes the same checks as
the update, and runs nothing. So a replica identity, the row filter or the column list of a publication, a generated
column or a rule that forbids the update is found in every release.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from fluxbase_cli.printable import printable
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.encoding import NO_PARAMETERS
from fluxbase_cli.store.findings import CheckStatus, Finding
from fluxbase_cli.store.queries import named_queries
from fluxbase_cli.store.relation import Relation, columns_of, names_of
from fluxbase_cli.store.schema import SCHEMA, Schema, latest_version
from fluxbase_cli.store.transactions import Access, begin_stats_read

#: The remedies for what the server says of an update, by SQLSTATE.
_REMEDIES = {
    # object_not_in_prerequisite_state: no replica identity, and a publication publishes updates
    "55000": "ALTER TABLE {table} REPLICA IDENTITY DEFAULT; if it has a primary key, else REPLICA IDENTITY FULL;",
    # invalid_column_reference: a row filter or a column list of a publication
    "42P10": "Make the publication's row filter and column list use the columns of the replica identity only, or "
    "ALTER TABLE {table} REPLICA IDENTITY FULL;",
    # generated_always
    "428C9": "A generated column can't be written: store the value in an ordinary column.",
}
#: What says nothing about the table: the role may not update it (another check says so), or somebody has locked it.
_ELSEWHERE = (psycopg.errors.InsufficientPrivilege, psycopg.errors.LockNotAvailable)


@dataclass(frozen=True, slots=True)
class Allowed:
    """What the operator accepts.

    Attributes:
        triggers: triggers and rules that fire.
        publications: that the progress tables are published.
    """

    triggers: bool = False
    publications: bool = False


NOTHING_ALLOWED = Allowed()


def find_obstacles(
    connection: Connection, relations: Sequence[Relation], access: Access, allowed: Allowed
) -> Iterator[Finding]:
    """Find what would stop a job or copy what it writes. Writes nothing.

    Args:
        connection: a session of the role that will do the job, outside a transaction.
        relations: the tables that it will write.
        access: how it will write.
        allowed: what the operator accepts.
    """
    yield from _refused_updates(connection, relations, access)
    yield from _rules(connection, relations, access, allowed)
    yield from _derived(connection, relations)
    yield from _subscriptions(connection, relations)
    schema = Schema(connection)
    if schema.version() < latest_version():
        yield from _publications(connection, allowed)
        yield from _event_triggers(schema)


def _refused_updates(connection: Connection, relations: Sequence[Relation], access: Access) -> Iterator[Finding]:
    for relation in relations:
        error = _update_error(connection, relation, access)
        if error is None or isinstance(error, _ELSEWHERE):
            continue
        # The server has read no row, so its message holds names only.
        said = [error.diag.message_primary or type(error).__name__, error.diag.message_detail or ""]
        remedy = _REMEDIES.get(error.sqlstate or "", error.diag.message_hint or "Correct that, then run this again.")
        yield Finding(
            "updates",
            CheckStatus.REFUSE,
            printable(f"{relation.qualified} can't be updated: {'. '.join(each for each in said if each)}"),
            printable(remedy.format(table=relation.qualified)),
        )


def _update_error(connection: Connection, relation: Relation, access: Access) -> psycopg.Error | None:
    statement = sql.SQL("EXPLAIN UPDATE ONLY {} AS t SET {}").format(
        relation.identifier,
        sql.SQL(", ").join(
            sql.SQL("{} = {}").format(relation.named(column.name), relation.named("t", column.name))
            for column in relation.columns
        ),
    )
    connection.execute(begin_stats_read(access))
    try:
        connection.execute(statement, NO_PARAMETERS)
    except psycopg.OperationalError as error:
        if error.sqlstate is None or error.sqlstate[:2] != "55":
            raise
        return error
    except psycopg.Error as error:
        return error
    finally:
        if not connection.closed:
            connection.execute("ROLLBACK")
    return None


def _rules(
    connection: Connection, relations: Sequence[Relation], access: Access, allowed: Allowed
) -> Iterator[Finding]:
    rows = connection.execute(
        named_queries("obstacles.sql")["rules"], {**names_of(relations), "quiet": access.quiet}
    ).fetchall()
    instead = [f"{table}.{rule}" for table, rule, is_instead in rows if is_instead]
    also = [f"{table}.{rule}" for table, rule, is_instead in rows if not is_instead]
    remedy = "Disable them during the job: ALTER TABLE ... DISABLE RULE ...;"
    if instead:
        yield Finding(
            "rules", CheckStatus.REFUSE, f"rules do something else instead of our updates: {', '.join(instead)}", remedy
        )
    if also and allowed.triggers:
        yield Finding("rules", CheckStatus.TELL, f"these rules apply to every value written: {', '.join(also)}")
    elif also:
        yield Finding(
            "rules",
            CheckStatus.REFUSE,
            f"rules would apply to every value written, and may copy it: {', '.join(also)}",
            f"{remedy} Or accept it with --allow-triggers.",
        )


def _derived(connection: Connection, relations: Sequence[Relation]) -> Iterator[Finding]:
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(named_queries("obstacles.sql")["derived"], columns_of(relations)).fetchall()
    for row in rows:
        yield Finding(
            "derived",
            CheckStatus.TELL,
            f"{row['derived']} of {row['table_name']} is computed from {row['column_name']}: it changes with every "
            "value written, and each update takes longer",
        )


def _subscriptions(connection: Connection, relations: Sequence[Relation]) -> Iterator[Finding]:
    rows = connection.execute(named_queries("obstacles.sql")["subscriptions"], names_of(relations)).fetchall()
    for name, table in rows:
        yield Finding(
            "subscriptions",
            CheckStatus.TELL,
            f"subscription {name} writes to {table}: what it brings is sealed as on the publisher, also after this "
            "job. Change the key there first",
        )


def _publications(connection: Connection, allowed: Allowed) -> Iterator[Finding]:
    rows = connection.execute(named_queries("obstacles.sql")["publications"], {"schemas": [SCHEMA]}).fetchall()
    names = ", ".join(str(name) for (name,) in rows)
    if not names:
        return
    message = (
        f"publication {names} would publish the tables of {SCHEMA} too: a subscriber that does not have them stops "
        "receiving all changes"
    )
    if allowed.publications:
        yield Finding("publications", CheckStatus.TELL, message)
        return
    folder = files("fluxbase_cli.store").joinpath("sql", "migrations")
    yield Finding(
        "publications",
        CheckStatus.REFUSE,
        message,
        f"Create them on each subscriber first: cat {folder}/*.sql | psql SUBSCRIBER. Then pass --allow-publications.",
    )


def _event_triggers(schema: Schema) -> Iterator[Finding]:
    names = schema.event_triggers()
    if names:
        yield Finding(
            "event triggers",
            CheckStatus.TELL,
            f"event triggers run when the schema {SCHEMA} is created: {', '.join(names)}. If one forbids it, the job "
            "ends before its first write",
        )
