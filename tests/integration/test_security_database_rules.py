"""Rules of the security check on a real database: faults that are planted into a database in good order.

Each fault must be found by its rule at its place with its severity, and nothing else may be found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.security.generation import Generation, read_generation
from fluxbase_cli.store.connection import Connection, connect
from tests.fixtures.embedded import PostgresServer
from tests.fixtures.security import check
from tests.fixtures.security_database import planted

OPEN = "CREATE TABLE public.open_notes (id int, body text)"
VIEW_OF_NOTES = "CREATE VIEW public.all_notes AS SELECT * FROM public.notes"
FAIL = """
INSERT INTO logging.entries (category, ip_address, fields)
SELECT 'security', {address}, jsonb_build_object('security_event', '{event}', 'email', 'user' || n % {accounts})
FROM generate_series(1, {number}) AS n
"""


def fail(number: int, *, event: str = "login_failed", address: str = "'203.0.113.7'", accounts: int = 1000) -> str:
    """SQL for so many events in the server's log."""
    return FAIL.format(number=number, event=event, address=address, accounts=accounts)


@dataclass(frozen=True)
class Plant:
    """A fault.

    Attributes:
        rule, severity, place: what must be found; without a severity: nothing.
        statements: what makes the fault.
        main: the severity on main, if it is another one.
    """

    rule: str
    severity: str | None
    place: str
    statements: tuple[str, ...]
    main: str | None = None

    def __str__(self) -> str:
        return f"{self.rule} {self.severity} {self.statements[-1][:60]}"


def plant(rule: str, severity: str | None, place: str, *statements: str, main: str | None = None) -> Plant:
    """A fault."""
    return Plant(rule, severity, place, statements, main)


def policy(text: str, *more: str) -> tuple[str, ...]:
    """A policy on a table with private columns that both roles may use."""
    return (
        "CREATE TABLE public.people (id uuid, user_id uuid, email text, user_metadata jsonb)",
        "ALTER TABLE public.people ENABLE ROW LEVEL SECURITY",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON public.people TO anon, authenticated",
        "CREATE POLICY own ON public.people USING (user_id = auth.current_user_id())",
        *more,
        f"CREATE POLICY p ON public.people {text}",
    )


def function(body: str, *, definer: str = "", arguments: str = "t text, n integer") -> str:
    """A function in PL/pgSQL."""
    return (
        f"CREATE FUNCTION public.f({arguments}) RETURNS void LANGUAGE plpgsql {definer} AS $f$\nBEGIN\n{body}\nEND $f$"
    )


