"""The rule that looks at tables as a stranger, on a real database."""

from __future__ import annotations

import pytest

from fluxbase_cli.security.database.session import DatabaseFacts
from fluxbase_cli.store.connection import Connection, connect
from tests.fixtures.fluxbase import Fluxbase, Role
from tests.fixtures.security import check, found
from tests.fixtures.security_database import planted

TABLE = (
    "CREATE TABLE public.diary (owner uuid, body text)",
    "INSERT INTO public.diary VALUES (gen_random_uuid(), 'private text')",
    "ALTER TABLE public.diary ENABLE ROW LEVEL SECURITY",
    "GRANT USAGE ON SCHEMA public TO anon, authenticated",
    "GRANT SELECT ON public.diary TO anon, authenticated",
)
CLAIMS = "current_setting('request.jwt.claims')::json"
BY_ROLE = f"CREATE POLICY by_role ON public.diary USING ({CLAIMS}->>'role' = 'authenticated')"
OWN = f"CREATE POLICY own ON public.diary USING (owner::text = {CLAIMS}->>'sub')"


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (OWN, []),
        ("CREATE POLICY everything ON public.diary TO anon USING (true)", [("FB-RLS-011", "critical", "public.diary")]),
        (
            "CREATE POLICY everything ON public.diary TO authenticated USING (true)",
            [("FB-RLS-011", "high", "public.diary")],
        ),
        (BY_ROLE, [("FB-RLS-011", "high", "public.diary")]),
    ],
    ids=["own rows", "anon", "authenticated", "by role"],
)
def test_a_stranger_sees_only_what_the_policies_let_through(
    well_kept: Connection, policy: str, expected: list[tuple[str, str, str]]
) -> None:
    with planted(well_kept, *TABLE, policy) as database:
        report = check("FB-RLS-011", database=database, probe=True)
        again = check("FB-RLS-001", database=database)

    assert [each for each in found(report) if each[2] == "public.diary"] == expected
    assert "private text" not in repr(report)
    # The role of the session is the old one again.
    assert again.not_checked == ()


def test_without_the_option_it_is_not_checked(well_kept: Connection) -> None:
    with planted(well_kept, *TABLE) as database:
        report = check("FB-RLS-011", database=database)

    assert [each.reason for each in report.not_checked] == ["tables were not looked at as a stranger (--probe)"]


def test_a_policy_that_fails_is_not_checked_and_stops_nothing(well_kept: Connection) -> None:
    broken = "CREATE POLICY broken ON public.diary USING (1 / (CASE WHEN body = '' THEN 1 ELSE 0 END) = 1)"
    with planted(well_kept, *TABLE, broken, "INSERT INTO public.pages VALUES (1, 'x')") as database:
        report = check("FB-RLS-011", database=database, probe=True)

    assert {each.reason.partition(":")[0] for each in report.not_checked} == {
        "public.diary as anon",
        "public.diary as authenticated",
    }
    # The table after it was tried too: it is meant for everybody.
    assert found(report) == [("FB-RLS-011", "critical", "public.pages")]


def test_a_policy_finds_names_as_in_a_session_of_the_server(well_kept: Connection) -> None:
    """The check reads catalogues with a search_path of its own, in which functions of users find nothing."""
    function = "CREATE FUNCTION public.open() RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN inner_open(); END'"
    inner = "CREATE FUNCTION public.inner_open() RETURNS boolean LANGUAGE sql RETURN true"
    policy = "CREATE POLICY open ON public.diary TO authenticated USING (public.open())"
    with planted(well_kept, *TABLE, inner, function, policy) as database:
        report = check("FB-RLS-011", database=database, probe=True)

    assert report.not_checked == ()
    assert found(report) == [("FB-RLS-011", "high", "public.diary")]


def test_a_role_that_may_not_take_the_role_of_a_stranger(flux: Fluxbase, role: Role) -> None:
    for statement in (*TABLE, OWN):
        flux.rows(statement)
    with connect(role.database) as connection, connection.transaction(force_rollback=True):
        report = check("FB-RLS-011", database=DatabaseFacts(connection), probe=True)

    (left,) = report.not_checked
    assert left.reason.startswith("the role of this session may not take the role ")
