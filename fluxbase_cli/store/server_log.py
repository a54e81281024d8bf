"""Keeps sealed values out of the server's log, where a role may, and says so where it may not.

The server can log statements with their parameters, plans with their constants, and errors with the contents of a row.
Old seals in a log outlive the rotation: a person who has the old key opens them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from psycopg.rows import dict_row

from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.findings import CheckStatus, Finding
from fluxbase_cli.store.queries import named_queries
from fluxbase_cli.store.relation import Relation, columns_of
from fluxbase_cli.store.session_settings import ROWS_IN_LOG


def logged_values(connection: Connection, relations: Sequence[Relation], role: str) -> Iterator[Finding]:
    """Find the settings by which the server logs what this session writes. The session has its settings already.

    Args:
        connection: a session of the role that will do the job.
        relations: the relations with sealed values.
        role: the name of that role.
    """
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(named_queries("server_log.sql")["logged"], columns_of(relations)).fetchone()
    if row is None:
        return
    if row["causes"]:
        grants = " ".join(_grant(name, role) for name in row["needed"])
        yield Finding(
            "log",
            CheckStatus.TELL,
            f"the server writes sealed values to its log, as parameters of statements ({', '.join(row['causes'])})",
            f"Run as a superuser: {grants}  Then the tool keeps them out of the log. Or switch that logging off for "
            f'the role during the job: ALTER ROLE "{role}" SET …',
        )
    if row["checked"] and row["shows_rows"]:
        yield Finding(
            "log",
            CheckStatus.TELL,
            f"if a row violates a CHECK, the server writes the beginning of its values to its log "
            f"({row['checked'][0]})",
            f"Run as a superuser: {_grant(ROWS_IN_LOG, role)}",
        )


def _grant(setting: str, role: str) -> str:
    return f'GRANT SET ON PARAMETER {setting} TO "{role}";'
