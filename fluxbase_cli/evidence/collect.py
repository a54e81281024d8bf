"""Reads the report of a job or a rotation from the database. Writes nothing.

A report is one JSON object; `docs/operators/evidence.schema.json` describes it. It holds no key, plaintext, sealed
value or password. What an earlier release of the tool did not record is null.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg

from fluxbase_cli import __version__
from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.evidence.job_part import job_part
from fluxbase_cli.evidence.keys_part import keys_part
from fluxbase_cli.evidence.moments import utc
from fluxbase_cli.evidence.requirements import requirements
from fluxbase_cli.evidence.rotation_part import rotation_part
from fluxbase_cli.keys.history import history_over
from fluxbase_cli.store.connection import Connection, session
from fluxbase_cli.store.events import os_user
from fluxbase_cli.store.evidence import EvidenceStore, Identity
from fluxbase_cli.store.jobs import JobStore
from fluxbase_cli.store.records import Job
from fluxbase_cli.store.rotations import RotationStore

#: The number changes when a field changes its meaning or is removed. It does not change when a field is added.
SCHEMA = "fluxbase-cli/report/v1"

Report = dict[str, Any]

_OTHER_DATABASE = "`fluxbase-cli config check` shows which database this is. Give another one with --database-url."


class NothingToReportError(ConfigurationError):
    """The job or the rotation does not exist."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a report is about. Neither: the newest job.

    Attributes:
        job: the number of a job; None if it is about a rotation.
        rotation: the number of a rotation, or 0 for the newest; None if it is about a job.
    """

    job: int | None = None
    rotation: int | None = None


def collect(database: DatabaseSettings, subject: Subject) -> Report:
    """Read a report. It shows one moment of the database.

    Raises:
        NothingToReportError: there is no such job or rotation.
        ConfigurationError: the database refuses the connection.
        DatabaseError, PreflightRefusedError: as for `fluxbase_cli.store.connection.session`.
    """
    with session(database) as connection, _in_one_snapshot(connection):
        return _read(connection, subject)


def _read(connection: Connection, subject: Subject) -> Report:
    jobs, store = JobStore(connection), EvidenceStore(connection)
    if not jobs.schema.exists() or not jobs.newest():
        raise NothingToReportError(
            "no job has run on this database yet, so there is nothing to report", hint=_OTHER_DATABASE
        )
    has_rotations = RotationStore(connection).exists()
    if subject.rotation is None:
        listed = [_job(jobs, jobs.newest() if subject.job is None else subject.job)]
        rotation = store.rotation_of(listed[0].id) if has_rotations else None
    else:
        rotation = _rotation(store, subject.rotation, has_rotations=has_rotations)
        listed = [_job(jobs, number) for number in store.jobs_of(rotation)]
    record = None if rotation is None else store.rotation(rotation)
    identity = store.identity()
    about_rotation = subject.rotation is not None
    return {
        "schema": SCHEMA,
        "subject": {
            "kind": "rotation" if about_rotation else "job",
            "number": rotation if about_rotation else listed[0].id,
        },
        "generated": _generated(identity),
        "database": {
            "name": identity.name,
            "cluster": identity.cluster,
            "server_version": identity.server_version,
            "newest_job": jobs.newest(),
        },
        "jobs": [job_part(connection, each) for each in listed],
        "keys": keys_part(history_over(connection), listed, store.first_jobs()) if listed else [],
        "rotation": None if record is None else rotation_part(connection, record),
        "requirements": requirements(),
    }


def _generated(identity: Identity) -> dict[str, Any]:
    return {
        "at": utc(identity.now),
        "os_user": os_user(),
        "host": socket.gethostname(),
        "db_user": identity.role,
        "tool": "fluxbase-cli",
        "version": __version__,
    }


def _job(jobs: JobStore, number: int) -> Job:
    job = jobs.get(number)
    if job is None:
        raise NothingToReportError(
            f"there is no job {number} on this database", hint="`fluxbase-cli secrets status` lists them."
        )
    return job


def _rotation(store: EvidenceStore, wanted: int, *, has_rotations: bool) -> int:
    number = (wanted or store.newest_rotation()) if has_rotations else 0
    if not number:
        raise NothingToReportError(
            "no rotation has run on this database yet, so there is nothing to report", hint=_OTHER_DATABASE
        )
    if store.rotation(number) is None:
        raise NothingToReportError(
            f"there is no rotation {number} on this database",
            hint=f"The newest one is {store.newest_rotation()}. Rotations and jobs are numbered separately.",
        )
    return number


def title(report: Report) -> str:
    """What a report is about, in a few words."""
    subject, keys = report["subject"], _versions(report)
    return f"{subject['kind'].capitalize()} {subject['number']}: {keys}"


def _versions(report: Report) -> str:
    part = report["rotation"] if report["subject"]["kind"] == "rotation" else report["jobs"][0]
    source = "any version" if part["from_version"] is None else f"version {part['from_version']}"
    target = "a version not chosen yet" if part["to_version"] is None else f"version {part['to_version']}"
    return f"{source} to {target}"


@contextmanager
def _in_one_snapshot(connection: Connection) -> Iterator[None]:
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    with connection.transaction():
        yield


def locations_with_values(job: dict[str, Any]) -> Sequence[dict[str, Any]]:
    """The locations of a job in which there was anything."""
    return [each for each in job["locations"] if each["values"] or each["before"]["plaintext"]]
