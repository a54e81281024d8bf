"""Rules on row-level security of tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from fluxbase_cli.security.database.fluxbase import fluxbase_database
from fluxbase_cli.security.database.names import joined, quoted
from fluxbase_cli.security.database.policies import read_policy_tables
from fluxbase_cli.security.database.schemas import OUR_SCHEMAS
from fluxbase_cli.security.database.sensitive import secret_column
from fluxbase_cli.security.database.tables import Table, read_tables
from fluxbase_cli.security.facts import Facts
from fluxbase_cli.security.finding import Found, Place, Severity
from fluxbase_cli.security.generation import AFTER_EACH_START, Generation
from fluxbase_cli.security.rule import Point, rule

#: A table of PostGIS that belongs to nobody.
_HARMLESS = frozenset({"spatial_ref_sys"})
_OWN_ROWS = "CREATE POLICY own_rows ON {}\n    USING (user_id = auth.current_user_id());  -- your condition"


@rule(
    "FB-RLS-001",
    "Table without row-level security",
    severity=Severity.CRITICAL,
    point=Point.ROW_LEVEL_SECURITY,
    quote="Enable RLS on all user data tables",
    explanation="""
    The REST API serves the tables of every schema, as the role `anon` or `authenticated`. Without row-level security,
    such a role sees and changes all rows of all users, as far as its privileges go. It is critical if `anon` reaches
    the table, if a role of the API may write to it, or if a column has the name of a secret. It is high if
    `authenticated` may only read it. It is low if no role of the API has a privilege: then one GRANT is missing.
    A partition is reported if a role may do more with it than with the partitioned table. FB-RLS-004 reports tables
    that have policies, FB-RLS-008 partitions of tables with row-level security.
    """,
    remedy="""
    ALTER TABLE schema.name ENABLE ROW LEVEL SECURITY;
    CREATE POLICY own_rows ON schema.name
        USING (user_id = auth.current_user_id());  -- your condition
    """,
)
def table_without_row_level_security(facts: Facts) -> Iterator[Found]:
    """A table of a schema of users has no row-level security."""
    tables = fluxbase_database(facts).read(read_tables)
    by_oid = {each.oid: each for each in tables}
    for table in tables:
        if not table.is_users or table.row_security or table.policies or table.name in _HARMLESS:
            continue
        ancestors = _ancestors(table, by_oid)
        if any(each.row_security for each in ancestors):
            continue
        if ancestors and table.privileges <= frozenset().union(*(each.privileges for each in ancestors)):
            # The partitioned table is reported.
            continue
        severity, text = _exposure(table)
        name = quoted(table.schema, table.name)
        yield Found(
            Place("table", table.qualified),
            text,
            severity,
            f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY;\n{_OWN_ROWS.format(name)}",
        )


@rule(
    "FB-RLS-002",
    "The server's own tables are open to the roles of the API",
    severity=Severity.CRITICAL,
    point=Point.ROW_LEVEL_SECURITY,
    quote="Enable RLS on all user data tables",
    explanation="""
    Some releases leave tables of the server without row-level security and grant privileges on them to the roles of
    the API. There is one finding for tables that such a role may write to or that hold secrets, and one of medium
    severity for tables that it may only read. The server reads and writes these tables as its own role and as
    `service_role`, and works without these privileges. An upgrade may grant them again: check again after it. Servers
    after 2026.3.6 make their tables as described in the release at each start, which undoes such changes.
    """,
    remedy="REVOKE ALL ON TABLE schema.name FROM anon, authenticated, PUBLIC;",
)
def server_tables_are_open(facts: Facts) -> Iterator[Found]:
    """Tables of the server have no row-level security, and a role of the API reaches them."""
    worse: list[Table] = []
    readable: list[Table] = []
    database = fluxbase_database(facts)
    needed = database.read(read_policy_tables)
    undone = AFTER_EACH_START if facts.generation is Generation.MAIN else ""
    for table in database.read(read_tables):
        if table.is_users or table.schema in OUR_SCHEMAS or table.row_security or not table.reached:
            continue
        (worse if table.writers or secret_column(table.columns) else readable).append(table)
    if worse:
        remedy = undone + "\n".join(_closed(worse, needed))
        yield _folded(worse, "written", "may change their rows or read secrets", Severity.CRITICAL, remedy)
    if readable:
        remedy = undone + "\n".join(_closed(readable, needed))
        yield _folded(readable, "read", "may read all their rows", Severity.MEDIUM, remedy)


@rule(
    "FB-RLS-003",
    "Row-level security without a policy",
    severity=Severity.INFO,
    point=Point.ROW_LEVEL_SECURITY,
    quote="Enable RLS on all user data tables",
    explanation="""
    Row-level security is enabled and there is no policy. So only `service_role` and the owner see rows. That is right
    for a table that no user shall reach, and a mistake otherwise.
    """,
    remedy=f"Nothing, if no user shall reach the table. Otherwise:\n{_OWN_ROWS.format('schema.name')}",
)
def row_level_security_without_policy(facts: Facts) -> Iterator[Found]:
    """A table of users has row-level security and no policy."""
    for table in fluxbase_database(facts).read(read_tables):
        # A partition is read through its partitioned table, whose policies count then.
        if table.is_users and table.row_security and not table.policies and not table.parents:
            yield Found(
                Place("table", table.qualified),
                "row-level security is on, and there is no policy: users see no rows",
                remedy=f"Nothing, if no user shall reach the table. Otherwise:\n"
                f"{_OWN_ROWS.format(quoted(table.schema, table.name))}",
            )


@rule(
    "FB-RLS-004",
    "Policies without row-level security",
    severity=Severity.HIGH,
    point=Point.ROW_LEVEL_SECURITY,
    quote="Enable RLS on all user data tables",
    explanation="""
    Policies were written for the table, and row-level security is off. So PostgreSQL ignores them. It is critical in
    the same cases as FB-RLS-001. Tables of the server are in FB-RLS-002.
    """,
    remedy="ALTER TABLE schema.name ENABLE ROW LEVEL SECURITY;",
)
def policies_without_row_level_security(facts: Facts) -> Iterator[Found]:
    """A table has policies, and row-level security is off."""
    for table in fluxbase_database(facts).read(read_tables):
        if table.is_users and table.policies and not table.row_security:
            severity, text = _exposure(table)
            yield Found(
                Place("table", table.qualified),
                f"the policies are ignored: {text}",
                max(severity, Severity.HIGH),
                f"ALTER TABLE {quoted(table.schema, table.name)} ENABLE ROW LEVEL SECURITY;",
            )


@rule(
    "FB-RLS-008",
    "Partition without row-level security of its own",
    severity=Severity.HIGH,
    point=Point.ROW_LEVEL_SECURITY,
    quote="Enable RLS on all user data tables",
    explanation="""
    The policies of a partitioned table do not count for a query that names a partition. The same is true for a table
    that inherits from another one. The REST API serves partitions as tables. It is no finding if no role of the API has
    a privilege on the partition.
    """,
    remedy="""
    REVOKE ALL ON TABLE schema.partition FROM anon, authenticated, PUBLIC;
    ALTER TABLE schema.partition ENABLE ROW LEVEL SECURITY;
    """,
)
def partition_without_row_level_security(facts: Facts) -> Iterator[Found]:
    """A role of the API reaches a partition around the policies of the partitioned table."""
    tables = fluxbase_database(facts).read(read_tables)
    by_oid = {each.oid: each for each in tables}
    for table in tables:
        if not table.is_users or table.row_security or table.policies or not table.reached:
            continue
        parent = next((each for each in _ancestors(table, by_oid) if each.row_security), None)
        if parent is not None:
            name = quoted(table.schema, table.name)
            yield Found(
                Place("table", table.qualified),
                f"{parent.qualified} has row-level security, this part of it has none, and {joined(table.reached)} may "
                "use it directly",
                remedy=f"REVOKE ALL ON TABLE {name} FROM anon, authenticated, PUBLIC;\n"
                f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY;",
            )


def _ancestors(table: Table, by_oid: Mapping[int, Table]) -> tuple[Table, ...]:
    """The tables of which it is a part, at any depth."""
    found: dict[int, Table] = {}
    waiting = list(table.parents)
    while waiting:
        parent = by_oid.get(waiting.pop())
        if parent is not None and parent.oid not in found:
            found[parent.oid] = parent
            waiting += parent.parents
    return tuple(found.values())


def _exposure(table: Table) -> tuple[Severity, str]:
    if not table.reached:
        return Severity.LOW, "row-level security is off, and no role of the API has a privilege yet"
    if table.writers:
        return Severity.CRITICAL, f"row-level security is off, and {joined(table.writers)} may change all rows"
    text = f"row-level security is off, and {joined(table.readers)} may read all rows"
    secret = secret_column(table.columns)
    if secret is not None:
        return Severity.CRITICAL, f"{text}, with the column {secret}"
    return Severity.CRITICAL if "anon" in table.readers else Severity.HIGH, text


def _folded(tables: Sequence[Table], name: str, text: str, severity: Severity, remedy: str) -> Found:
    roles = joined(frozenset[str]().union(*(each.reached for each in tables)))
    names = ", ".join(each.qualified for each in tables)
    return Found(
        Place("tables", f"server.{name}", "the server's own tables"),
        f"{len(tables)} without row-level security, and {roles} {text}: {names}",
        severity,
        remedy,
    )


def _closed(tables: Sequence[Table], needed: frozenset[int]) -> Iterator[str]:
    """SQL that closes tables of the server.

    Args:
        tables: the tables.
        needed: the tables that policies of other tables read, with the privileges of who asks.
    """
    closed = [quoted(each.schema, each.name) for each in tables if not each.policies and each.oid not in needed]
    if closed:
        names = ",\n    ".join(closed)
        yield f"REVOKE ALL ON TABLE\n    {names}\nFROM anon, authenticated, PUBLIC;"
    for table in tables:
        if table.policies:
            # The policies say who may do what, as soon as they count.
            yield f"ALTER TABLE {quoted(table.schema, table.name)} ENABLE ROW LEVEL SECURITY;"
        elif table.oid in needed:
            writing = "REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON" if table.writers else "-- Nothing can be revoked on"
            roles = " FROM anon, authenticated, PUBLIC;" if table.writers else ":"
            yield (
                f"{writing} {quoted(table.schema, table.name)}{roles}"
                f"{'  --' if table.writers else ''} policies of other tables read it"
            )
