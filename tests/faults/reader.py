"""An independent reader of what Fluxbase stores. It uses nothing of fluxbase-cli except the table below.

What the program under test says about its work is not a proof.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import psycopg
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tests.fixtures.command import NEW_KEY, OLD_KEY

_TEXTS = {
    "functions.secrets": ("encrypted_value",),
    "functions.secret_versions": ("encrypted_value",),
    "app.settings": ("encrypted_value",),
    "dashboard.oauth_providers": ("client_secret",),
    "platform.oauth_providers": ("client_secret",),
    "auth.oauth_tokens": ("access_token", "refresh_token", "id_token"),
    "auth.users": ("totp_secret",),
    "branching.github_config": ("webhook_secret",),
}
_SEALED_COLUMNS = {*(column for columns in _TEXTS.values() for column in columns), "settings"}

_KEYS = {2: NEW_KEY, 1: OLD_KEY}

#: Where a value is: `schema.table.column`, the row's id, the path in the document.
ValuePlace = tuple[str, str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Value:
    """A value that was opened: the version of its key, and the plaintext."""

    version: int
    plaintext: bytes


@dataclass(frozen=True, slots=True)
class Contents:
    """Everything that a database holds.

    Attributes:
        values: the values that could be opened.
        unopened: the texts that could not be opened: plaintext, or lost values.
        rest: every other column of every row, by table and id.
    """

    values: Mapping[ValuePlace, Value]
    unopened: Mapping[ValuePlace, str]
    rest: Mapping[tuple[str, str], Any]

    @property
    def lost(self) -> tuple[ValuePlace, ...]:
        """Where the values are that could not be opened, in a database without plaintext."""
        return tuple(self.unopened)

    @property
    def versions(self) -> Counter[int]:
        """How many values are under each version."""
        return Counter(value.version for value in self.values.values())

    @property
    def plaintexts(self) -> Mapping[ValuePlace, bytes]:
        """The plaintexts, for values under any key."""
        return {place: value.plaintext for place, value in self.values.items()}


def read(url: str, keys: Mapping[int, bytes] | None = None) -> Contents:
    """Open everything, with the two keys of the tests or with other keys."""
    keys = _KEYS if keys is None else keys
    values: dict[ValuePlace, Value] = {}
    unopened: dict[ValuePlace, str] = {}
    rest: dict[tuple[str, str], Any] = {}
    with psycopg.connect(url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        for place, text, user in _stored(connection, rest):
            opened = _open(text, user, keys)
            if opened is None:
                unopened[place] = text
            else:
                values[place] = opened
    return Contents(values, unopened, rest)


def _stored(
    connection: psycopg.Connection[Any], rest: dict[tuple[str, str], Any]
) -> Iterator[tuple[ValuePlace, str, str | None]]:
    there = {
        table
        for (table,) in connection.execute(
            "SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname !~ '^pg_'"
        )
    }
    for table, columns in _TEXTS.items():
        if table not in there:
            continue
        for (row,) in connection.execute(f"SELECT to_jsonb(t) FROM {table} AS t"):
            rest[table, row["id"]] = {name: value for name, value in row.items() if name not in _SEALED_COLUMNS}
            user = row["user_id"] if table == "app.settings" else None
            for column in columns:
                if row[column]:
                    yield (f"{table}.{column}", row["id"], ()), row[column], user
    table = "platform.instance_settings"
    if table not in there:
        return
    for row_id, text, row in connection.execute(
        f"SELECT id::text, settings::text, to_jsonb(t) - 'settings' FROM {table} AS t"
    ):
        # Numbers stay as they are written: 1.10 is not 1.1.
        document = json.loads(text, parse_float=str, parse_int=str)
        sealed = {path: leaf for path, leaf in _leaves(document, ()) if len(leaf) >= 40 and _decode(leaf)}
        rest[table, row_id] = (row, _without(document, sealed, ()))
        for path, leaf in sealed.items():
            yield (f"{table}.settings", row_id, path), leaf, None


def _leaves(node: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(node, str):
        yield path, node
    elif isinstance(node, dict):
        for name, child in node.items():
            yield from _leaves(child, (*path, name))
    elif isinstance(node, list):
        for index, child in enumerate(node):
            yield from _leaves(child, (*path, str(index)))


def _without(node: Any, sealed: Mapping[tuple[str, ...], str], path: tuple[str, ...]) -> Any:
    if isinstance(node, dict):
        return {name: _without(child, sealed, (*path, name)) for name, child in node.items()}
    if isinstance(node, list):
        return [_without(child, sealed, (*path, str(index))) for index, child in enumerate(node)]
    return "sealed" if path in sealed else node


def _decode(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return None


def _open(text: str, user: str | None, keys: Mapping[int, bytes]) -> Value | None:
    raw = _decode(text)
    if raw is None:
        return None
    for version, key in keys.items():
        try:
            return Value(version, _opener(key, user)(raw[:12], raw[12:], None))
        except InvalidTag:
            continue
    return None


@cache
def _opener(key: bytes, user: str | None) -> Callable[[bytes, bytes, None], bytes]:
    if user is not None:
        key = HKDF(SHA256(), 32, salt=user.encode(), info=b"fluxbase-user-settings-v1").derive(key)
    return AESGCM(key).decrypt
