"""What rules read about keys and rotations: the key ring, and what the database records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from psycopg import sql

from fluxbase_cli.config import Settings
from fluxbase_cli.counts import worded
from fluxbase_cli.errors import FluxbaseCliError
from fluxbase_cli.keyring import Keyring, no_warning
from fluxbase_cli.keys.history import history_over
from fluxbase_cli.keys.loader import open_keyring
from fluxbase_cli.rotation.due import active_since
from fluxbase_cli.security.database.session import DatabaseFacts
from fluxbase_cli.security.finding import NotCheckedError, Place
from fluxbase_cli.security.part import Absent, present
from fluxbase_cli.store.clock import ServerClock
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.jobs import JobStore
from fluxbase_cli.store.records import Job, JobState
from fluxbase_cli.store.rotations import RotationStore

_PROVIDER_TABLES = ("dashboard", "platform")


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A key of the key ring.

    Attributes:
        version: its version.
        place: where it was found.
        secret: its 32 bytes. Never show them.
    """

    version: int
    place: Place
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class UnfinishedJob:
    """The newest job, if it did not end well.

    Attributes:
        number: its number.
        text: what is wrong, one sentence.
    """

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class KeyRecordsOfDatabase:
    """What the database records about keys.

    Attributes:
        now: the time of its server.
        active_since: since when the active key is in use, if that is recorded.
        rotated: whether values were ever moved to another key.
        unfinished: the newest job, if it did not end well.
        plain_client_secrets: the number of unsealed client secrets by table.
    """

    now: datetime
    active_since: datetime | None
    rotated: bool
    unfinished: UnfinishedJob | None
    plain_client_secrets: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """The keys and their records. What is absent raises `NotCheckedError`.

    Attributes:
        is_scheduled: whether a scheduled rotation is enabled.
        versions: the number of configured key versions.
        read_ring: the key ring, or why it is absent.
        read_records: the records of the database, or why they are absent.
    """

    is_scheduled: bool
    versions: int
    read_ring: Keyring | Absent = field(repr=False)
    read_records: KeyRecordsOfDatabase | Absent

    @property
    def all(self) -> tuple[KnownKey, ...]:
        """All keys of the key ring."""
        return tuple(
            KnownKey(key.version, Place("key", f"version {key.version}", key.source), key.secret)
            for key in present(self.read_ring).keys
        )

    @property
    def active(self) -> int | None:
        """The active version; None if the key ring is not known."""
        return None if isinstance(self.read_ring, Absent) else self.read_ring.active

    @property
    def server_version(self) -> int | None:
        """The version that the server has; None if that is not configured."""
        return present(self.read_ring).server_version

    @property
    def now(self) -> datetime:
        """The time of the database server."""
        return present(self.read_records).now

    @property
    def active_since(self) -> datetime | None:
        """Since when the active key is in use, if that is recorded."""
        return present(self.read_records).active_since

    @property
    def rotated(self) -> bool | None:
        """Whether values were ever moved to another key. None if the database was not looked at."""
        return None if isinstance(self.read_records, Absent) else self.read_records.rotated

    @property
    def unfinished(self) -> UnfinishedJob | None:
        """The newest job, if it did not end well."""
        return present(self.read_records).unfinished

    @property
    def plain_client_secrets(self) -> Mapping[str, int]:
        """The number of unsealed client secrets by table."""
        return present(self.read_records).plain_client_secrets


def read_keys(settings: Settings, environ: Mapping[str, str], database: DatabaseFacts | Absent) -> KeyFacts:
    """Fetch the keys, and read the records of the database.

    Args:
        settings: the settings of this program.
        environ: the environment, for key providers.
        database: the database, or why it is absent.
    """
    ring: Keyring | Absent
    try:
        ring = open_keyring(settings, environ, warn=no_warning)
    except FluxbaseCliError as error:
        ring = Absent(error.message, failed=False)

    def records(connection: Connection) -> KeyRecordsOfDatabase:
        return _records(connection, settings)

    found: KeyRecordsOfDatabase | Absent
    if isinstance(database, Absent):
        found = database
    else:
        try:
            found = database.read(records)
        except NotCheckedError as error:
            found = Absent(error.reason)
    encryption = settings.encryption
    return KeyFacts(encryption.key_rotation.enabled, len({each.version for each in encryption.keys}), ring, found)


def _records(connection: Connection, settings: Settings) -> KeyRecordsOfDatabase:
    history = history_over(connection)
    store, jobs = RotationStore(connection), JobStore(connection)
    newest = jobs.latest(1) if jobs.schema.exists() else []
    return KeyRecordsOfDatabase(
        ServerClock(connection)(),
        active_since(settings, history, store),
        bool(history.rotations or history.moved),
        _unfinished(newest[0]) if newest else None,
        _plain_client_secrets(connection),
    )


def _unfinished(job: Job) -> UnfinishedJob | None:
    if job.state in (JobState.INTERRUPTED, JobState.FAILED):
        return UnfinishedJob(job.id, f"the newest {job.kind} to version {job.to_version} is {job.state}")
    if job.state is JobState.COMPLETED and job.remaining:
        return UnfinishedJob(
            job.id,
            f"{worded(job.remaining, 'value is', 'values are')} left under another version than {job.to_version}",
        )
    return None


def _plain_client_secrets(connection: Connection) -> Mapping[str, int]:
    found: dict[str, int] = {}
    for schema in _PROVIDER_TABLES:
        name = f"{schema}.oauth_providers"
        there = connection.execute(
            "SELECT count(*) FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attname IN "
            "('client_secret', 'is_encrypted') AND NOT attisdropped",
            (name,),
        ).fetchone()
        if there is None or there[0] != 2:  # noqa: PLR2004  # both columns
            continue
        # Row-level security is off in our sessions, so a role that may not see all rows gets an error.
        row = connection.execute(
            sql.SQL("SELECT count(*) FROM {} WHERE client_secret <> '' AND NOT coalesce(is_encrypted, false)").format(
                sql.Identifier(schema, "oauth_providers")
            )
        ).fetchone()
        if row is not None and row[0]:
            found[name] = int(row[0])
    return found
