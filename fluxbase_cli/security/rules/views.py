"""The rule on views."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from fluxbase_cli.security.database.fluxbase import fluxbase_database
from fluxbase_cli.security.database.names import joined, quoted
from fluxbase_cli.security.database.schemas import SERVER_SCHEMAS, is_user_schema
from fluxbase_cli.security.database.sensitive import secret_column
from fluxbase_cli.security.database.tables import read_tables
from fluxbase_cli.security.database.version import read_version
from fluxbase_cli.security.database.views import ViewRead, read_views
from fluxbase_cli.security.facts import Facts
from fluxbase_cli.security.finding import Found, Place, Severity
from fluxbase_cli.security.rule import Point, rule

#: The version of PostgreSQL that has `security_invoker`.
_INVOKER_SINCE = 150000


@rule(
    "FB-VIEW-001",
    "View that reads with its owner's rights",
    severity=Severity.HIGH,
    point=Point.ROW_LEVEL_SECURITY,
    quote=None,
    explanation="""
    A view reads its tables with the rights of its owner, unless it has `security_invoker`. If row-level security does
    not bind the owner, the view shows all rows to everybody who may use the view. It is critical if the view reads a
    table of the server that holds secrets, `auth.users` for example. A view over tables without row-level security is
    no finding. A view that is meant to show a part of a table to all can be accepted with an exception.
    """,
    remedy="ALTER VIEW schema.name SET (security_invoker = on);  -- PostgreSQL 15 or later",
)
def view_reads_with_owners_rights(facts: Facts) -> Iterator[Found]:
    """A view of the API goes around row-level security."""
    database = fluxbase_database(facts)
    columns = {(each.schema, each.name): each.columns for each in database.read(read_tables)}
    reads: dict[tuple[str, str], list[ViewRead]] = defaultdict(list)
    for read in database.read(read_views):
        if is_user_schema(read.schema) or read.bypassed:
            reads[read.schema, read.name].append(read)
    new_enough = database.read(read_version) >= _INVOKER_SINCE
    for (schema, name), found in reads.items():
        secret = [
            each
            for each in found
            if each.table_schema in SERVER_SCHEMAS
            and secret_column(columns.get((each.table_schema, each.table_name), ())) is not None
        ]
        bypassed = [each for each in found if each.bypassed]
        if not secret and not bypassed:
            continue
        view = quoted(schema, name)
        yield Found(
            Place("view", f"{schema}.{name}"),
            _text(found[0], secret or bypassed),
            Severity.CRITICAL if secret else Severity.HIGH,
            f"ALTER VIEW {view} SET (security_invoker = on);"
            if new_enough
            else f"REVOKE ALL ON {view} FROM anon, authenticated, PUBLIC;",
        )


def _text(view: ViewRead, reads: Sequence[ViewRead]) -> str:
    tables = ", ".join(sorted({f"{each.table_schema}.{each.table_name}" for each in reads}))
    owners = joined({each.owner for each in reads})
    return f"{joined(view.roles)} may use it, and it reads {tables} with the rights of {owners}"
