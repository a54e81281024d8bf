"""Rules on what policies of row-level security say."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from fluxbase_cli.security.database.expressions import always_true
from fluxbase_cli.security.database.fluxbase import fluxbase_database
from fluxbase_cli.security.database.names import joined, quoted
from fluxbase_cli.security.database.policies import (
    Policy,
    PolicyColumn,
    RoleColumn,
    read_policies,
    read_policy_columns,
    read_role_column,
)
from fluxbase_cli.security.database.sensitive import private_column
from fluxbase_cli.security.database.sql_text import masked
from fluxbase_cli.security.database.tables import Table, read_tables
from fluxbase_cli.security.facts import Facts
from fluxbase_cli.security.finding import Found, NotCheckedError, Place, Severity
from fluxbase_cli.security.generation import AFTER_EACH_START, Generation
from fluxbase_cli.security.rule import Point, rule

_USER_METADATA = re.compile(r"\b(user_metadata|raw_user_meta_data)\b", re.IGNORECASE)
_CLAIMS = re.compile(r"\bjwt\b|request\.jwt", re.IGNORECASE)
_WHO_ASKS = re.compile(r"\b(uid|current_user_id|jwt)\(|request\.jwt", re.IGNORECASE)
_METADATA = ("user_metadata", "raw_user_meta_data")
_NARROW = """REVOKE UPDATE ON auth.users FROM anon, authenticated, PUBLIC;
GRANT UPDATE (user_metadata) ON auth.users TO authenticated;"""
_GUARDS_ROLE = re.compile(r"\bNEW\s*\.\s*\"?role\b", re.IGNORECASE)


@rule(
    "FB-RLS-005",
    "Policy that lets everything through",
    severity=Severity.HIGH,
    point=Point.ROW_LEVEL_SECURITY,
    quote="Always enable RLS on user data tables",
    explanation="""
    The condition of a permissive policy is true for every row, or true for everybody who signed in. It is high for
    policies that let rows be changed, and for `anon` reading a table with private columns; medium if only
    `authenticated` reads such a table. A policy that lets all read a table without private columns is no finding:
    public content is meant to be read. A missing WITH CHECK is no finding: PostgreSQL uses the condition of USING
    then. It is no finding either if a restrictive policy limits it, or if the role has no privilege for the command.
    """,
    remedy="ALTER POLICY name ON schema.name USING (user_id = auth.current_user_id());  -- your condition",
)
def policy_lets_everything_through(facts: Facts) -> Iterator[Found]:
    """A permissive policy is true for every row."""
    database = fluxbase_database(facts)
    tables = {each.oid: each for each in database.read(read_tables)}
    by_table = _by_table(database.read(read_policies))
    for oid, policies in by_table.items():
        table = tables.get(oid)
        if table is None or not table.row_security:
            continue
        for policy in policies:
            yield from _open_policy(table, policy, policies)


def _open_policy(table: Table, policy: Policy, policies: Sequence[Policy]) -> Iterator[Found]:
    if not policy.permissive:
        return
    opened: dict[str, set[str]] = defaultdict(set)
    for role in policy.roles:
        for command in policy.commands:
            if (
                (role, command) in table.privileges
                and _is_open(policy, command, signed_in=role == "authenticated")
                and not any(_limits(each, role, command) for each in policies)
            ):
                opened[command].add(role)
    writing = {role for command, roles in opened.items() if command != "SELECT" for role in roles}
    if writing:
        commands = " and ".join(each for each in policy.commands if each != "SELECT" and opened[each])
        text = f"{joined(writing)} may {commands} any row"
        severity = Severity.HIGH
    elif opened["SELECT"]:
        column = private_column(table.columns)
        if column is None:
            return
        text = f"{joined(opened['SELECT'])} may read all rows, with the column {column}"
        severity = Severity.HIGH if "anon" in opened["SELECT"] else Severity.MEDIUM
    else:
        return
    yield Found(_place(policy, table), text, severity, _remedy(policy, table))


def _is_open(policy: Policy, command: str, *, signed_in: bool) -> bool:
    """Whether a policy lets every row through for a command."""
    check = policy.with_check if policy.with_check is not None else policy.condition
    if command == "INSERT":
        return always_true(check, signed_in=signed_in)
    if command == "UPDATE" and always_true(policy.with_check, signed_in=signed_in):
        # Also with a condition in USING: then own rows can be given to others.
        return True
    return always_true(policy.condition, signed_in=signed_in)


def _limits(policy: Policy, role: str, command: str) -> bool:
    """Whether it is a restrictive policy that takes away rows."""
    if policy.permissive or role not in policy.roles or command not in policy.commands:
        return False
    return not _is_open(policy, command, signed_in=role == "authenticated")


@rule(
    "FB-RLS-006",
    "Policy trusts what users can change",
    severity=Severity.HIGH,
    point=Point.ROW_LEVEL_SECURITY,
    quote="Use `auth.uid()` in policies to reference the authenticated user",
    explanation="""
    Users write their own `user_metadata`. A policy that decides by it decides by what users say about themselves. The
    same is true for a policy that looks up a column such as `role` or `is_admin` in a table in which users may update
    that column in their own row. It is medium if `user_metadata` is a column of another table: look whether users may
    write it. `app_metadata` can only be changed by administrators.
    """,
    remedy="""
    -- Use app_metadata, or take the privilege on the column away:
    REVOKE UPDATE ON schema.name FROM authenticated;
    GRANT UPDATE (display_name) ON schema.name TO authenticated;  -- the columns that users may change
    """,
)
def policy_trusts_users(facts: Facts) -> Iterator[Found]:
    """A policy decides by what the user may change."""
    database = fluxbase_database(facts)
    tables = {each.oid: each for each in database.read(read_tables)}
    policies = database.read(read_policies)
    by_table = _by_table(policies)
    columns: dict[int, list[PolicyColumn]] = defaultdict(list)
    for column in database.read(read_policy_columns):
        columns[column.policy].append(column)
    for policy in policies:
        table = tables.get(policy.table_oid)
        if table is None or not policy.roles or not table.row_security:
            continue
        if _USER_METADATA.search(policy.text):
            yield _trusts_metadata(table, policy, columns[policy.oid])
            continue
        for column in columns[policy.oid]:
            if _decides(policy, table, column, tables, by_table):
                name = quoted(column.schema, column.table)
                yield Found(
                    _place(policy, table),
                    f"it decides by {column.schema}.{column.table}.{column.column}, which {joined(column.writers)} may "
                    "update there",
                    remedy=f"REVOKE UPDATE ON {name} FROM anon, authenticated, PUBLIC;\n"
                    f"GRANT UPDATE (display_name) ON {name} TO authenticated;  -- the columns that users may change",
                )
                break


def _trusts_metadata(table: Table, policy: Policy, columns: Sequence[PolicyColumn]) -> Found:
    owned = [each for each in columns if each.column in _METADATA]
    elsewhere = owned and all((each.schema, each.table) != ("auth", "users") for each in owned)
    if elsewhere and not _CLAIMS.search(policy.text):
        text, severity = f"it decides by {owned[0].column}: look whether users may write it", Severity.MEDIUM
    else:
        text, severity = "it decides by the user's own user_metadata", Severity.HIGH
    name = quoted(policy.name)
    return Found(
        _place(policy, table),
        text,
        severity,
        f"-- Use app_metadata instead, or the id of the user:\n"
        f"ALTER POLICY {name} ON {quoted(table.schema, table.name)} …;",
    )


def _decides(
    policy: Policy,
    table: Table,
    column: PolicyColumn,
    tables: Mapping[int, Table],
    by_table: Mapping[int, Sequence[Policy]],
) -> bool:
    """Whether a policy looks up a column of a user's own row, and that user may update it there."""
    if not column.is_users or not column.writers or column.column in _METADATA:
        return False
    # A column of the row itself says nothing about who asks.
    if column.table_oid == table.oid or not _WHO_ASKS.search(policy.text):
        return False
    other = tables.get(column.table_oid)
    if other is None:
        return False
    if not other.row_security:
        return True
    return any(
        each.permissive and "UPDATE" in each.commands and each.roles & column.writers
        for each in by_table.get(column.table_oid, ())
    )


