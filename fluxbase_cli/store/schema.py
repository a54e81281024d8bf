"""The schemas `fluxbase_rotation` (progress) and `fluxbase_keys` (keys): their version, and who may migrate them.

This is the only place that creates or changes tables. A migration is a file `sql/migrations/NNN_name.sql`. Its number
is the version of both schemas after it. Every statement of a migration can be run again, because releases before 0.2
created some tables outside the numbered versions. The version is stored in the comment of `fluxbase_rotation`.

Nothing of the schemas is read or run before `fluxbase_cli.store.trust` has checked who made them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import psycopg
from psycopg import sql

from fluxbase_cli.errors import PreflightRefusedError
from fluxbase_cli.printable import Lines, lines
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.queries import named_queries, read_sql
from fluxbase_cli.store.trust import refuse_event_triggers, refuse_untrusted

SCHEMA = "fluxbase_rotation"
#: The schema of the keys. It is kept when `SCHEMA` is dropped.
KEYS_SCHEMA = "fluxbase_keys"
_SCHEMAS = (SCHEMA, KEYS_SCHEMA)
#: The version that created `KEYS_SCHEMA`.
_VERSION_WITH_KEYS = 8
#: The first half of the keys of our advisory locks: "flux" in ASCII. For a runner the second half is its number.
LOCK_CLASS = 0x666C7578
_COMMENTED_VERSION = re.compile(r"\bversion (\d+)$")
_MIGRATION_FILE = re.compile(r"(\d{3})_\w+\.sql")
_CREATE_SCHEMA = re.compile(r"^CREATE SCHEMA IF NOT EXISTS \w+;\n", re.MULTILINE)
#: SQLSTATE classes of errors that no event trigger has raised: connections, locks, resources, shutdowns.
_NOT_OF_A_TRIGGER = frozenset({"08", "40", "53", "55", "57", "58"})


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
    """The schemas over one connection, which is in autocommit unless the caller began a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def version(self) -> int:
        """The version in the schema's comment; 1 if there are tables and no such comment, 0 if there are no tables.

        If the schema of the keys is missing, this is the version before the one that created it.

        Raises:
            PreflightRefusedError: a schema is not trusted (see `fluxbase_cli.store.trust`).
        """
        row = self._connection.execute(
            "SELECT obj_description(n.oid, 'pg_namespace') FROM pg_namespace AS n "
            "JOIN pg_tables AS t ON t.schemaname = n.nspname AND t.tablename = 'event' WHERE n.nspname = %s",
            [SCHEMA],
        ).fetchone()
        # The check comes after the query. A schema that somebody makes in between is not used.
        has_keys = self._has_keys()
        refuse_untrusted(self._connection, _SCHEMAS)
        if row is None:
            return 0
        named = _COMMENTED_VERSION.search(row[0] or "")
        version = int(named[1]) if named else 1
        return version if has_keys else min(version, _VERSION_WITH_KEYS - 1)

    def exists(self) -> bool:
        """Whether the progress tables exist, in any version.

        Raises:
            PreflightRefusedError: as for `version`.
        """
        return self.version() > 0

    def is_new(self) -> bool:
        """Whether none of the schemas exists, as before the first job."""
        return len(self._missing()) == len(_SCHEMAS)

    def has_keys(self) -> bool:
        """Whether the tables of the keys exist. They are kept when the progress tables are dropped.

        Raises:
            PreflightRefusedError: as for `version`.
        """
        found = self._has_keys()
        refuse_untrusted(self._connection, _SCHEMAS)
        return found

    def _has_keys(self) -> bool:
        row = self._connection.execute(
            "SELECT count(*) = 3 FROM pg_tables WHERE schemaname = %s AND tablename IN ('key', 'event', 'wrapped_key')",
            [KEYS_SCHEMA],
        ).fetchone()
        return bool(row and row[0])

    def ensure(self) -> None:
        """Create the tables, or apply the missing migrations. A later version is left as it is.

        Raises:
            PreflightRefusedError: as for `refuse_if_missing`; or somebody else creates the schemas at the same time.
        """
        if self.version() >= latest_version():
            return
        self.refuse_if_missing()
        with self._connection.transaction():
            # Without a lock, two runners at the same time would conflict in the system catalogues.
            self._connection.execute("SELECT pg_advisory_xact_lock(%s, 0)", [LOCK_CLASS])
            version = self.version()
            if version < latest_version():
                refuse_event_triggers(self._connection)
                self._create(version)

    def _create(self, version: int) -> None:
        triggers = self.event_triggers()
        try:
            self._create_schemas()
            # What somebody put there meanwhile must not run with the statements of the migrations.
            refuse_untrusted(self._connection, _SCHEMAS, again=True)
            self._connection.execute(_statements(after=version).encode())
            refuse_untrusted(self._connection, _SCHEMAS, again=True)
        except psycopg.Error as error:
            raised = error.sqlstate is not None and error.sqlstate[:2] not in _NOT_OF_A_TRIGGER
            if not triggers or not raised:
                raise
            raise PreflightRefusedError(
                f"an event trigger forbids to create the schema {SCHEMA}: {type(error).__name__} "
                f"(SQLSTATE {error.sqlstate})",
                hint=f"Event triggers of this database: {', '.join(triggers)}. As their owner, run for the time of "
                f'this command: ALTER EVENT TRIGGER "{triggers[0]}" DISABLE;',
            ) from None

    def event_triggers(self) -> list[str]:
        """The event triggers that run when the tables are created."""
        rows = self._connection.execute(named_queries("obstacles.sql")["event_triggers"]).fetchall()
        return [str(name) for (name,) in rows]

    def refuse_if_missing(self) -> None:
        """Check that the tables exist in this version, or that this role may create them. Writes nothing.

        Raises:
            PreflightRefusedError: the role may not create them. The hint is the SQL for someone with that right. Or a
                schema is not trusted.
        """
        version = self.version()
        if version >= latest_version():
            return
        may_create, owns, role, database = self._connection.execute(
            "SELECT has_database_privilege(current_user, current_database(), 'CREATE'), "
            "coalesce((SELECT bool_and(pg_has_role(nspowner, 'USAGE')) FROM pg_namespace WHERE nspname = ANY (%s)), "
            "true), current_user::text, current_database()::text",
            [list(_SCHEMAS)],
        ).fetchone() or (False, False, "?", "?")
        missing = self._missing()
        if owns and (may_create or not missing):
            return
        if not owns:
            raise PreflightRefusedError(
                f"the tables in schema {SCHEMA} are those of an earlier version, and role {role} does not own them",
                hint=lines(("Ask their owner to run:", "", _indented(_statements(after=version, schemas=missing)))),
            )
        # CREATE SCHEMA needs the privilege even if the schema exists. So the hint creates the schemas first.
        what = "progress is" if SCHEMA in missing else "the history of keys is"
        raise PreflightRefusedError(
            f"role {role} may not create the schema {missing[0]}, where {what} stored",
            hint=lines(
                (
                    "Ask someone who has the right to run either",
                    "",
                    f'    GRANT CREATE ON DATABASE "{database}" TO "{role}";',
                    "",
                    "or, to create the tables on the role's behalf, as a member of it:",
                    "",
                    *(f'    CREATE SCHEMA {name} AUTHORIZATION "{role}";' for name in missing),
                    f'    SET ROLE "{role}";',
                    _indented(_statements(after=version)),
                )
            ),
        )

    def _missing(self) -> list[str]:
        found = self._connection.execute("SELECT nspname FROM pg_namespace WHERE nspname = ANY (%s)", [list(_SCHEMAS)])
        names = {name for (name,) in found.fetchall()}
        return [name for name in _SCHEMAS if name not in names]

    def _create_schemas(self) -> None:
        missing = self._missing()
        for name in missing:
            try:
                with self._connection.transaction():
                    # Without IF NOT EXISTS: a schema that somebody makes at this moment is not ours.
                    self._connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
            except psycopg.errors.DuplicateSchema:
                raise PreflightRefusedError(
                    f"somebody else has made the schema {name} at the same time",
                    hint="Nothing was written. Run the command again: it checks who made it.",
                ) from None
        if missing:
            # Default privileges can give rights on new schemas too. The check after this would refuse them.
            self._connection.execute(read_sql("revoke.sql"))


def _statements(*, after: int, schemas: Sequence[str] = ()) -> str:
    """The statements that bring the schemas to the latest version.

    Args:
        after: the present version.
        schemas: the schemas to create too. CREATE SCHEMA needs the privilege even if the schema exists.
    """
    wanted = [migration.text for migration in migrations() if migration.version > after]
    text = _CREATE_SCHEMA.sub("", "\n".join(wanted))
    create = "".join(f"CREATE SCHEMA {name};\n" for name in schemas)
    revoke = read_sql("revoke.sql").decode()
    # The comment comes last: when it names this version, everything else exists.
    return (
        f"{create}{text}\n{revoke}\nCOMMENT ON SCHEMA {SCHEMA} IS "
        f"'fluxbase-cli: progress of key rotations, version {latest_version()}';\n"
    )


def _indented(text: str) -> Lines:
    return Lines("".join(f"    {line}\n" if line else "\n" for line in text.splitlines()))
