"""The shapes of tables that people have: which values are sealed, how one UPDATE rewrites them, how to fill them."""

from __future__ import annotations

import json
import os
import random
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg import sql

from fluxbase_cli.seal import Sealer, derive_user_key

#: For many large rows, a new seal for each row would take longer than everything else.
_DIFFERENT_LARGE_VALUES = 64
_LARGE_BYTES = 64 * 1024
#: One user in so many has a TOTP secret.
_USERS_A_SECRET = 5
_LEAVES = (
    ("email", "smtp_password"),
    ("email", "sendgrid_api_key"),
    ("email", "mailgun_api_key"),
    ("email", "ses_access_key"),
    ("email", "ses_secret_key"),
    ("captcha", "secret_key"),
)

#: The key, the number of rows, and the bytes of each plaintext; returns the rows in the order of `Shape.filled`.
Rows = Callable[[bytes, int, int], Iterator[Sequence[Any]]]


@dataclass(frozen=True, slots=True)
class Shape:
    """One table with sealed values.

    Attributes:
        title: how it is called in the results.
        schema, table: the table.
        sets: what one UPDATE sets: each value becomes another text of the same length.
        where: which rows that UPDATE changes.
        columns: the columns that are filled.
        make: makes the rows.
        rows: how many rows there are, if nothing else is asked for.
        value_bytes: bytes of each plaintext, if nothing else is asked for; 0 if the shape has sizes of its own.
        values_a_row: sealed values in a row, on average.
    """

    title: str
    schema: str
    table: str
    sets: sql.Composable
    columns: tuple[str, ...]
    make: Rows
    rows: int
    value_bytes: int = 0
    where: LiteralString = "true"
    values_a_row: float = 1.0

    @property
    def name(self) -> sql.Identifier:
        """The table's name for a statement."""
        return sql.Identifier(self.schema, self.table)

    @property
    def update(self) -> sql.Composed:
        """The UPDATE that rewrites all sealed values; further conditions may follow."""
        return sql.SQL("UPDATE {} SET {} WHERE {}").format(self.name, self.sets, sql.SQL(self.where))

    @property
    def copy_out(self) -> sql.Composed:
        """Reads the whole table."""
        return sql.SQL("COPY {} TO STDOUT").format(self.name)

    @property
    def copy_in(self) -> sql.Composed:
        """Fills the table."""
        columns = sql.SQL(", ").join(map(sql.Identifier, self.columns))
        return sql.SQL("COPY {} ({}) FROM STDIN").format(self.name, columns)


def _secrets(key: bytes, rows: int, value_bytes: int) -> Iterator[Sequence[Any]]:
    sealer = Sealer(key)
    large = [os.urandom(value_bytes) for _ in range(_DIFFERENT_LARGE_VALUES if value_bytes >= _LARGE_BYTES else 0)]
    for number in range(rows):
        plaintext = large[number % len(large)] if large else os.urandom(value_bytes)
        yield uuid.uuid4(), f"SECRET_{number}", sealer.seal(plaintext).decode()


def _oauth_tokens(key: bytes, rows: int, _value_bytes: int) -> Iterator[Sequence[Any]]:
    """An access token of 180 bytes, a refresh token of 100, and an id token (a JSON web token) of 1 to 2 KB."""
    sealer, draw = Sealer(key), random.Random(1)  # noqa: S311  # sizes, no secrets
    for _ in range(rows):
        sizes = 180, 100, draw.randint(1_000, 2_000)
        tokens = [sealer.seal(os.urandom(size)).decode() for size in sizes]
        yield uuid.uuid4(), uuid.uuid4(), "google", *tokens


def _user_settings(key: bytes, rows: int, value_bytes: int) -> Iterator[Sequence[Any]]:
    """One setting for each user, sealed under the user's derived key."""
    for _ in range(rows):
        user = uuid.uuid4()
        sealed = Sealer(derive_user_key(key, user)).seal(os.urandom(value_bytes)).decode()
        yield uuid.uuid4(), "openai_api_key", '{"value": "[ENCRYPTED]"}', True, user, sealed