@rule(
    "FB-RLS-010",
    "Signed-in users may update their own role",
    severity=Severity.CRITICAL,
    point=Point.ROW_LEVEL_SECURITY,
    quote="Test policies with different user roles",
    explanation="""
    The role `authenticated` has the privilege to update the column `role` of `auth.users`, a policy lets it update the
    user's own row, and no trigger guards the column. The server takes the user's role from this column. It is no
    finding if the privilege is limited to other columns, if a trigger looks at `NEW.role`, or if a restrictive policy
    looks at the column. The server works with the limited privilege. An upgrade may grant it again: check again after
    it. Servers after 2026.3.6 grant it at each start.
    """,
    remedy=_NARROW,
)
def users_may_update_their_role(facts: Facts) -> Iterator[Found]:
    """Nothing keeps a user from updating the column `role` of the own row."""
    database = fluxbase_database(facts)
    column = database.read(read_role_column)
    table = next((each for each in database.read(read_tables) if each.qualified == "auth.users"), None)
    if column is None or table is None:
        message = "the table auth.users, or its column role, is not there"
        raise NotCheckedError(message)
    policies = _by_table(database.read(read_policies)).get(table.oid, ())
    roles = column.writers
    if table.row_security:
        allowed = [each.roles for each in policies if each.permissive and "UPDATE" in each.commands]
        roles &= frozenset[str]().union(*allowed)
    if roles and not _is_guarded(column, policies):
        yield Found(
            Place("column", "auth.users.role"),
            f"{joined(roles)} may update it, a policy lets them, and no trigger guards it",
            remedy=(AFTER_EACH_START if facts.generation is Generation.MAIN else "") + _NARROW,
        )


def _is_guarded(column: RoleColumn, policies: Sequence[Policy]) -> bool:
    if any(_GUARDS_ROLE.search(masked(source)) for source in column.triggers):
        return True
    return any(
        not each.permissive
        and "UPDATE" in each.commands
        and re.search(r"\brole\b(?!\()", each.with_check or each.condition or "")
        for each in policies
    )


def _by_table(policies: Sequence[Policy]) -> Mapping[int, Sequence[Policy]]:
    found: dict[int, list[Policy]] = defaultdict(list)
    for policy in policies:
        found[policy.table_oid].append(policy)
    return found


def _place(policy: Policy, table: Table) -> Place:
    return Place("policy", f"{table.qualified}.{policy.name}", f'policy "{policy.name}" on {table.qualified}')


def _remedy(policy: Policy, table: Table) -> str:
    condition = "(user_id = auth.current_user_id())"
    parts = [
        *([f"USING {condition}"] if policy.command != "INSERT" else []),
        *([f"WITH CHECK {condition}"] if policy.command not in ("SELECT", "DELETE") else []),
    ]
    name = f"{quoted(policy.name)} ON {quoted(table.schema, table.name)}"
    return "\n    ".join([f"ALTER POLICY {name}", *parts]) + ";  -- your condition"
