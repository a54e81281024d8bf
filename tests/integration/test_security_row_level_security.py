"""Rules of the security check on row-level security, on a real database."""

from __future__ import annotations

import pytest

from tests.fixtures.embedded import on_both_releases
from tests.fixtures.fluxbase import Fluxbase
from tests.fixtures.security import changed_database, check, found

TABLE = "CREATE TABLE public.notes (id int, body text)"


@on_both_releases
@pytest.mark.parametrize(
    ("statements", "severity"),
    [
        ([], "low"),
        (["GRANT SELECT ON public.notes TO authenticated"], "high"),
        (["GRANT SELECT (body) ON public.notes TO authenticated"], "high"),
        (["GRANT SELECT ON public.notes TO PUBLIC"], "critical"),
        (["GRANT SELECT ON public.notes TO anon"], "critical"),
        (["GRANT TRUNCATE ON public.notes TO authenticated"], "critical"),
        (["ALTER TABLE public.notes ADD api_token text", "GRANT SELECT ON public.notes TO authenticated"], "critical"),
        (["GRANT ALL ON public.notes TO anon", "REVOKE USAGE ON SCHEMA public FROM anon, PUBLIC"], "low"),
    ],
    ids=str,
)
def test_a_table_without_row_level_security_is_as_bad_as_the_roles_reach_it(
    flux: Fluxbase, statements: list[str], severity: str
) -> None:
    with changed_database(flux, TABLE, "GRANT USAGE ON SCHEMA public TO PUBLIC", *statements) as database:
        report = check("FB-RLS-001", database=database)

    assert [each for each in found(report) if each[2] == "public.notes"] == [("FB-RLS-001", severity, "public.notes")]


def test_a_table_with_row_level_security_is_no_finding(flux: Fluxbase) -> None:
    enabled = "ALTER TABLE public.notes ENABLE ROW LEVEL SECURITY"
    with changed_database(flux, TABLE, "GRANT ALL ON public.notes TO anon", enabled) as database:
        report = check("FB-RLS-001", database=database)

    assert [each for each in found(report) if each[2] == "public.notes"] == []


def test_the_remedy_can_be_pasted(flux: Fluxbase) -> None:
    table = 'CREATE TABLE public."Old ""Notes" (user_id uuid)'
    with changed_database(flux, table) as database:
        (finding,) = [each for each in check("FB-RLS-001", database=database).findings if "Old" in each.place.name]
    with changed_database(
        flux,
        "CREATE OR REPLACE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql AS 'SELECT NULL::uuid'",
        table,
        finding.remedy,
    ) as database:
        assert [each for each in check("FB-RLS-001", database=database).findings if "Old" in each.place.name] == []
