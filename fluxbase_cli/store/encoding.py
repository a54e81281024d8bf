r"""Texts of a session in the encoding of its database.

The session uses the database's own encoding, so the server converts nothing: no byte of a stored value can end a
statement. Texts are converted here. A character that the database's encoding does not have is stored in its escaped
form (`\u20ac`), and bytes that are no text in that encoding are kept as they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

import psycopg
from psycopg import BaseConnection, sql
from psycopg.adapt import Buffer, Dumper, Loader
from psycopg.pq import Format
from psycopg.types.json import Jsonb

_TEXT_OID = 25
_JSONB_OID = 3802
#: The version byte before a `jsonb` in binary form (`jsonb_send` in PostgreSQL's src/backend/utils/adt/jsonb.c).
_JSONB_VERSION = b"\x01"
#: Result columns of types that the driver does not know are loaded as this one.
_ANY_OTHER_OID = 0
_TEXT_TYPES = ("text", "varchar", "bpchar", "name", _ANY_OTHER_OID)

#: Encodings that Python does not know. Such a session takes the bytes as they are, too.
_UNKNOWN = ("EUC_TW", "MULE_INTERNAL")

#: Sets the session's encoding to that of the database. SQL_ASCII means: convert nothing.
USE_DATABASE_ENCODING = (
    "SELECT set_config('client_encoding', CASE WHEN current_setting('server_encoding') IN ('EUC_TW', 'MULE_INTERNAL') "
    "THEN 'SQL_ASCII' ELSE current_setting('server_encoding') END, false)"
)


@dataclass(frozen=True, slots=True)
class TextCodec:
    """How the texts of a database become bytes.

    Attributes:
        name: Python's name of the encoding.
        any_bytes: whether bytes that are no text in this encoding may be sent. A UTF-8 database refuses them.
    """

    name: str = "utf-8"
    any_bytes: bool = False

    def decode(self, stored: Buffer) -> str:
        """The text of stored bytes. Bytes that are no text become the characters U+DC80 to U+DCFF, and can go back."""
        return str(stored, self.name, "surrogateescape")

    def encode(self, text: str) -> bytes:
        """The bytes to store for a text, with escapes for characters that this encoding does not have."""
        return self._encode(text, "\\")

    def encode_json(self, data: Any) -> bytes:  # noqa: ANN401  # what JSON can hold
        r"""A JSON document to store. A character that this encoding does not have becomes the text `\u20ac`.

        Not JSON's own escape: the server would convert that to the database's encoding, and fail.
        """
        return self._encode(json.dumps(data, ensure_ascii=False), "\\\\")

    def _encode(self, text: str, backslash: str) -> bytes:
        try:
            return text.encode(self.name)
        except UnicodeEncodeError:
            return b"".join(self._character(each, backslash) for each in text)

    def _character(self, character: str, backslash: str) -> bytes:
        try:
            return character.encode(self.name, "surrogateescape" if self.any_bytes else "strict")
        except UnicodeEncodeError:
            escaped = character.encode("ascii", "backslashreplace").decode("ascii")
            return (backslash + escaped[1:]).encode("ascii")


UTF8 = TextCodec()


@cache
def _codec(client: str, server: str) -> TextCodec:
    if server == "UTF8":
        return UTF8
    if server == "SQL_ASCII":
        # The database has no encoding. Most programs store UTF-8 there.
        return TextCodec("utf-8", any_bytes=True)
    return TextCodec("ascii" if server in _UNKNOWN else client, any_bytes=True)


def codec_of(connection: BaseConnection[Any]) -> TextCodec:
    """How the texts of a session's database become bytes. The session has executed `USE_DATABASE_ENCODING`."""
    info = connection.info
    return _codec(info.encoding, info.parameter_status("server_encoding") or "UTF8")


NO_PARAMETERS: Mapping[str, Any] = MappingProxyType({})


def quoted(codec: TextCodec, *parts: str) -> bytes:
    """A qualified name as PostgreSQL reads it, in the database's encoding."""
    return b".".join(b'"' + codec.encode(part).replace(b'"', b'""') + b'"' for part in parts)


