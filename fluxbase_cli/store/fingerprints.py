"""Replaces the fingerprints that releases before 0.2 recorded of keys of printable text.

They are SHA-256 digests. Who reads one can guess the key a million times a second. They can be replaced only where the
key is at hand.
"""

from __future__ import annotations

from collections.abc import Iterable

from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.queries import Statements

_TABLES = ("key", "wrapped_key", "job", "rotation_step", "rotation_retirement", "rotation_notice")


def replace_former(connection: Connection, fingerprints: Iterable[tuple[str | None, str]]) -> None:
    """Replace former fingerprints wherever they are recorded. The tables must exist in this version.

    Args:
        connection: runs it, in the caller's transaction.
        fingerprints: the former and the present fingerprint of each key; the former is None if it has the same form.
    """
    sql = Statements(connection, "fingerprints.sql")
    for old, new in fingerprints:
        # A role that may only do what a job needs has no right to change wrapped keys, and needs none if none is there.
        if old is not None and sql.rows("found", old=old)[0]["found"]:
            for table in _TABLES:
                sql.rows(table, old=old, new=new)
