"""Every location of every Fluxbase release, declared once (docs/developers/format.md).

To add a location, add a line to `CATALOGUE`. Nothing else in the project names a table.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from enum import Enum


class Form(Enum):
    """The form of sealed values in a column."""

    TEXT = "text"
    """The column is one sealed value."""
    JSON = "json"
    """The column is a document. Any string in it, at any depth, may be a sealed value."""


class Unsealed(Enum):
    """What a non-empty text that can't be a seal means, in a column of form TEXT."""

    DAMAGE = "damage"
    """The server seals every value here, so this one is broken."""
    PLAINTEXT = "plaintext"
    """Rows that are older than the sealing of this column hold plaintext."""


class Layout(Enum):
    """The two layouts of the database that releases of Fluxbase have."""

    DASHBOARD = "dashboard"
    """Releases 2026.1.4 to 2026.3.6: OAuth providers in the schema `dashboard`, no schema `platform`."""
    PLATFORM = "platform"
    """Releases from 2026.3.7-rc.1 on: OAuth providers and instance settings in the schema `platform`."""


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """One column with sealed values.

    Attributes:
        name: the column's name.
        form: whether the column is a value or a document of values.
        unsealed: what a text means that can't be a seal.
        empty_is_unset: whether ``''`` means "no value" here. If not, it is damage.
        least_plaintext: the smallest size of a secret of this column in bytes, if the column may hold plaintext.
    """

    name: str
    form: Form = Form.TEXT
    unsealed: Unsealed = Unsealed.DAMAGE
    empty_is_unset: bool = True
    least_plaintext: int = 0


@dataclass(frozen=True, slots=True)
class SealedTable:
    """One table with sealed columns. In Fluxbase's own tables the primary key is ``id uuid``.

    Attributes:
        schema: the table's schema.
        name: the table's name.
        columns: the sealed columns, in the table's order.
        user_column: the uuid column whose value, if it is not NULL, derives the key of the row's values.
        flag_column: the boolean column that says whether the row is sealed. In a row without the flag, a value that no
            key opens is plaintext.
        parent: the table, as ``schema.name``, without which this one can't exist.
        layouts: the layouts of the database that have this table. In other layouts it is read if it exists.
        extra: whether the operator has named the table, and no release has it.
        key: the column that identifies a row.
    """

    schema: str
    name: str
    columns: tuple[SealedColumn, ...]
    user_column: str | None = None
    flag_column: str | None = None
    parent: str | None = None
    layouts: frozenset[Layout] = frozenset(Layout)
    extra: bool = False
    key: str = "id"

    @property
    def qualified(self) -> str:
        """The table as ``schema.name``."""
        return f"{self.schema}.{self.name}"

    def location(self, column: SealedColumn) -> str:
        """The column as ``schema.table.column``, its name in every count and report."""
        return f"{self.qualified}.{column.name}"


CATALOGUE: tuple[SealedTable, ...] = (
    SealedTable("functions", "secrets", (SealedColumn("encrypted_value", empty_is_unset=False),)),
    SealedTable(
        "functions",
        "secret_versions",
        (SealedColumn("encrypted_value", empty_is_unset=False),),
        parent="functions.secrets",
    ),
    SealedTable("app", "settings", (SealedColumn("encrypted_value"),), user_column="user_id"),
    SealedTable(
        "dashboard",
        "oauth_providers",
        (SealedColumn("client_secret"),),
        flag_column="is_encrypted",
        layouts=frozenset({Layout.DASHBOARD}),
    ),
    SealedTable(
        "platform",
        "oauth_providers",
        (SealedColumn("client_secret"),),
        flag_column="is_encrypted",
        layouts=frozenset({Layout.PLATFORM}),
    ),
    SealedTable(
        "platform",
        "instance_settings",
        (SealedColumn("settings", form=Form.JSON),),
        layouts=frozenset({Layout.PLATFORM}),
    ),
    SealedTable(
        "auth",
        "oauth_tokens",
        (
            SealedColumn("access_token", unsealed=Unsealed.PLAINTEXT),
            SealedColumn("refresh_token", unsealed=Unsealed.PLAINTEXT),
            SealedColumn("id_token", unsealed=Unsealed.PLAINTEXT),
        ),
    ),
    SealedTable("auth", "users", (SealedColumn("totp_secret", unsealed=Unsealed.PLAINTEXT),)),
    # Releases up to 2026.3.5 write it as plaintext, and 2026.3.6 leaves their rows as they are.
    SealedTable(
        "branching",
        "github_config",
        (SealedColumn("webhook_secret", unsealed=Unsealed.PLAINTEXT, least_plaintext=8),),
    ),
)

#: The last segments of `email.*` paths that hold secrets in `platform.instance_settings.settings`.
_SECRET_EMAIL_SETTINGS = frozenset(
    {"smtp_password", "sendgrid_api_key", "mailgun_api_key", "ses_access_key", "ses_secret_key"}
)
_SECRET_WORDS = ("password", "secret", "key", "token")
#: Words for settings that are public, although their name contains one of the words above.
_PUBLIC_WORDS = ("public", "publishable", "site_key", "sitekey", "site-key")


def names_a_secret(path: tuple[str, ...]) -> bool:
    """Whether a JSON path names a secret. If no key opens a seal at such a path, it is reported.

    Args:
        path: the keys and array indexes from the document's root to the leaf.
    """
    if not path:
        return False
    if len(path) == 2 and path[0] == "email" and path[1] in _SECRET_EMAIL_SETTINGS:  # noqa: PLR2004
        return True
    # The index of an array is not a name: `api_keys.0` is named by `api_keys`.
    named = next((segment for segment in reversed(path) if not segment.isdigit()), "").lower()
    if any(word in named for word in _PUBLIC_WORDS):
        return False
    return any(word in named for word in _SECRET_WORDS)


def catalogue_digest(tables: tuple[SealedTable, ...] = CATALOGUE) -> str:
    """A short digest of the catalogue. Only runners with the same digest can join one job."""
    return hashlib.sha256(repr([_described(table) for table in tables]).encode()).hexdigest()[:16]


def _described(table: SealedTable) -> tuple[object, ...]:
    # A set has no fixed order, so the layouts are sorted.
    return (*(getattr(table, f.name) for f in fields(table) if f.name != "layouts"), sorted(map(str, table.layouts)))
