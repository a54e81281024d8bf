"""What `config check` asks of the database: all that a job would check before its first write."""

from __future__ import annotations

from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.errors import PreflightRefusedError
from fluxbase_cli.store.connection import session
from fluxbase_cli.store.preflight import CheckStatus, Finding, inspect
from fluxbase_cli.store.schema import SCHEMA, Schema, latest_version


def examine_database(database: DatabaseSettings) -> list[Finding]:
    """Run preflight as for a re-encryption, and look whether progress can be kept. Writes nothing.

    Raises:
        ConfigurationError: the connection is refused.
        DatabaseError: the server can't be reached.
    """
    with session(database) as connection:
        preflight = inspect(connection, write=True)
        findings = list(preflight.findings)
        # A job would end as failed: what it can't look into, nobody can call done.
        findings += [
            Finding("unexamined", CheckStatus.REFUSE, str(each), "See docs/operators/proof.md for what to do.")
            for each in preflight.unexamined
        ]
        findings.append(_progress(Schema(connection)))
        return findings


def _progress(schema: Schema) -> Finding:
    """Whether progress can be kept: exactly what a job asks before it begins."""
    try:
        schema.refuse_if_missing()
    except PreflightRefusedError as refusal:
        return Finding("progress", CheckStatus.REFUSE, refusal.message, refusal.hint or "")
    if schema.version() >= latest_version():
        return Finding("progress", CheckStatus.GOOD, f"the schema {SCHEMA} is there")
    verb = "brought up to date" if schema.exists() else "created"
    return Finding("progress", CheckStatus.GOOD, f"the schema {SCHEMA} will be {verb} by the first job")