P = "public.people.p"
F = "public.f(t text, n integer)"
PLANTS = [
    # Tables -----------------------------------------------------------------------------------------------------
    plant("FB-RLS-001", "low", "public.open_notes", OPEN),
    plant("FB-RLS-001", "high", "public.open_notes", OPEN, "GRANT SELECT ON public.open_notes TO authenticated"),
    plant("FB-RLS-001", "high", "public.open_notes", OPEN, "GRANT SELECT (body) ON public.open_notes TO authenticated"),
    plant("FB-RLS-001", "critical", "public.open_notes", OPEN, "GRANT SELECT ON public.open_notes TO PUBLIC"),
    plant("FB-RLS-001", "critical", "public.open_notes", OPEN, "GRANT INSERT (body) ON public.open_notes TO anon"),
    plant("FB-RLS-001", "critical", "public.open_notes", OPEN, "GRANT TRUNCATE ON public.open_notes TO authenticated"),
    plant(
        "FB-RLS-001",
        "critical",
        "public.keys",
        "CREATE TABLE public.keys (api_key text)",
        "GRANT SELECT ON public.keys TO authenticated",
    ),
    plant(
        "FB-RLS-001",
        "high",
        "public.open_notes",
        OPEN,
        "CREATE ROLE test_readers",
        "GRANT SELECT ON public.open_notes TO test_readers",
        "GRANT test_readers TO authenticated WITH INHERIT TRUE",
    ),
    plant(
        "FB-RLS-001",
        "low",
        "shop.open_notes",
        "CREATE SCHEMA shop",
        "CREATE TABLE shop.open_notes (id int)",
        "GRANT ALL ON shop.open_notes TO anon",
    ),
    plant(
        "FB-RLS-001",
        "critical",
        "public.parts",
        "CREATE TABLE public.parts (id int) PARTITION BY LIST (id)",
        "CREATE TABLE public.part_1 PARTITION OF public.parts FOR VALUES IN (1)",
        "GRANT SELECT ON public.parts, public.part_1 TO anon",
    ),
    plant(
        "FB-RLS-002",
        "critical",
        "server.written",
        "CREATE TABLE auth.otp_codes (id int)",
        "GRANT DELETE ON auth.otp_codes TO authenticated",
    ),
    plant(
        "FB-RLS-002",
        "medium",
        "server.read",
        "CREATE TABLE ai.user_quotas (id int)",
        "GRANT SELECT ON ai.user_quotas TO authenticated",
    ),
    plant("FB-RLS-003", "info", "public.open_notes", OPEN, "ALTER TABLE public.open_notes ENABLE ROW LEVEL SECURITY"),
    plant("FB-RLS-004", "critical", "public.notes", "ALTER TABLE public.notes DISABLE ROW LEVEL SECURITY"),
    plant("FB-RLS-004", "high", "public.own", "CREATE TABLE public.own (id int)", "CREATE POLICY p ON public.own"),
    plant("FB-RLS-008", "high", "public.visits_2026", "GRANT SELECT ON public.visits_2026 TO authenticated"),
    plant(
        "FB-RLS-008",
        "high",
        "public.old_notes",
        "CREATE TABLE public.old_notes () INHERITS (public.notes)",
        "GRANT SELECT ON public.old_notes TO anon",
    ),
    # Policies ---------------------------------------------------------------------------------------------------
    plant("FB-RLS-005", "high", P, *policy("FOR DELETE TO authenticated USING (true)")),
    plant("FB-RLS-005", "high", P, *policy("FOR INSERT TO anon WITH CHECK (1 = 1)")),
    plant("FB-RLS-005", "high", P, *policy("TO authenticated USING (user_id IS NULL OR true)")),
    plant("FB-RLS-005", "high", P, *policy("FOR UPDATE USING (user_id = auth.current_user_id()) WITH CHECK (true)")),
    plant("FB-RLS-005", "high", P, *policy("FOR DELETE USING (auth.current_user_role() = 'authenticated')")),
    plant("FB-RLS-005", "high", P, *policy("FOR SELECT USING (true)")),
    plant("FB-RLS-005", "medium", P, *policy("FOR SELECT TO authenticated USING (true)")),
    plant("FB-RLS-005", None, P, *policy("FOR UPDATE TO authenticated USING (user_id = auth.current_user_id())")),
    plant("FB-RLS-005", None, P, *policy("FOR INSERT TO anon")),
    plant("FB-RLS-005", None, P, *policy("TO service_role USING (true)")),
    plant("FB-RLS-005", None, P, *policy("TO anon USING (true)", "REVOKE ALL ON public.people FROM anon")),
    plant(
        "FB-RLS-005",
        None,
        P,
        *policy(
            "FOR DELETE USING (true)",
            "CREATE POLICY limits ON public.people AS RESTRICTIVE USING (user_id = auth.current_user_id())",
        ),
    ),
    plant(
        "FB-RLS-005",
        "high",
        P,
        *policy("FOR DELETE USING (true)", "CREATE POLICY limits ON public.people AS RESTRICTIVE USING (true)"),
    ),
    plant(
        "FB-RLS-006",
        "high",
        P,
        *policy(
            "FOR SELECT USING (current_setting('request.jwt.claims')::jsonb -> 'user_metadata' ->> 'team' = email)",
        ),
    ),
    plant("FB-RLS-006", "medium", P, *policy("FOR SELECT USING (user_metadata ->> 'team' = 'red')")),
    plant("FB-RLS-006", "high", "public.notes.administrators", "GRANT UPDATE ON public.profiles TO authenticated"),
    plant(
        "FB-RLS-006",
        None,
        "public.notes.administrators",
        "GRANT UPDATE ON public.profiles TO authenticated",
        "DROP POLICY own ON public.profiles",
        "CREATE POLICY own ON public.profiles FOR SELECT USING (id = auth.current_user_id())",
    ),
    # Views ------------------------------------------------------------------------------------------------------
    plant(
        "FB-VIEW-001", "high", "public.all_notes", VIEW_OF_NOTES, "GRANT SELECT ON public.all_notes TO authenticated"
    ),
    plant("FB-VIEW-001", "high", "public.all_notes", VIEW_OF_NOTES, "GRANT SELECT (body) ON public.all_notes TO anon"),
    plant("FB-VIEW-001", None, "public.all_notes", VIEW_OF_NOTES),
    plant(
        "FB-VIEW-001",
        "critical",
        "public.everybody",
        "CREATE VIEW public.everybody AS SELECT email FROM auth.users",
        "GRANT SELECT ON public.everybody TO authenticated",
    ),
    plant(
        "FB-VIEW-001",
        "high",
        "public.outer_view",
        VIEW_OF_NOTES,
        "ALTER VIEW public.all_notes SET (security_invoker = true)",
        "CREATE VIEW public.outer_view AS SELECT * FROM public.all_notes",
        "GRANT SELECT ON public.outer_view TO authenticated",
    ),
    plant(
        "FB-VIEW-001",
        None,
        "public.titles",
        "CREATE ROLE test_owner",
        "GRANT SELECT ON public.notes TO test_owner",
        VIEW_OF_NOTES,
        "ALTER VIEW public.all_notes OWNER TO test_owner",
        "GRANT SELECT ON public.all_notes TO authenticated",
    ),
    # Functions --------------------------------------------------------------------------------------------------
    plant("FB-FN-001", "low", F, function("NULL;", definer="SECURITY DEFINER")),
    plant("FB-FN-002", "medium", F, function("EXECUTE 'DROP TABLE ' || t;")),
    plant("FB-FN-002", "medium", F, function("EXECUTE format('DROP TABLE %s', t);")),
    plant("FB-FN-002", None, F, function("EXECUTE format('DROP TABLE %I', t) || n; -- EXECUTE 'x' || t")),
    plant(
        "FB-FN-002",
        "high",
        F,
        function("EXECUTE 'DROP TABLE ' || t;", definer="SECURITY DEFINER SET search_path = ''"),
    ),
    plant(
        "FB-FN-002",
        "medium",
        F,
        function("EXECUTE t;", definer="SECURITY DEFINER SET search_path = ''"),
        "REVOKE EXECUTE ON FUNCTION public.f FROM PUBLIC",
    ),
    plant(
        "FB-FN-003",
        "high",
        "default.search",
        "UPDATE rpc.procedures SET sql_query = 'SELECT 1 WHERE a LIKE ''%$term%''' WHERE enabled",
        main="low",
    ),
    plant(
        "FB-FN-003",
        "high",
        "default.search",
        "UPDATE rpc.procedures SET sql_query = 'SELECT * FROM $place' WHERE enabled",
        main="low",
    ),
    plant(
        "FB-FN-003",
        "medium",
        "default.search",
        "UPDATE rpc.procedures SET sql_query = 'SELECT * FROM public.notes WHERE user_id = $caller_id' WHERE enabled",
    ),
    # Roles and settings -----------------------------------------------------------------------------------------
    plant(
        "FB-SQL-001",
        "critical",
        "anon",
        "ALTER ROLE anon SET standard_conforming_strings = off",
        main="medium",
    ),
    plant(
        "FB-ROLE-001",
        "high",
        "test_server",
        "CREATE ROLE test_server LOGIN BYPASSRLS",
        "GRANT service_role TO test_server",
    ),
    plant(
        "FB-ROLE-001",
        "high",
        "test_server",
        "CREATE ROLE test_group CREATEROLE",
        "CREATE ROLE test_server LOGIN SUPERUSER",
        "GRANT service_role TO test_group",
        "GRANT test_group TO test_server",
    ),
    plant("FB-ROLE-001", None, "", "CREATE ROLE test_server LOGIN", "GRANT service_role TO test_server"),
    plant("FB-ROLE-002", "critical", "anon", "ALTER ROLE anon LOGIN"),
    plant("FB-ROLE-002", "critical", "authenticated", "ALTER ROLE authenticated BYPASSRLS"),
    plant(
        "FB-ROLE-002",
        "critical",
        "authenticated",
        "CREATE ROLE test_group",
        "GRANT service_role TO test_group",
        "GRANT test_group TO authenticated",
    ),
    plant("FB-ROLE-002", "critical", "anon", "GRANT pg_write_all_data TO anon WITH INHERIT FALSE"),
    plant("FB-ROLE-002", "critical", "anon", "ALTER TABLE public.pages OWNER TO anon"),
    plant("FB-ROLE-004", "medium", "shop", "CREATE SCHEMA shop", "GRANT CREATE ON SCHEMA shop TO PUBLIC"),
    plant("FB-ROLE-004", "high", "public", "GRANT CREATE ON SCHEMA public TO authenticated"),
    plant("FB-ROLE-004", "medium", "{database}", "GRANT CREATE ON DATABASE {database} TO anon"),
    # What the server stores -------------------------------------------------------------------------------------
    plant(
        "FB-KEY-001",
        "high",
        "auth.service_keys 00000000-0000-0000-0000-00000000000a",
        "UPDATE auth.service_keys SET expires_at = NULL, scopes = '{*}' WHERE name = 'nightly'",
    ),
    plant(
        "FB-KEY-001",
        "medium",
        "auth.service_keys 00000000-0000-0000-0000-00000000000a",
        "UPDATE auth.service_keys SET scopes = '{*}' WHERE name = 'nightly'",
    ),
    plant("FB-KEY-001", None, "", "UPDATE auth.service_keys SET scopes = '{*}', expires_at = now() WHERE enabled"),
    plant(
        "FB-ADM-003", "critical", "service_role", "INSERT INTO auth.users (email, role) VALUES ('a', 'service_role')"
    ),
    plant("FB-ADM-003", "medium", "admin", "INSERT INTO auth.users (email, role) VALUES ('a', 'admin')"),
    plant(
        "FB-SSO-001", "high", "company", "UPDATE auth.saml_providers SET idp_metadata_url = 'http://idp.example.com'"
    ),
    plant("FB-SSO-001", "medium", "company", "UPDATE auth.saml_providers SET allow_idp_initiated = true"),
    plant(
        "FB-SSO-002",
        "medium",
        "auth.saml_providers company",
        "UPDATE auth.saml_providers SET required_groups = '{}'",
    ),
    plant(
        "FB-SSO-002",
        "high",
        "{providers} google",
        "UPDATE {providers} SET required_claims = '{}'",
    ),
    plant("FB-ADM-002", "high", "{operators}", "DELETE FROM {operators}"),
    plant("FB-ADM-002", "high", "{operators}", "UPDATE {operators} SET deleted_at = now()"),
    plant("FB-LOG-002", "high", "logging.entries", "DELETE FROM logging.entries"),
    plant("FB-LOG-002", None, "", "DELETE FROM logging.entries", "DELETE FROM auth.sessions"),
    plant("FB-LOG-003", "medium", "203.0.113.7", fail(50)),
    plant("FB-LOG-003", None, "", fail(49)),
    plant(
        "FB-LOG-003",
        "high",
        "203.0.113.7",
        fail(50),
        "UPDATE logging.entries SET timestamp = timestamp - interval '1 minute'",
        fail(1, event="login_success"),
    ),
    plant("FB-LOG-003", "medium", "accounts", fail(20, address="NULL", accounts=1)),
    plant("FB-LOG-003", "medium", "locked accounts", fail(5, event="account_locked", address="NULL")),
]
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
        generation = facts.read(read_generation)
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


def test_a_trigger_that_only_speaks_of_the_role_guards_nothing(well_kept: Connection) -> None:
    found = checked(well_kept, GUARD_FUNCTION.format("/* NEW.role */ -- NEW.role\n"), GUARD).findings

    assert [each[1] for each in found if each[0] == "FB-RLS-010"] == ["critical"]


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
