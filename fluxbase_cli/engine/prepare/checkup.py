"""What `config check` asks of the database: all that a job would check before its first write."""

from __future__ import annotations

from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.store.connection import session
from fluxbase_cli.store.jobs import SCHEMA, JobStore
from fluxbase_cli.store.preflight import CheckStatus, Finding, inspect


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
        row = connection.execute(
            "SELECT has_database_privilege(current_user, current_database(), 'CREATE'), "
            "current_user, current_database()"
        ).fetchone() or (False, "?", "?")
        if JobStore(connection).exists():
            findings.append(Finding("progress", CheckStatus.GOOD, f"the schema {SCHEMA} is there"))
        elif row[0]:
            findings.append(
                Finding("progress", CheckStatus.GOOD, f"the schema {SCHEMA} will be created by the first job")
            )
        else:
            findings.append(
                Finding(
                    "progress",
                    CheckStatus.REFUSE,
                    f"role {row[1]} may not create the schema {SCHEMA}, where progress is kept",
                    f'GRANT CREATE ON DATABASE "{row[2]}" TO "{row[1]}";',
                )
            )
        return findings
