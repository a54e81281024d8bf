"""Parameters in PostgreSQL's binary form: uuids, and arrays of uuid, tid and text.

The driver's dumpers need more time for one element than it takes to open the value in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg.adapt import Dumper
from psycopg.pq import Format

_UUID_OID = 2950


_UUID_ARRAY_OID = 2951


_TID_OID = 27


_TID_ARRAY_OID = 1010


_XID_OID = 28


_XID_ARRAY_OID = 1011


_TEXT_OID = 25


_TEXT_ARRAY_OID = 1009


@dataclass(frozen=True, slots=True)
class Uuid:
    """A `uuid` parameter from its 16 bytes."""

    data: bytes


@dataclass(frozen=True, slots=True)
class UuidArray:
    """A `uuid[]` parameter from values of 16 bytes, sent in binary without a Python object for each."""

    items: Sequence[bytes | None]


@dataclass(frozen=True, slots=True)
class TidArray:
    """A `tid[]` parameter from values of 6 bytes, sent in binary."""

    items: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class XidArray:
    """An `xid[]` parameter from values of 4 bytes, sent in binary."""

    items: Sequence[bytes]


@dataclass(frozen=True, slots=True, repr=False)
class TextArray:
    """A `text[]` parameter from UTF-8 bytes, sent in binary. Its `repr` hides the values."""

    items: Sequence[bytes | None]


@dataclass(frozen=True, slots=True)
class TidElements:
    """A `tid[]` parameter from `number` elements as the server sent them, lengths included."""

    number: int
    elements: bytes


@dataclass(frozen=True, slots=True)
class UuidElements:
    """A `uuid[]` parameter from `number` elements as the server sent them."""

    number: int
    elements: bytes


@dataclass(frozen=True, slots=True)
class XidElements:
    """An `xid[]` parameter from `number` elements as the server sent them."""

    number: int
    elements: bytes


@dataclass(frozen=True, slots=True, repr=False)
class TextElements:
    """A `text[]` parameter from `number` elements as the server sent them. Its `repr` hides the values."""

    number: int
    elements: bytes


def _array_header(element_oid: int, number: int) -> bytes:
    """The bytes before the elements, some of which may be NULL."""
    return b"".join(
        (
            b"\x00\x00\x00\x01\x00\x00\x00\x01",  # one dimension, may hold NULLs
            element_oid.to_bytes(4, "big"),
            number.to_bytes(4, "big"),
            b"\x00\x00\x00\x01",  # lower bound
        )
    )


def _binary_array(element_oid: int, items: Sequence[bytes | None]) -> bytes:
    """Lay out a one-dimensional array as PostgreSQL's `array_recv` reads it (src/backend/utils/adt/arrayfuncs.c)."""
    parts = [_array_header(element_oid, len(items))]
    try:
        lengths = set(map(len, items))  # type: ignore[arg-type]  # None has no length: TypeError
    except TypeError:
        lengths = set()
    if len(lengths) == 1:
        # The usual case: all items have the same length, so there is no loop over the items.
        length = lengths.pop().to_bytes(4, "big")
        return b"".join([*parts, length, length.join(items)])  # type: ignore[arg-type]
    for item in items:
        if item is None:
            parts.append(b"\xff\xff\xff\xff")
        else:
            parts.append(len(item).to_bytes(4, "big"))
            parts.append(item)
    return b"".join(parts)


class _UuidDumper(Dumper):
    format = Format.BINARY
    oid = _UUID_OID

    def dump(self, obj: Uuid) -> bytes:
        return obj.data


class _UuidArrayDumper(Dumper):
    format = Format.BINARY
    oid = _UUID_ARRAY_OID

    def dump(self, obj: UuidArray) -> bytes:
        return _binary_array(_UUID_OID, obj.items)


class _TidArrayDumper(Dumper):
    format = Format.BINARY
    oid = _TID_ARRAY_OID

    def dump(self, obj: TidArray) -> bytes:
        return _binary_array(_TID_OID, obj.items)


class _TextArrayDumper(Dumper):
    format = Format.BINARY
    oid = _TEXT_ARRAY_OID

    def dump(self, obj: TextArray) -> bytes:
        return _binary_array(_TEXT_OID, obj.items)


class _XidArrayDumper(Dumper):
    format = Format.BINARY
    oid = _XID_ARRAY_OID

    def dump(self, obj: XidArray) -> bytes:
        return _binary_array(_XID_OID, obj.items)


class _UuidElementsDumper(Dumper):
    format = Format.BINARY
    oid = _UUID_ARRAY_OID

    def dump(self, obj: UuidElements) -> bytes:
        return _array_header(_UUID_OID, obj.number) + obj.elements


class _XidElementsDumper(Dumper):
    format = Format.BINARY
    oid = _XID_ARRAY_OID

    def dump(self, obj: XidElements) -> bytes:
        return _array_header(_XID_OID, obj.number) + obj.elements


class _TidElementsDumper(Dumper):
    format = Format.BINARY
    oid = _TID_ARRAY_OID

    def dump(self, obj: TidElements) -> bytes:
        return _array_header(_TID_OID, obj.number) + obj.elements


class _TextElementsDumper(Dumper):
    format = Format.BINARY
    oid = _TEXT_ARRAY_OID

    def dump(self, obj: TextElements) -> bytes:
        return _array_header(_TEXT_OID, obj.number) + obj.elements
