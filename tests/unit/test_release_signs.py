"""Recognizing the release of a database from its signs: all known releases, and databases that only look like one."""

from __future__ import annotations

import pytest

from fluxbase_cli.catalogue.locations import Layout
from fluxbase_cli.catalogue.releases import Signs, tell_release

DASHBOARD, PLATFORM = frozenset({Layout.DASHBOARD}), frozenset({Layout.PLATFORM})
_SHARED = frozenset({"auth.users", "auth.oauth_tokens", "functions.secrets", "functions.secret_versions"})


def stable(
    *,
    migration: int | None = 96,
    totp_length: int | None = 255,
    without: frozenset[str] = frozenset(),
    secondary: frozenset[str] = frozenset(),
) -> Signs:
    """The signs of a database up to 2026.3.6."""
    tables = _SHARED | {"dashboard.oauth_providers", "dashboard.users", "migrations.fluxbase"}
    return Signs(
        tables=(tables - without) | secondary,
        schemas=frozenset({"dashboard", "migrations"} | {table.partition(".")[0] for table in secondary}),
        totp_length=totp_length,
        migration=migration,
    )


def later(
    *,
    fingerprint: str | None = "66e24c5a",
    early: bool = False,
    without: frozenset[str] = frozenset(),
    secondary: frozenset[str] = frozenset(),
) -> Signs:
    """The signs of a database from 2026.3.7-rc.1 on; `early` ones keep the schema `migrations`."""
    states = {"platform.declarative_state", "platform.fluxbase_migrations"}
    if early:
        states = {"migrations.declarative_state", "migrations.fluxbase"}
    tables = _SHARED | states
    tables |= {"platform.oauth_providers", "platform.instance_settings", "platform.tenants", "platform.users"}
    return Signs(
        tables=(tables - without) | secondary,
        schemas=frozenset({"platform"} | ({"migrations"} if early else set())),
        totp_length=255,
        tenant_ids=frozenset({"auth.users", "functions.secrets"}),
        migration=96 if early else None,
        # Only the first digits are significant.
        fingerprint=None if fingerprint is None else fingerprint.ljust(64, "0"),
    )


@pytest.mark.parametrize(
    ("migration", "totp_length", "name"),
    [
        (87, 32, "2026.1.4 to 2026.1.5"),
        (60, 32, "2026.1.6 to 2026.1.7"),
        (61, 32, "2026.1.8"),
        (63, 32, "2026.1.10 to 2026.1.11"),
        (67, 255, "2026.1.13"),
        (69, 255, "2026.1.15 to 2026.1.17"),
        (70, 255, "2026.1.18 to 2026.1.19"),
        (71, 255, "2026.1.20"),
        (72, 255, "2026.1.21"),
        (73, 255, "2026.1.22-rc.1 to 2026.1.22-rc.9"),
        (74, 255, "2026.1.22"),
        (75, 255, "2026.2.1"),
        (77, 255, "2026.2.2"),
        (79, 255, "2026.2.3-rc.1 to 2026.2.3-rc.2"),
        (80, 255, "2026.2.3-rc.3 to 2026.2.3-rc.6"),
        (89, 255, "2026.2.3-rc.7 to 2026.2.3-rc.8"),
        (92, 255, "2026.2.3-rc.9 to 2026.2.3-rc.13"),
        (95, 255, "2026.2.3-rc.14 to 2026.2.3-rc.21"),
        (96, 255, "2026.2.3 to 2026.3.6"),
    ],
)
def test_a_stable_release_is_recognized_by_its_newest_migration(migration: int, totp_length: int, name: str) -> None:
    release = tell_release(stable(migration=migration, totp_length=totp_length))
    assert (release.name, release.layouts) == (name, DASHBOARD)


