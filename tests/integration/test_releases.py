"""Databases of every layout: what is reported about them, what they must contain, and that every value moves."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fluxbase_cli.catalogue.locations import Layout
from fluxbase_cli.counts import Counts
from fluxbase_cli.demo.tables import SchemaRelease
from fluxbase_cli.errors import ExitCode
from fluxbase_cli.store.connection import Connection, connect
from fluxbase_cli.store.databases import find_databases
from fluxbase_cli.store.preflight import inspect
from fluxbase_cli.store.relations import FoundRelations, find_relations
from fluxbase_cli.unexamined import UnexaminedKind
from tests.fixtures.embedded import on_both_releases
from tests.fixtures.fluxbase import (
    COLUMNS,
    DASHBOARD_PROVIDERS,
    GITHUB,
    NEW,
    OLD,
    PROVIDERS,
    TOTP,
    USERS,
    Fluxbase,
    fill,
    seal,
)

DASHBOARD, PLATFORM = frozenset({Layout.DASHBOARD}), frozenset({Layout.PLATFORM})
on_the_stable_release = pytest.mark.parametrize("release", [SchemaRelease.STABLE], ids=str)


def found(flux: Fluxbase) -> FoundRelations:
    with connect(flux.database) as connection:
        return find_relations(connection)


@contextmanager
def changed(connection: Connection, *statements: str) -> Iterator[FoundRelations]:
    """What is found in a transaction with these statements. The transaction is rolled back."""
    with connection.transaction(force_rollback=True):
        for statement in statements:
            connection.execute(statement.encode())
        yield find_relations(connection)


def unexamined(inspected: FoundRelations) -> set[str]:
    assert {each.kind for each in inspected.unexamined} <= {UnexaminedKind.LOCATION}
    return {each.where for each in inspected.unexamined}


# --- what is reported
# --------------------------------------------------------------------------------------------------


@on_both_releases
def test_every_table_of_the_release_is_found_and_none_is_missing(flux: Fluxbase, release: SchemaRelease) -> None:
    inspected = found(flux)
    expected = {
        SchemaRelease.STABLE: ("2026.2.3 to 2026.3.6", DASHBOARD),
        SchemaRelease.MAIN: ("2026.3.7-rc.12 to 2026.3.7-rc.13", PLATFORM),
    }[release]
    assert (inspected.release.name, inspected.release.layouts) == expected
    assert (inspected.unexamined, inspected.unusable, inspected.foreign) == ((), (), ())
    locations = tuple(
        relation.table.location(column) for relation in inspected.relations for column in relation.columns
    )
    assert locations == flux.columns


@on_both_releases
def test_any_renamed_or_dropped_table_is_reported(flux: Fluxbase) -> None:
    with connect(flux.database) as connection:
        for table in flux.tables:
            with changed(connection, f"ALTER TABLE {table} RENAME TO set_aside") as inspected:
                assert unexamined(inspected) == {table}
            with changed(connection, f"DROP TABLE {table} CASCADE") as inspected:
                assert unexamined(inspected) == {table}


@on_both_releases
def test_any_column_that_was_renamed_or_has_another_type_is_reported(flux: Fluxbase) -> None:
    with connect(flux.database) as connection:
        for location in flux.columns:
            table, _, column = location.rpartition(".")
            with changed(connection, f"ALTER TABLE {table} RENAME {column} TO set_aside") as inspected:
                assert unexamined(inspected) == {location}
            with changed(
                connection,
                f"ALTER TABLE {table} DROP COLUMN {column} CASCADE",
                f"ALTER TABLE {table} ADD COLUMN {column} bytea",
            ) as inspected:
                assert unexamined(inspected) == {location}


@on_the_stable_release
def test_a_renamed_table_of_providers_is_reported_before_anything_is_done(flux: Fluxbase) -> None:
    flux.rows("ALTER TABLE dashboard.oauth_providers RENAME TO oauth_providers_old")
    with connect(flux.database) as connection:
        preflight = inspect(connection, write=True)
    (missed,) = preflight.unexamined
    assert (missed.kind, missed.where) == (UnexaminedKind.LOCATION, "dashboard.oauth_providers")
    assert "renamed or dropped" in missed.reason
    assert any("dashboard.oauth_providers" in warning for warning in preflight.warnings)


@on_the_stable_release
def test_a_schema_named_platform_that_the_operator_made_changes_nothing(flux: Fluxbase) -> None:
    flux.rows("CREATE SCHEMA platform")
    flux.rows("CREATE TABLE platform.users (id bigint PRIMARY KEY)")
    flux.rows("CREATE TABLE platform.tenants (id bigint PRIMARY KEY, name text)")
    flux.rows("ALTER TABLE auth.users ADD COLUMN tenant_id bigint")
    inspected = found(flux)
    assert (inspected.release.name, inspected.release.layouts) == ("2026.2.3 to 2026.3.6", DASHBOARD)
    assert inspected.unexamined == ()
    with connect(flux.database) as connection:
        further = find_databases(connection, inspect(connection, write=False).access)
    assert (further.found, further.unexamined) == ((), ())


@on_the_stable_release
def test_a_foreign_table_of_the_operator_does_not_make_it_a_database_of_a_tenant(flux: Fluxbase) -> None:
    """In a database of a tenant, no table is required. Here, all tables are required."""
    flux.rows("CREATE SCHEMA platform")
    flux.rows("CREATE FOREIGN DATA WRAPPER nowhere")
    flux.rows("CREATE SERVER nowhere FOREIGN DATA WRAPPER nowhere")
    flux.rows("CREATE FOREIGN TABLE platform.tenants (id bigint) SERVER nowhere")
    assert (found(flux).is_tenant, found(flux).unexamined) == (False, ())
    flux.rows("ALTER TABLE auth.oauth_tokens RENAME TO oauth_tokens_old")
    assert unexamined(found(flux)) == {"auth.oauth_tokens"}
    flux.rows("ALTER TABLE dashboard.oauth_providers RENAME TO oauth_providers_old")
    inspected = found(flux)
    assert not inspected.is_tenant
    assert any("dashboard.oauth_providers" in where for where in unexamined(inspected))


@pytest.mark.parametrize(
    ("digits", "name"),
    [
        ("75fc318e", "2026.3.7-rc.8 to 2026.3.7-rc.10"),
        ("ffffffff", "unknown, looks newer than 2026.3.7-rc.13"),
    ],
)
def test_the_fingerprint_is_also_read_where_early_releases_keep_it(flux: Fluxbase, digits: str, name: str) -> None:
    flux.rows(
        "INSERT INTO platform.declarative_state (schema_fingerprint, source) VALUES (%s, 'schema_apply')",
        digits.ljust(64, "0"),
    )
    assert found(flux).release.name == name
    flux.rows("CREATE SCHEMA migrations")
    flux.rows("ALTER TABLE platform.declarative_state SET SCHEMA migrations")
    flux.rows("ALTER TABLE platform.fluxbase_migrations RENAME TO fluxbase")
    flux.rows("ALTER TABLE platform.fluxbase SET SCHEMA migrations")
    inspected = found(flux)
    assert (inspected.release.name, inspected.release.layouts, inspected.unexamined) == (name, PLATFORM, ())


@on_both_releases
def test_the_release_is_recognised_even_if_the_role_cannot_read_the_tables_of_the_server(
    flux: Fluxbase, release: SchemaRelease
) -> None:
    with connect(flux.database) as connection:
        connection.execute(b"SET ROLE anon")
        inspected = find_relations(connection)
        # And if such a table has an unknown form.
        connection.execute(b"RESET ROLE")
        table = "migrations.fluxbase" if release is SchemaRelease.STABLE else "platform.declarative_state"
        column = "version" if release is SchemaRelease.STABLE else "schema_fingerprint"
        with changed(connection, f"ALTER TABLE {table} RENAME {column} TO another") as other:
            assert other.release == inspected.release
    assert inspected.release.name == (
        "2026.1.13 to 2026.3.6" if release is SchemaRelease.STABLE else "2026.3.7-rc.11 or later"
    )


# --- every value moves ---------------------------------------------------------------------------------------------


@on_the_stable_release
def test_legacy_webhook_secrets_of_40_hexadecimal_digits_do_not_look_like_a_wrong_key(flux: Fluxbase) -> None:
    """Until 2026.3.5 the server stored them as they came, and 2026.3.6 leaves them: valid base64 of 30 bytes."""
    legacy = {flux.github(text): text for text in (secrets.token_hex(20) for _ in range(12))}
    flux.provider("GOCSPX-plaintext", encrypted=False)
    flux.user(TOTP)
    flux.secrets(20)
    flux.provider(seal(OLD, "a client secret"), encrypted=True)
    before = flux.everything()

    assert flux.audit(1).found == 21
    report = flux.run()

    assert (report.state, report.exit_code, report.remaining) == ("completed", ExitCode.DONE, 0)
    assert report.locations[GITHUB] == Counts(plaintext=12)
    assert report.locations[DASHBOARD_PROVIDERS] == Counts(scanned=1, re_encrypted=1, updated=1, plaintext=1)
    assert {spot.id: text for spot, (text, _) in flux.stored().items() if spot.location == GITHUB} == legacy
    after = flux.everything()
    assert {spot: each.text for spot, each in after.items()} == {spot: each.text for spot, each in before.items()}
    assert sum(each.versions == (2,) for each in after.values()) == 21
    audit = flux.audit(1)
    assert (audit.found, audit.exit_code, audit.quarantine) == (0, ExitCode.DONE, ())
    back = flux.run(source=None, target=1)
    assert (back.exit_code, back.total.updated) == (ExitCode.DONE, 21)


@on_the_stable_release
def test_a_database_of_the_first_releases_has_plaintext_where_later_ones_seal(flux: Fluxbase) -> None:
    """Until 2026.1.11, the column of TOTP secrets is too narrow for a sealed value."""
    flux.rows("ALTER TABLE auth.users ALTER COLUMN totp_secret TYPE varchar(32)")
    flux.rows("UPDATE migrations.fluxbase SET version = 63")
    assert found(flux).release.name == "2026.1.10 to 2026.1.11"
    for _ in range(5):
        flux.user("".join(secrets.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") for _ in range(32)))
        flux.github(secrets.token_hex(20))
    flux.secrets(8)

    report = flux.run()

    assert (report.exit_code, report.total.updated, report.total.plaintext) == (ExitCode.DONE, 8, 10)
    assert report.locations[USERS] == Counts(plaintext=5)
    assert flux.audit(1).exit_code == ExitCode.DONE


def test_with_both_tables_of_providers_the_values_of_both_move(flux: Fluxbase) -> None:
    """A server that went back to 2026.3.6 and kept its database creates the old table next to the new one."""
    fill(flux)
    flux.rows("CREATE SCHEMA dashboard")
    flux.rows("CREATE TABLE dashboard.oauth_providers (LIKE platform.oauth_providers INCLUDING ALL)")
    flux.columns = (*COLUMNS, DASHBOARD_PROVIDERS)
    for key in (OLD, OLD, NEW):
        row = {"provider_name": secrets.token_hex(8), "client_id": "c", "redirect_url": "u", "is_encrypted": True}
        flux.insert("dashboard.oauth_providers", client_secret=seal(key, "in the old table"), **row)
    flux.close()
    inspected = found(flux)
    assert inspected.release.layouts == DASHBOARD | PLATFORM
    assert inspected.unexamined == ()
    before = flux.everything()

    report = flux.run(workers=2)

    assert (report.state, report.remaining) == ("completed", 0)
    assert report.locations[DASHBOARD_PROVIDERS] == Counts(scanned=3, re_encrypted=2, already_current=1, updated=2)
    assert report.locations[PROVIDERS] == flux.expected[PROVIDERS]
    after = flux.everything()
    assert {spot: each.text for spot, each in after.items()} == {spot: each.text for spot, each in before.items()}
    assert all(1 not in each.versions for each in after.values())
    assert flux.audit(1).found == 0


@on_the_stable_release
def test_triggers_of_the_stable_release_that_cannot_be_silenced_are_named(flux: Fluxbase) -> None:
    trigger = "update_dashboard_oauth_providers_updated_at"
    flux.rows(f"ALTER TABLE dashboard.oauth_providers ENABLE ALWAYS TRIGGER {trigger}")
    with connect(flux.database) as connection:
        preflight = inspect(connection, write=True)
    assert preflight.triggers_fire
    assert any(trigger in each.message for each in preflight.findings)
