"""Rules on row-level security."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fluxbase_cli.security.database.names import quoted
from fluxbase_cli.security.database.tables import Table, read_tables
from fluxbase_cli.security.facts import Facts
from fluxbase_cli.security.finding import Found, Place, Severity
from fluxbase_cli.security.rule import Point, rule

#: Names of columns that hold what nobody else may see.
_SENSITIVE = re.compile(
    r"(^|_)(password|passwd|secret|token|api_?key|private_?key|ssn|iban|card_?number|cvv|salary|diagnosis)(_|$)",
    re.IGNORECASE,
)
#: A table of PostGIS that belongs to nobody.
_HARMLESS = frozenset({"spatial_ref_sys"})


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
    """,
    remedy="""
    ALTER TABLE schema.name ENABLE ROW LEVEL SECURITY;
    CREATE POLICY own_rows ON schema.name USING (user_id = auth.uid());
    """,
)
def table_without_row_level_security(facts: Facts) -> Iterator[Found]:
    """A table of a schema of users has no row-level security."""
    for table in facts.database.read(read_tables):
        if not table.is_users or table.row_security or table.is_partition or table.name in _HARMLESS:
            continue
        severity, text = _exposure(table)
        name = quoted(table.schema, table.name)
        yield Found(
            Place("table", table.qualified),
            text,
            severity,
            f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY;\n"
            f"CREATE POLICY own_rows ON {name} USING (user_id = auth.uid());  -- your condition",
        )


def _exposure(table: Table) -> tuple[Severity, str]:
    reached = table.readers | table.writers
    if not reached:
        return Severity.LOW, "row-level security is off, and no role of the API has a privilege yet"
    sensitive = next((each for each in table.columns if _SENSITIVE.search(each)), None)
    if table.writers:
        return Severity.CRITICAL, f"row-level security is off, and {_joined(table.writers)} may change all rows"
    if "anon" in reached:
        return Severity.CRITICAL, f"row-level security is off, and {_joined(reached)} may read all rows"
    if sensitive is not None:
        return (
            Severity.CRITICAL,
            f"row-level security is off, and {_joined(reached)} may read all rows, with the column {sensitive}",
        )
    return Severity.HIGH, f"row-level security is off, and {_joined(reached)} may read all rows"


def _joined(names: frozenset[str]) -> str:
    return " and ".join(sorted(names))
