"""Checks the database for `config check`: all that a job would check before its first write."""

from __future__ import annotations

from dataclasses import dataclass

from fluxbase_cli.catalogue.releases import Release
from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.errors import PreflightRefusedError
from fluxbase_cli.store.connection import session
from fluxbase_cli.store.findings import CheckStatus, Finding
from fluxbase_cli.store.preflight import inspect
from fluxbase_cli.store.schema import SCHEMA, Schema, latest_version


@dataclass(frozen=True, slots=True)
class DatabaseCheckup:
    """What was found in the database.

    Attributes:
        findings: all checks, in order.
        release: the release of Fluxbase of this database.
    """

    findings: tuple[Finding, ...]
    release: Release


def examine_database(database: DatabaseSettings) -> DatabaseCheckup:
    """Run the preflight checks of a re-encryption, and check the progress tables. Writes nothing.

    Raises:
        ConfigurationError: the connection is refused.
        DatabaseError: the server can't be reached.
    """
    with session(database) as connection:
        preflight = inspect(connection, write=True)
        findings = list(preflight.findings)
        # A job would end as failed: nobody knows whether something unexamined is done.
        findings += [
            Finding("unexamined", CheckStatus.REFUSE, str(each), "See docs/operators/proof.md for what to do.")
            for each in preflight.unexamined
        ]
        findings.append(_check_progress_tables(Schema(connection)))
        return DatabaseCheckup(tuple(findings), preflight.release)


def _check_progress_tables(schema: Schema) -> Finding:
    """Check that progress can be stored, exactly as a job does before it begins."""
    try:
        schema.refuse_if_missing()
    except PreflightRefusedError as refusal:
        return Finding("progress", CheckStatus.REFUSE, refusal.message, refusal.hint or "")
    if schema.version() >= latest_version():
        return Finding("progress", CheckStatus.GOOD, f"the schema {SCHEMA} is there")
    verb = "brought up to date" if schema.exists() else "created"
    return Finding("progress", CheckStatus.GOOD, f"the schema {SCHEMA} will be {verb} by the first job")
