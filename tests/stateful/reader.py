"""Reads and opens what a database holds, without the product's code: the product's own report is not a proof."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

import psycopg
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tests.stateful.layouts import Layout, Table


class Layer(NamedTuple):
    """One seal of a value: the version of its key, and whether the key was derived for a user."""

    version: int
    derived: bool


Layers = tuple[Layer, ...]


class Row(NamedTuple):
    """A row of a table."""

    table: str
    id: str


class Spot(NamedTuple):
    """Where a value stands."""

    row: Row
    column: str
    path: tuple[str, ...] = ()

    @property
    def location(self) -> str:
        """The column as reports name it."""
        return f"{self.row.table}.{self.column}"


class Opened(NamedTuple):
    """A stored text: its seals from the outermost to the innermost, and what is in them."""

    layers: Layers
    plaintext: bytes


def key_of(version: int) -> bytes:
    """The key of a version, the same in every run."""
    return hashlib.sha256(f"stateful key {version}".encode()).digest()


#: A key that the product never gets.
STRANGER = 0
#: More versions than a run can reach.
_VERSIONS = range(1, 20)


@cache
def _aead(version: int, user: str | None) -> AESGCM:
    key = key_of(version)
    if user is not None:
        key = HKDF(SHA256(), 32, salt=user.encode(), info=b"fluxbase-user-settings-v1").derive(key)
    return AESGCM(key)


def seal(version: int, plaintext: str, user: str | None = None) -> str:
    """Seal as the server does."""
    nonce = secrets.token_bytes(12)
    return base64.b64encode(nonce + _aead(version, user).encrypt(nonce, plaintext.encode(), None)).decode()


def has_the_form_of_a_seal(text: bytes) -> bool:
    """Whether Go's decoder accepts it, and it is long enough."""
    text = text.replace(b"\r", b"").replace(b"\n", b"")
    try:
        return len(text) % 4 == 0 and len(base64.b64decode(text, validate=True)) >= 28
    except binascii.Error:
        return False


@cache
def open_all(stored: str, user: str | None) -> Opened:
    """Open all layers of a text, with every key that ever existed; no layers where none opens it."""
    layers: Layers = ()
    text = stored.encode()
    while (layer := _open_layer(text, user)) is not None:
        layers += (layer[0],)
        text = layer[1]
    return Opened(layers, text)


def _open_layer(text: bytes, user: str | None) -> tuple[Layer, bytes] | None:
    if not has_the_form_of_a_seal(text):
        return None
    raw = base64.b64decode(text.replace(b"\r", b"").replace(b"\n", b""))
    for version in _VERSIONS:
        for owner in dict.fromkeys((user, None)):
            try:
                plaintext = _aead(version, owner).decrypt(raw[:12], raw[12:], None)
            except InvalidTag:
                continue
            return Layer(version, owner is not None), plaintext
    return None


@dataclass(slots=True)
class Contents:
    """All that the sealed tables hold.

    Attributes:
        texts: every text of the sealed columns, of documents every string.
        rest: every other column of every row, and of documents all but the strings.
    """

    texts: dict[Spot, str] = field(default_factory=dict)
    rest: dict[Row, Mapping[str, Any]] = field(default_factory=dict)


def read(connection: psycopg.Connection[Any], layout: Layout) -> Contents:
    """Read all tables in one snapshot."""
    contents = Contents()
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        for table in layout.tables:
            for record in connection.execute(_select(table).encode()).fetchall():
                _take(table, record, contents)
    return contents


def read_row(connection: psycopg.Connection[Any], table: Table, row_id: str) -> Contents:
    """Read one row."""
    contents = Contents()
    for record in connection.execute((_select(table) + " WHERE id = %s").encode(), [row_id]).fetchall():
        _take(table, record, contents)
    return contents


def _select(table: Table) -> str:
    document = f"t.{table.columns[0]}::text" if table.document else "NULL"
    return f"SELECT to_jsonb(t), {document} FROM {table.name} AS t"


def _take(table: Table, record: tuple[Any, ...], contents: Contents) -> None:
    columns, document = record
    row = Row(table.name, columns["id"])
    rest = dict(columns)
    if table.document:
        name = table.columns[0]
        # Numbers as they are written: 1.10 differs from 1.1.
        root = json.loads(document, parse_float=_as_written, parse_int=_as_written)
        contents.texts |= {Spot(row, name, path): leaf for path, leaf in _leaves(root, ())}
        rest[name] = _without_strings(root)
    else:
        for name in table.columns:
            if rest[name] is not None:
                contents.texts[Spot(row, name)] = rest.pop(name)
    contents.rest[row] = rest


def _as_written(digits: str) -> tuple[str]:
    return (digits,)


def _leaves(node: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(node, str):
        yield path, node
    elif isinstance(node, dict):
        for name, child in node.items():
            yield from _leaves(child, (*path, name))
    elif isinstance(node, list):
        for index, child in enumerate(node):
            yield from _leaves(child, (*path, str(index)))


def _without_strings(node: Any) -> Any:
    if isinstance(node, dict):
        return {name: _without_strings(child) for name, child in node.items()}
    if isinstance(node, list):
        return [_without_strings(child) for child in node]
    return "a string" if isinstance(node, str) else node


def places(connection: psycopg.Connection[Any], layout: Layout) -> dict[str, list[tuple[Any, ...]]]:
    """The ctid of every row version, and the transaction that made it: any write changes it."""
    return {
        table.name: connection.execute(
            f"SELECT id, ctid::text, xmin::text FROM {table.name} ORDER BY id".encode()
        ).fetchall()
        for table in layout.tables
    }
