"""What only the reports of jobs and rotations read.

The only place where a named statement of `sql/evidence.sql` meets a method.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.queries import Statements
from fluxbase_cli.store.rotations import Retirement, RotationRecord, RotationState


@dataclass(frozen=True, slots=True)
class Identity:
    """Which database a report is about.

    Attributes:
        name: the name of the database.
        cluster: the system identifier of its cluster; None if this role may not read it.
        server_version: the version of PostgreSQL.
        now: the time by the server's clock.
        role: the role of the database that reads.
    """

    name: str
    cluster: str | None
    server_version: str
    now: datetime
    role: str


@dataclass(frozen=True, slots=True)
class RetirementRecord:
    """What a rotation did to an old key."""

    version: int
    fingerprint: str
    action: Retirement
    started_at: datetime
    finished_at: datetime | None


class EvidenceStore:
    """The queries over one connection."""

    def __init__(self, connection: Connection) -> None:
        self._sql = Statements(connection, "evidence.sql")

    def identity(self) -> Identity:
        """Which database this is, and the time there."""
        return Identity(**self._sql.rows("identity")[0])

    def quarantine_digest(self, job: int) -> str:
        """The SHA-256 of all values that a job left as they are, in hexadecimal digits."""
        return str(self._sql.rows("quarantine_digest", job=job)[0]["digest"])

    def first_jobs(self) -> Mapping[int, datetime]:
        """When the first job to each version was completed."""
        return {row["version"]: row["at"] for row in self._sql.rows("first_jobs")}

    def rotation(self, number: int) -> RotationRecord | None:
        """The rotation with that number, if any."""
        rows = self._sql.rows("rotation", rotation=number)
        return RotationRecord(**{**rows[0], "state": RotationState(rows[0]["state"])}) if rows else None

    def newest_rotation(self) -> int:
        """The number of the newest rotation; 0 if there was none."""
        return int(self._sql.rows("newest_rotation")[0]["id"])

    def jobs_of(self, rotation: int) -> Sequence[int]:
        """The numbers of the jobs of a rotation: the re-encryption and, if it went back, the rollback."""
        return [row["job"] for row in self._sql.rows("jobs_of_rotations") if row["rotation"] == rotation]

    def rotation_of(self, job: int) -> int | None:
        """The number of the rotation to which a job belongs, if any."""
        return next((row["rotation"] for row in self._sql.rows("jobs_of_rotations") if row["job"] == job), None)

    def why(self, rotation: int) -> str | None:
        """Why a rotation was begun; None if that is not recorded."""
        rows = self._sql.rows("why", rotation=rotation)
        return rows[0]["why"] if rows else None

    def retirements(self, rotation: int) -> Sequence[RetirementRecord]:
        """What a rotation did to old keys."""
        return [
            RetirementRecord(**{**row, "action": Retirement(row["action"])})
            for row in self._sql.rows("retirements", rotation=rotation)
        ]