class Name(sql.Composable):
    """The name of a table or a column in a statement, in the database's encoding.

    Percent signs are doubled, as the driver needs it in a statement with parameters. So a statement with such a name
    that has no parameters is executed with `NO_PARAMETERS`.

    Args:
        codec: the database's encoding. A name with a character that it does not have can't exist there.
        parts: the parts of a qualified name.
    """

    def __init__(self, codec: TextCodec, *parts: str) -> None:
        super().__init__(parts)
        self._quoted = quoted(codec, *parts).replace(b"%", b"%%")

    def as_bytes(self, context: psycopg.abc.AdaptContext | None = None) -> bytes:  # noqa: ARG002  # encoded already
        """The quoted name."""
        return self._quoted


@dataclass(frozen=True, slots=True, repr=False)
class StoredText:
    """A text parameter from bytes that this database has sent. Its `repr` hides the value."""

    data: bytes


def convert_texts_here(connection: psycopg.Connection[Any]) -> None:
    """Make a session load and dump texts and JSON through its `TextCodec`."""
    adapters = connection.adapters
    for name in _TEXT_TYPES:
        adapters.register_loader(name, _TextLoader)
        adapters.register_loader(name, _TextBinaryLoader)
    for name in ("json", "jsonb"):
        adapters.register_loader(name, _JsonLoader)
    adapters.register_loader("json", _JsonBinaryLoader)
    adapters.register_loader("jsonb", _JsonbBinaryLoader)
    # The driver takes the one that was registered last, if the format does not matter.
    adapters.register_dumper(str, _TextBinaryDumper)
    adapters.register_dumper(str, _TextDumper)
    adapters.register_dumper(Jsonb, _JsonbBinaryDumper)
    adapters.register_dumper(Jsonb, _JsonbDumper)
    adapters.register_dumper(StoredText, _StoredTextDumper)


class _Loader(Loader):
    def __init__(self, oid: int, context: psycopg.abc.AdaptContext | None = None) -> None:
        super().__init__(oid, context)
        self._codec = codec_of(self.connection) if self.connection is not None else UTF8


class _TextLoader(_Loader):
    def load(self, data: Buffer) -> str:
        return self._codec.decode(data)


class _TextBinaryLoader(_TextLoader):
    format = Format.BINARY


class _JsonLoader(_Loader):
    def load(self, data: Buffer) -> Any:  # noqa: ANN401  # what JSON can hold
        return json.loads(self._codec.decode(data))


class _JsonBinaryLoader(_JsonLoader):
    format = Format.BINARY


class _JsonbBinaryLoader(_JsonBinaryLoader):
    def load(self, data: Buffer) -> Any:  # noqa: ANN401  # what JSON can hold
        return super().load(bytes(data)[len(_JSONB_VERSION) :])


class _Dumper(Dumper):
    def __init__(self, cls: type, context: psycopg.abc.AdaptContext | None = None) -> None:
        super().__init__(cls, context)
        self._codec = codec_of(self.connection) if self.connection is not None else UTF8


class _TextDumper(_Dumper):
    def dump(self, obj: str) -> bytes:
        if "\x00" in obj:
            # PostgreSQL can't store this character in a text.
            obj = obj.replace("\x00", "\\x00")
        return self._codec.encode(obj)


class _TextBinaryDumper(_TextDumper):
    format = Format.BINARY
    oid = _TEXT_OID


class _JsonbDumper(_Dumper):
    oid = _JSONB_OID

    def dump(self, obj: Jsonb) -> bytes:
        return self._codec.encode_json(obj.obj)


class _JsonbBinaryDumper(_JsonbDumper):
    format = Format.BINARY

    def dump(self, obj: Jsonb) -> bytes:
        return _JSONB_VERSION + super().dump(obj)


class _StoredTextDumper(Dumper):
    def dump(self, obj: StoredText) -> bytes:
        return obj.data
