"""Finds the release of Fluxbase that made a database, from its tables and columns, never from a version number alone.

A version number in the database can be wrong: the server may lower it without undoing any change, and several releases
have the same number. So the number only makes the shown name more exact. The layout decides which tables must exist,
and the tables decide the layout (docs/developers/format.md, "Releases").
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from fluxbase_cli.catalogue.locations import Layout

#: The newest release that this program knows.
NEWEST_KNOWN = "2026.3.7-rc.13"
_UNKNOWN = "unknown"
_STABLE = "2026.1.4 to 2026.3.6"
_STABLE_WITH_SEALED_TOTP = "2026.1.13 to 2026.3.6"
_STABLE_WITH_PLAIN_TOTP = "2026.1.4 to 2026.1.11"
_PLATFORM = "2026.3.7-rc.1 or later"
_PLATFORM_WITH_MIGRATIONS = "2026.3.7-rc.1 to 2026.3.7-rc.10"
_PLATFORM_WITHOUT_MIGRATIONS = "2026.3.7-rc.11 or later"
#: Releases by their newest migration, for releases with numbered migrations.
_BY_MIGRATION: Mapping[int, str] = {
    87: "2026.1.4 to 2026.1.5",
    60: "2026.1.6 to 2026.1.7",
    61: "2026.1.8",
    63: "2026.1.10 to 2026.1.11",
    67: "2026.1.13",
    69: "2026.1.15 to 2026.1.17",
    70: "2026.1.18 to 2026.1.19",
    71: "2026.1.20",
    72: "2026.1.21",
    73: "2026.1.22-rc.1 to 2026.1.22-rc.9",
    74: "2026.1.22",
    75: "2026.2.1",
    77: "2026.2.2",
    79: "2026.2.3-rc.1 to 2026.2.3-rc.2",
    80: "2026.2.3-rc.3 to 2026.2.3-rc.6",
    89: "2026.2.3-rc.7 to 2026.2.3-rc.8",
    92: "2026.2.3-rc.9 to 2026.2.3-rc.13",
    95: "2026.2.3-rc.14 to 2026.2.3-rc.21",
    96: "2026.2.3 to 2026.3.6",
}
_NEWEST_MIGRATION = 96
#: The migrations of releases that did not seal TOTP secrets.
_PLAIN_TOTP_MIGRATIONS = frozenset({60, 61, 63, 87})
#: Releases by the first digits of the newest schema's fingerprint. The later releases store it.
_BY_FINGERPRINT: Mapping[str, str] = {
    "dae678ac": "2026.3.7-rc.1",
    "4ff70348": "2026.3.7-rc.2",
    "e1f5a7e0": "2026.3.7-rc.3",
    "f0ff09d8": "2026.3.7-rc.4 to 2026.3.7-rc.6",
    "69e4e8b5": "2026.3.7-rc.7",
    "75fc318e": "2026.3.7-rc.8 to 2026.3.7-rc.10",
    "ac421b70": "2026.3.7-rc.11",
    "66e24c5a": "2026.3.7-rc.12 to 2026.3.7-rc.13",
}
_FINGERPRINT_DIGITS = 8
#: Where 2026.3.7-rc.1 to rc.10 store the fingerprint. Later releases store it in `platform.declarative_state`.
_EARLY_STATE = "migrations.declarative_state"
#: The server writes `unknown` if it could not read its own schema files.
_is_fingerprint = re.compile("[0-9a-f]{64}").fullmatch
#: Columns of this length are too short for a seal.
_PLAIN_TOTP_LENGTH = 32


@dataclass(frozen=True, slots=True)
class Signs:
    """The facts about a database that show its release.

    Attributes:
        tables: those of the searched tables that exist, as `schema.name`.
        schemas: those of the searched schemas that exist.
        totp_length: the maximum length of `auth.users.totp_secret`; None if it has no limit or does not exist.
        tenant_ids: tables that have a column `tenant_id`.
        migration: the newest numbered migration; None if it can't be read or there is none.
        fingerprint: the fingerprint of the newest schema; None if it can't be read or there is none.
    """

    tables: frozenset[str]
    schemas: frozenset[str]
    totp_length: int | None = None
    tenant_ids: frozenset[str] = frozenset()
    migration: int | None = None
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class Release:
    """The release that made a database.

    Attributes:
        name: a release, a range of releases, or what is known instead; for messages.
        layouts: the layouts whose tables must exist: one; both if an upgrade did not finish; none if it is unknown.
    """

    name: str
    layouts: frozenset[Layout]

    @property
    def knows_one_key(self) -> bool:
        """Whether servers of this release know one key only, as those of every release that this program knows."""
        return bool(self.layouts) and not self.name.startswith(_UNKNOWN)


def tell_release(signs: Signs) -> Release:
    """Find the release of a database from its signs."""
    dashboard = "dashboard.oauth_providers" in signs.tables
    platform = "platform.oauth_providers" in signs.tables
    if dashboard and platform:
        return Release(
            "between 2026.3.6 and 2026.3.7-rc.1 (both dashboard.oauth_providers and platform.oauth_providers exist)",
            frozenset({Layout.DASHBOARD, Layout.PLATFORM}),
        )
    if platform:
        return Release(_platform_name(signs), frozenset({Layout.PLATFORM}))
    if dashboard:
        return Release(_dashboard_name(signs), frozenset({Layout.DASHBOARD}))
    # Neither table exists: it was renamed or dropped. An operator may have made a schema or a column with such a name.
    # So if there are signs of both layouts, the release is unknown.
    match _has_dashboard_signs(signs), _has_platform_signs(signs):
        case True, False:
            return Release(_dashboard_name(signs), frozenset({Layout.DASHBOARD}))
        case False, True:
            return Release(_platform_name(signs), frozenset({Layout.PLATFORM}))
        case _:
            return Release(_UNKNOWN, frozenset())


def _has_platform_signs(signs: Signs) -> bool:
    ours = {
        *("platform.instance_settings", "platform.tenants", "platform.users"),
        *("platform.declarative_state", "platform.fluxbase_migrations", _EARLY_STATE),
    }
    return bool(ours & signs.tables or {"functions.secrets", "auth.users"} & signs.tenant_ids)


def _has_dashboard_signs(signs: Signs) -> bool:
    if "dashboard" in signs.schemas:
        return True
    # The first releases of the other layout keep the table of the numbered migrations.
    return "migrations.fluxbase" in signs.tables and _EARLY_STATE not in signs.tables


def _platform_name(signs: Signs) -> str:
    if signs.fingerprint is None or not _is_fingerprint(signs.fingerprint):
        if "platform.declarative_state" in signs.tables:
            return _PLATFORM_WITHOUT_MIGRATIONS
        return _PLATFORM_WITH_MIGRATIONS if _EARLY_STATE in signs.tables else _PLATFORM
    known = _BY_FINGERPRINT.get(signs.fingerprint[:_FINGERPRINT_DIGITS])
    return known or f"{_UNKNOWN}, looks newer than {NEWEST_KNOWN}"


def _dashboard_name(signs: Signs) -> str:
    if signs.migration is not None and signs.migration > _NEWEST_MIGRATION:
        return f"{_UNKNOWN}, looks newer than 2026.3.6"
    plain_totp = signs.totp_length == _PLAIN_TOTP_LENGTH
    named = None if signs.migration is None else _BY_MIGRATION.get(signs.migration)
    # If the number and the tables disagree, the tables are right.
    if named is not None and plain_totp == (signs.migration in _PLAIN_TOTP_MIGRATIONS):
        return named
    if plain_totp:
        return _STABLE_WITH_PLAIN_TOTP
    return _STABLE if signs.totp_length is None and "auth.users" not in signs.tables else _STABLE_WITH_SEALED_TOTP
