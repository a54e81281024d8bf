"""The schema `fluxbase_rotation`: its version, its numbered migrations, and which role may apply them.

This is the only place that creates or changes tables. A migration is a file `sql/migrations/NNN_name.sql`. Its number
is the schema version after it. Every statement of a migration only adds and can be run again, because releases before
0.2 created some tables outside the numbered versions. The version is stored in the schema's comment.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from fluxbase_cli.errors import PreflightRefusedError
from fluxbase_cli.printable import Lines, lines
from fluxbase_cli.store.connection import Connection

SCHEMA = "fluxbase_rotation"
#: The first half of the keys of our advisory locks: "flux" in ASCII. For a runner the second half is its number.
LOCK_CLASS = 0x666C7578
_COMMENTED_VERSION = re.compile(r"\bversion (\d+)$")
_MIGRATION_FILE = re.compile(r"(\d{3})_\w+\.sql")
_CREATE_SCHEMA = f"CREATE SCHEMA IF NOT EXISTS {SCHEMA};\n"


@dataclass(frozen=True, slots=True)
class Migration:
    """One migration.

    Attributes:
        version: the version of the schema after it.
        text: its statements.
    """

    version: int
    text: str


@cache
def migrations() -> tuple[Migration, ...]:
    """All migrations in order."""
    folder = files("fluxbase_cli.store").joinpath("sql", "migrations")
    named = ((_MIGRATION_FILE.fullmatch(file.name), file) for file in folder.iterdir())
    found = [Migration(int(match[1]), file.read_text(encoding="utf-8")) for match, file in named if match]
    return tuple(sorted(found, key=lambda migration: migration.version))


def latest_version() -> int:
    """The schema version of this release."""
    return migrations()[-1].version


class Schema:
    """The schema over one connection, which is in autocommit unless the caller began a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def version(self) -> int:
        """The version in the schema's comment; 1 if there are tables and no such comment, 0 if there are no tables."""
        row = self._connection.execute(
            "SELECT obj_description(n.oid, 'pg_namespace') FROM pg_namespace AS n "
            "JOIN pg_tables AS t ON t.schemaname = n.nspname AND t.tablename = 'event' WHERE n.nspname = %s",
            [SCHEMA],
        ).fetchone()
        if row is None:
            return 0
        named = _COMMENTED_VERSION.search(row[0] or "")
        return int(named[1]) if named else 1

    def exists(self) -> bool:
        """Whether the tables exist, in any version."""
        return self.version() > 0

    def ensure(self) -> None:
        """Create the tables, or apply the missing migrations. A later version is left as it is.

        Raises:
            PreflightRefusedError: as for `refuse_if_missing`.
        """
        if self.version() >= latest_version():
            return
        self.refuse_if_missing()
        with self._connection.transaction():
            # Without a lock, two runners at the same time would conflict in the system catalogues.
            self._connection.execute("SELECT pg_advisory_xact_lock(%s, 0)", [LOCK_CLASS])
            version = self.version()
            if version < latest_version():
                self._connection.execute(_statements(after=version, create_schema=version == 0).encode())

    def refuse_if_missing(self) -> None:
        """Check that the tables exist in this version, or that this role may create them. Writes nothing.

        Raises:
            PreflightRefusedError: the role may not create them. The hint is the SQL for someone with that right.
        """
        version = self.version()
        if version >= latest_version():
            return
        may_create, owns, role, database = self._connection.execute(
            "SELECT has_database_privilege(current_user, current_database(), 'CREATE'), "
            "coalesce((SELECT pg_has_role(nspowner, 'USAGE') FROM pg_namespace WHERE nspname = %s), false), "
            "current_user::text, current_database()::text",
            [SCHEMA],
        ).fetchone() or (False, False, "?", "?")
        if owns if version else may_create:
            return
        tables = _indented(_statements(after=version, create_schema=False))
        if version:
            raise PreflightRefusedError(
                f"the tables in schema {SCHEMA} are those of an earlier version, and role {role} does not own them",
                hint=lines(("Ask their owner to run:", "", tables)),
            )
        # CREATE SCHEMA needs the privilege even if the schema exists. So the hint creates the schema first.
        raise PreflightRefusedError(
            f"role {role} may not create the schema {SCHEMA}, where progress is stored",
            hint=lines(
                (
                    "Ask someone who has the right to run either",
                    "",
                    f'    GRANT CREATE ON DATABASE "{database}" TO "{role}";',
                    "",
                    "or, to create the tables on the role's behalf, as a member of it:",
                    "",
                    f'    CREATE SCHEMA {SCHEMA} AUTHORIZATION "{role}";',
                    f'    SET ROLE "{role}";',
                    tables,
                )
            ),
        )


def _statements(*, after: int, create_schema: bool) -> str:
    """The statements that bring the schema to the latest version.

    Args:
        after: the present version.
        create_schema: create the schema too. CREATE SCHEMA needs the privilege even if the schema exists.
    """
    wanted: Sequence[str] = [migration.text for migration in migrations() if migration.version > after]
    text = "\n".join(wanted)
    text = text if create_schema else text.replace(_CREATE_SCHEMA, "")
    # The comment comes last: when it names this version, everything else exists.
    return (
        f"{text}\nCOMMENT ON SCHEMA {SCHEMA} IS "
        f"'fluxbase-cli: progress of key rotations, version {latest_version()}';\n"
    )


def _indented(text: str) -> Lines:
    return Lines("".join(f"    {line}\n" if line else "\n" for line in text.splitlines()))
