"""What a deep audit cannot read is reported, and the audit is then no proof."""

from __future__ import annotations

from functools import partial

import psycopg
import pytest

from fluxbase_cli.engine.retry import retry_transient
from fluxbase_cli.proof import searching
from fluxbase_cli.store.transactions import Access
from tests.fixtures.deep_audit import found, search
from tests.fixtures.fluxbase import OLD, STRANGER, Fluxbase, Role, seal
from tests.fixtures.plugin import T, ask_as_superuser, put


def test_a_table_that_the_role_must_not_read_is_reported(plugin: Fluxbase, role: Role) -> None:
    put(plugin, "text", seal(OLD, "x"))
    ask_as_superuser(
        plugin,
        "CREATE TABLE plugin.open (c text)",
        f"CREATE TABLE plugin.by_column (n int, c text); GRANT SELECT (c) ON plugin.by_column TO {role.name}",
        f"GRANT USAGE ON SCHEMA plugin TO {role.name}",
        f"GRANT SELECT ON plugin.open TO {role.name}",
        "CREATE SCHEMA closed",
        f"CREATE TABLE closed.t (c text); GRANT SELECT ON closed.t TO {role.name}",
        "CREATE TABLE plugin.numbers (n int)",
    )
    plugin.rows("INSERT INTO plugin.open VALUES (%s)", seal(OLD, "x"))
    findings = search(role.database)
    assert found(findings) == {"plugin.open.c": {1: 1}}
    where = {each.where for each in findings.unexamined}
    assert {T, "plugin.by_column", "closed.t", "functions.secrets"} <= where
    assert not {"plugin.open", "plugin.numbers"} & where
    assert {each.kind.value for each in findings.unexamined} == {"column"}
    # Tables that are left out on purpose need no privilege.
    assert T not in {each.where for each in search(role.database, skip=frozenset({T})).unexamined}


def test_rows_that_a_policy_hides_are_an_error_and_not_skipped(plugin: Fluxbase, role: Role) -> None:
    put(plugin, "text", seal(OLD, "x"))
    ask_as_superuser(
        plugin,
        f"GRANT USAGE ON SCHEMA plugin TO {role.name}",
        f"GRANT SELECT ON {T} TO {role.name}",
        f"ALTER TABLE {T} ENABLE ROW LEVEL SECURITY",
    )
    findings = search(role.database)
    assert found(findings) == {}
    assert T in {each.where for each in findings.unexamined}


def test_the_role_of_the_access_reads_the_tables(plugin: Fluxbase, role: Role) -> None:
    put(plugin, "text", seal(OLD, "x"))
    plugin.rows(f"ALTER ROLE {role.name} NOINHERIT")
    ask_as_superuser(plugin, f"GRANT service_role TO {role.name}", "GRANT USAGE ON SCHEMA plugin TO service_role")
    ask_as_superuser(plugin, f"GRANT SELECT ON {T} TO service_role")
    assert found(search(role.database, access=Access(role="service_role"))) == {f"{T}.c": {1: 1}}
    assert found(search(role.database)) == {}


def test_after_an_error_in_one_table_the_others_are_searched(plugin: Fluxbase) -> None:
    if int(plugin.value("SHOW server_version_num")) < 180_000:
        pytest.skip("this server has no columns that are computed when they are read")
    put(plugin, "text", seal(OLD, "x"))
    plugin.rows(
        "CREATE TABLE plugin.a_broken_one (n int, c text, v text GENERATED ALWAYS AS (repeat('secret', 1 / n)) VIRTUAL)"
    )
    plugin.rows("INSERT INTO plugin.a_broken_one VALUES (0, 'x')")
    findings = search(plugin)
    assert found(findings) == {f"{T}.c": {1: 1}}
    (unexamined,) = findings.unexamined
    assert unexamined.where == "plugin.a_broken_one"
    assert "22012" in unexamined.reason


def test_a_table_that_stays_locked_is_reported(plugin: Fluxbase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "retry_transient", partial(retry_transient, retry_limit_s=0.1))
    put(plugin, "text", seal(OLD, "x"))
    plugin.rows("CREATE TABLE plugin.locked (c text)")
    with psycopg.connect(plugin.url) as locker:
        locker.execute("LOCK TABLE plugin.locked IN ACCESS EXCLUSIVE MODE")
        findings = search(plugin)
    assert found(findings) == {f"{T}.c": {1: 1}}
    assert [each.where for each in findings.unexamined] == ["plugin.locked"]


def test_a_value_with_too_many_possible_sealed_values_is_reported(
    plugin: Fluxbase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fluxbase_cli.proof.opening.MOST_DOUBTS", 10)
    put(plugin, "text", " ".join([*(seal(STRANGER, str(number)) for number in range(11)), seal(OLD, "x")]))
    findings = search(plugin)
    assert found(findings) == {f"{T}.c": {1: 1}}
    assert [each.where for each in findings.unexamined] == [f"{T}.c"]