def _users(key: bytes, rows: int, value_bytes: int) -> Iterator[Sequence[Any]]:
    sealer = Sealer(key)
    for number in range(rows):
        enabled = number % _USERS_A_SECRET == 0
        secret = sealer.seal(os.urandom(value_bytes)).decode() if enabled else None
        yield uuid.uuid4(), f"user{number}@example.com", "$2a$10$" + 53 * "x", secret, enabled


def _documents(key: bytes, rows: int, value_bytes: int) -> Iterator[Sequence[Any]]:
    """Settings of tenants: six sealed strings among numbers, flags and readable texts."""
    sealer = Sealer(key)
    for number in range(rows):
        document: dict[str, Any] = {
            "email": {"enabled": True, "provider": "smtp", "smtp_host": f"mail{number}.example.com", "smtp_port": 587},
            "captcha": {"provider": "turnstile", "score_threshold": 0.5, "site_key": f"0x4AAAAAAA{number:08d}"},
            "auth": {"signup_enabled": True, "session_hours": 24, "providers": ["google", "github"]},
            "features": dict.fromkeys(("realtime", "storage", "functions", "jobs", "ai"), number % 2 == 0),
            "site": {"name": f"Tenant {number}", "url": f"https://tenant{number}.example.com", "theme": "light"},
        }
        for group, leaf in _LEAVES:
            document[group][leaf] = sealer.seal(os.urandom(value_bytes)).decode()
        yield uuid.uuid4(), json.dumps(document)


def _reversed(*columns: str) -> sql.Composed:
    return sql.SQL(", ").join(
        sql.SQL("{column} = reverse({column})").format(column=sql.Identifier(column)) for column in columns
    )


def _reversed_leaves() -> sql.Composed:
    document: sql.Composable = sql.Identifier("settings")
    for path in _LEAVES:
        document = sql.SQL("jsonb_set({}, {path}, to_jsonb(reverse(settings #>> {path})))").format(
            document, path=sql.Literal(list(path))
        )
    return sql.SQL("settings = {}").format(document)


SHAPES = {
    "secrets": Shape(
        "functions.secrets",
        "functions",
        "secrets",
        _reversed("encrypted_value"),
        ("id", "name", "encrypted_value"),
        _secrets,
        rows=1_000_000,
        value_bytes=40,
    ),
    "large-secrets": Shape(
        "functions.secrets, large values",
        "functions",
        "secrets",
        _reversed("encrypted_value"),
        ("id", "name", "encrypted_value"),
        _secrets,
        rows=50_000,
        value_bytes=4_096,
    ),
    "oauth-tokens": Shape(
        "auth.oauth_tokens",
        "auth",
        "oauth_tokens",
        _reversed("access_token", "refresh_token", "id_token"),
        ("id", "user_id", "provider", "access_token", "refresh_token", "id_token"),
        _oauth_tokens,
        rows=100_000,
        values_a_row=3.0,
    ),
    "user-settings": Shape(
        "app.settings of users",
        "app",
        "settings",
        _reversed("encrypted_value"),
        ("id", "key", "value", "is_secret", "user_id", "encrypted_value"),
        _user_settings,
        rows=100_000,
        value_bytes=40,
    ),
    "totp": Shape(
        "auth.users, TOTP",
        "auth",
        "users",
        _reversed("totp_secret"),
        ("id", "email", "password_hash", "totp_secret", "totp_enabled"),
        _users,
        rows=100_000,
        value_bytes=32,
        where="totp_secret IS NOT NULL",
        values_a_row=1 / _USERS_A_SECRET,
    ),
    "documents": Shape(
        "platform.instance_settings",
        "platform",
        "instance_settings",
        _reversed_leaves(),
        ("id", "settings"),
        _documents,
        rows=10_000,
        value_bytes=40,
        values_a_row=float(len(_LEAVES)),
    ),
}
