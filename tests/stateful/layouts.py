"""The sealed tables of a Fluxbase database, as the server's documentation of each release describes them.

Nothing here comes from the product's own list: a table that it forgets must be missed by the test.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: A settings document: each `%s` is a leaf that may hold a seal; the numbers must stay exactly as they are written.
DOCUMENT = (
    '{"email": {"smtp_port": 587, "smtp_password": "%s"}, "hooks": [{"token": "%s", "ratio": 1.10}],'
    ' "note": "%s", "limits": [1E+3, -0.0, 12345678901234567890123456789]}'
)
#: Where the leaves of `DOCUMENT` are.
LEAVES = (("email", "smtp_password"), ("hooks", "0", "token"), ("note",))
#: The leaf whose name does not name a secret: a text there that looks like a seal is just a string.
NAMELESS = ("note",)


@dataclass(frozen=True, slots=True)
class Table:
    """One table with sealed values.

    Attributes:
        name: as `schema.table`.
        columns: the sealed columns.
        nullable: those of them that may be NULL.
        others: what else a new row needs; `%s` stands for a unique text.
        empty_is_damage: whether the server never stores an empty text here.
        legacy: whether a text that can't be a seal is plaintext from before the server sealed the column.
        owned: whether a row may belong to a user, whose key then seals its values.
        flagged: whether a row has a flag that says that it is sealed.
        document: whether the column is a JSON document with seals in it.
    """

    name: str
    columns: tuple[str, ...]
    nullable: frozenset[str] = frozenset()
    others: Mapping[str, Any] = field(default_factory=dict, hash=False)
    empty_is_damage: bool = False
    legacy: bool = False
    owned: bool = False
    flagged: bool = False
    document: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class Layout:
    """The tables of one range of releases.

    Attributes:
        name: the releases.
        tables: the tables with sealed values.
        upgrade: the SQL that makes this layout from the other one.
    """

    name: str
    tables: tuple[Table, ...]
    upgrade: str

    def __repr__(self) -> str:
        return f"<the layout {self.name}>"


def _providers(schema: str) -> Table:
    others = {"provider_name": "%s", "client_id": "c", "redirect_url": "u"}
    return Table(f"{schema}.oauth_providers", ("client_secret",), others=others, flagged=True)


_OF_ALL_RELEASES = (
    Table("functions.secrets", ("encrypted_value",), others={"name": "%s"}, empty_is_damage=True),
    Table(
        "functions.secret_versions",
        ("encrypted_value",),
        others={"secret_id": "%s", "version": 1},
        empty_is_damage=True,
    ),
    Table(
        "app.settings",
        ("encrypted_value",),
        frozenset({"encrypted_value"}),
        others={"key": "%s", "value": '{"value": "[ENCRYPTED]"}'},
        owned=True,
    ),
    Table(
        "auth.oauth_tokens",
        ("access_token", "refresh_token", "id_token"),
        frozenset({"refresh_token", "id_token"}),
        others={"user_id": "%s", "provider": "google"},
        legacy=True,
    ),
    Table("auth.users", ("totp_secret",), frozenset({"totp_secret"}), others={"email": "%s"}, legacy=True),
    Table(
        "branching.github_config",
        ("webhook_secret",),
        frozenset({"webhook_secret"}),
        others={"repository": "%s"},
        legacy=True,
    ),
)

#: The newest release candidates.
MAIN = Layout(
    "platform",
    (
        *_OF_ALL_RELEASES,
        _providers("platform"),
        Table("platform.instance_settings", ("settings",), document=True),
    ),
    upgrade="""
        ALTER TABLE dashboard.oauth_providers SET SCHEMA platform;
        DROP SCHEMA dashboard;
        ALTER TABLE parked.instance_settings SET SCHEMA platform;
        DROP SCHEMA parked;
    """,
)

#: The stable releases up to 2026.3.6.
STABLE = Layout(
    "dashboard",
    (*_OF_ALL_RELEASES, _providers("dashboard")),
    upgrade="""
        CREATE SCHEMA dashboard;
        GRANT USAGE ON SCHEMA dashboard TO anon, authenticated, service_role;
        ALTER TABLE platform.oauth_providers SET SCHEMA dashboard;
        CREATE SCHEMA parked;
        ALTER TABLE platform.instance_settings SET SCHEMA parked;
    """,
)
