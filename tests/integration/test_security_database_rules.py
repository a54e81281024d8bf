"""Rules of the security check on a real database: faults that are planted into a database in good order.

Each fault must be found by its rule at its place with its severity, and nothing else may be found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import psycopg
import pytest

from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.security.database.release import read_release
from fluxbase_cli.security.database.sessions import Session, read_sessions
from fluxbase_cli.security.generation import Generation, generation_of
from fluxbase_cli.store.connection import Connection, connect
from tests.fixtures.embedded import PostgresServer
from tests.fixtures.security import check
from tests.fixtures.security_database import planted
from tests.fixtures.security_plants import PLANTS, F, Plant, function

#: What each release has itself, without any fault of the operator.
OF_EVERY_RELEASE = {("FB-RLS-010", "critical", "auth.users.role")}


@dataclass(frozen=True)
class Checked:
    """What the rules say about a database.

    Attributes:
        findings: rule, severity and place of each finding, but those on versions.
        is_main: whether it is a database of main.
        database: its name.
    """

    findings: frozenset[tuple[str, str, str]]
    is_main: bool
    database: str


def checked(database: Connection, *statements: str) -> Checked:
    """Run all rules on a database with these statements."""
    with planted(database, *statements) as facts:
        report = check(database=facts)
        generation = generation_of(facts.read(read_release))
    found = {(each.rule, each.severity.word, each.place.name) for each in report.findings if "-DEP-" not in each.rule}
    return Checked(frozenset(found), generation is Generation.MAIN, database.info.dbname)


@pytest.fixture(scope="module")
def before(well_kept: Connection) -> Checked:
    """What is found without a fault."""
    return checked(well_kept)


@pytest.mark.parametrize("fault", PLANTS, ids=str)
def test_a_fault_is_found_by_its_rule_and_no_other(well_kept: Connection, before: Checked, fault: Plant) -> None:
    schema = "platform" if before.is_main else "dashboard"
    names = {
        "{providers}": f"{schema}.oauth_providers",
        "{operators}": f"{schema}.users",
        "{database}": before.database,
    }
    after = checked(well_kept, *(replaced(each, names) for each in fault.statements))

    severity = fault.main if after.is_main and fault.main else fault.severity
    expected = {(fault.rule, severity, replaced(fault.place, names))} if severity else set()
    assert after.findings - before.findings == expected


def replaced(text: str, names: Mapping[str, str]) -> str:
    """The text with names of tables that differ between the releases."""
    for name, table in names.items():
        text = text.replace(name, table)
    return text


def test_a_well_kept_database_has_only_the_findings_of_its_release(before: Checked) -> None:
    assert {each for each in before.findings if each[1] not in ("low", "info")} == OF_EVERY_RELEASE


GUARD = "CREATE TRIGGER guard BEFORE UPDATE ON auth.users FOR EACH ROW EXECUTE FUNCTION public.guard()"
GUARD_FUNCTION = "CREATE FUNCTION public.guard() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN {} RETURN NEW; END$$"
GUARD_POLICY = """CREATE POLICY guard ON auth.users AS RESTRICTIVE FOR UPDATE USING (true)
WITH CHECK (role = auth.current_user_role())"""


@pytest.mark.parametrize(
    "statements",
    [
        (
            "REVOKE UPDATE ON auth.users FROM anon, authenticated, PUBLIC",
            "GRANT UPDATE (user_metadata) ON auth.users TO authenticated",
        ),
        (GUARD_FUNCTION.format("NEW.role := OLD.role;"), GUARD),
        (GUARD_POLICY,),
    ],
    ids=["privilege", "trigger", "policy"],
)
def test_what_keeps_users_from_updating_their_role_counts(well_kept: Connection, statements: tuple[str, ...]) -> None:
    found = checked(well_kept, *statements).findings

    assert [each for each in found if each[0] == "FB-RLS-010"] == []


@pytest.mark.parametrize(
    ("body", "severities"),
    [
        ("/* NEW.role */ -- NEW.role\n", ["critical"]),
        ("RAISE NOTICE 'NEW.role';", ["critical"]),
        ("RAISE NOTICE '--'; NEW.role := OLD.role;", []),
        ('NEW."role" := OLD.role;', []),
    ],
)
def test_a_trigger_that_only_speaks_of_the_role_guards_nothing(
    well_kept: Connection, body: str, severities: list[str]
) -> None:
    found = checked(well_kept, GUARD_FUNCTION.format(body), GUARD).findings

    assert [each[1] for each in found if each[0] == "FB-RLS-010"] == severities


def test_a_function_is_worse_if_its_callers_may_create_objects_on_their_path(well_kept: Connection) -> None:
    found = checked(
        well_kept, "GRANT CREATE ON SCHEMA public TO authenticated", function("NULL;", definer="SECURITY DEFINER")
    ).findings

    assert ("FB-FN-001", "high", F) in found


@pytest.mark.parametrize(
    ("statements", "rule", "reason"),
    [
        (("DROP TABLE auth.service_keys",), "FB-KEY-001", "auth.service_keys"),
        (("ALTER TABLE rpc.procedures DROP enabled",), "FB-FN-003", "enabled"),
        (("DROP TABLE logging.entries",), "FB-LOG-003", "logging.entries"),
        (("ALTER TABLE auth.users RENAME TO accounts",), "FB-RLS-010", "auth.users"),
        (("REVOKE ALL ON auth.sessions FROM test_auditor",), "FB-LOG-002", "may not read"),
        (("GRANT SELECT ON ALL TABLES IN SCHEMA auth TO test_auditor",), "FB-ADM-003", "row-level security"),
    ],
    ids=str,
)
def test_what_can_not_be_read_is_not_checked(
    well_kept: Connection, statements: tuple[str, ...], rule: str, reason: str
) -> None:
    role = (
        "CREATE ROLE test_auditor",
        "GRANT USAGE ON SCHEMA auth, logging, rpc TO test_auditor",
        "GRANT SELECT ON logging.entries, rpc.procedures, auth.service_keys TO test_auditor",
    )
    as_auditor = () if "DROP" in statements[0] or "RENAME" in statements[0] else ("SET LOCAL ROLE test_auditor",)
    with planted(well_kept, *role, *statements, *as_auditor) as facts:
        report = check(rule, database=facts)

    assert report.findings == ()
    (not_checked,) = report.not_checked
    assert reason in not_checked.reason


def test_the_catalogues_need_no_privilege(well_kept: Connection, before: Checked) -> None:
    with planted(well_kept, "CREATE ROLE test_auditor", "SET LOCAL ROLE test_auditor") as facts:
        report = check("FB-RLS-010", "FB-RLS-001", "FB-ROLE-002", "FB-VIEW-001", database=facts)

    assert not report.not_checked
    assert [each.rule for each in report.findings] == ["FB-RLS-010"]


def test_the_sessions_of_the_server_are_read_and_only_members_of_pg_monitor_see_them(well_kept: Connection) -> None:
    with psycopg.connect(well_kept.info.dsn, password=well_kept.info.password) as of_the_server:
        role = of_the_server.info.user
        with planted(well_kept) as facts:
            seen = facts.read(read_sessions)
        with planted(well_kept, "CREATE ROLE test_auditor", "SET LOCAL ROLE test_auditor") as facts:
            hidden = facts.read(read_sessions)

    assert seen == (Session(role, "127.0.0.1", encrypted=False, hidden=False),)
    assert hidden == (Session(role, None, encrypted=None, hidden=True),)


def test_a_database_of_another_program_is_not_checked(postgres_server: PostgresServer) -> None:
    with (
        connect(DatabaseSettings.from_url(postgres_server.url(), "the test")) as connection,
        planted(connection, "CREATE TABLE public.open_notes (id int)") as facts,
    ):
        report = check(database=facts)

    assert [each.rule for each in report.findings if "-DEP-" not in each.rule] == []
    assert {each.id for each in report.rules if each.id.startswith(("FB-RLS", "FB-ROLE", "FB-FN", "FB-VIEW"))} <= {
        each.rule for each in report.not_checked
    }