@pytest.mark.parametrize(
    ("fingerprint", "early", "name"),
    [
        ("dae678ac", True, "2026.3.7-rc.1"),
        ("4ff70348", True, "2026.3.7-rc.2"),
        ("e1f5a7e0", True, "2026.3.7-rc.3"),
        ("f0ff09d8", True, "2026.3.7-rc.4 to 2026.3.7-rc.6"),
        ("69e4e8b5", True, "2026.3.7-rc.7"),
        ("75fc318e", True, "2026.3.7-rc.8 to 2026.3.7-rc.10"),
        ("ac421b70", False, "2026.3.7-rc.11"),
        ("66e24c5a", False, "2026.3.7-rc.12 to 2026.3.7-rc.13"),
        ("ffffffff", False, "unknown, looks newer than 2026.3.7-rc.13"),
        (None, True, "2026.3.7-rc.1 to 2026.3.7-rc.10"),
        (None, False, "2026.3.7-rc.11 or later"),
    ],
)
def test_a_later_release_is_recognized_by_its_fingerprint_or_by_the_place_for_it(
    fingerprint: str | None,
    early: bool,  # noqa: FBT001
    name: str,
) -> None:
    release = tell_release(later(fingerprint=fingerprint, early=early))
    assert (release.name, release.layouts) == (name, PLATFORM)


def test_a_server_that_could_not_read_its_schema_is_not_taken_for_a_newer_one() -> None:
    signs = later()
    unknown = Signs(signs.tables, signs.schemas, tenant_ids=signs.tenant_ids, fingerprint="unknown")
    assert tell_release(unknown).name == "2026.3.7-rc.11 or later"


def test_an_upgrade_that_failed_before_it_stored_a_fingerprint_has_the_later_layout() -> None:
    tables = _SHARED | {"platform.oauth_providers", "platform.users"}
    release = tell_release(Signs(tables, frozenset({"platform"}), totp_length=255))
    assert (release.name, release.layouts) == ("2026.3.7-rc.1 or later", PLATFORM)


def test_with_both_tables_of_providers_both_layouts_are_assumed() -> None:
    release = tell_release(later(secondary=frozenset({"dashboard.oauth_providers", "migrations.fluxbase"})))
    assert release.layouts == DASHBOARD | PLATFORM
    assert release.name.startswith("between 2026.3.6 and 2026.3.7-rc.1")


def test_a_migration_newer_than_all_known_ones_is_reported() -> None:
    release = tell_release(stable(migration=97))
    assert (release.name, release.layouts) == ("unknown, looks newer than 2026.3.6", DASHBOARD)


@pytest.mark.parametrize(
    ("migration", "totp_length", "name"),
    [
        # When an older server is started, it lowers the number and undoes no migration.
        (63, 255, "2026.1.13 to 2026.3.6"),
        (87, 255, "2026.1.13 to 2026.3.6"),
        (96, 32, "2026.1.4 to 2026.1.11"),
        (12, 255, "2026.1.13 to 2026.3.6"),
        (12, 32, "2026.1.4 to 2026.1.11"),
        (None, 255, "2026.1.13 to 2026.3.6"),
        (None, 32, "2026.1.4 to 2026.1.11"),
        # Somebody changed the type of the column to text.
        (None, None, "2026.1.13 to 2026.3.6"),
        (96, None, "2026.2.3 to 2026.3.6"),
    ],
)
def test_when_the_number_is_wrong_the_tables_decide(migration: int | None, totp_length: int | None, name: str) -> None:
    release = tell_release(stable(migration=migration, totp_length=totp_length))
    assert (release.name, release.layouts) == (name, DASHBOARD)


def test_when_the_table_of_providers_was_renamed_the_schema_decides() -> None:
    assert tell_release(stable(without=frozenset({"dashboard.oauth_providers"}))).layouts == DASHBOARD
    for early in (False, True):
        renamed = later(without=frozenset({"platform.oauth_providers"}), early=early)
        assert tell_release(renamed).layouts == PLATFORM


def test_a_schema_platform_that_the_operator_made_does_not_make_a_stable_release_a_later_one() -> None:
    own = frozenset({"platform.users", "platform.tenants", "platform.events"})
    assert tell_release(stable(secondary=own)).layouts == DASHBOARD


def test_signs_of_both_layouts_without_a_table_of_providers_give_no_release() -> None:
    own = frozenset({"platform.users"})
    release = tell_release(stable(without=frozenset({"dashboard.oauth_providers"}), secondary=own))
    assert (release.name, release.layouts) == ("unknown", frozenset())


def test_without_any_sign_the_release_is_unknown() -> None:
    assert tell_release(Signs(_SHARED, frozenset(), totp_length=255)).layouts == frozenset()
    assert tell_release(Signs(frozenset(), frozenset())).name == "unknown"
