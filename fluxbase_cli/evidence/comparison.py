"""Compares a signed report with what the database says now: its records, and where the values are."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.engine.events import Observer
from fluxbase_cli.engine.outcome import AuditReport
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.evidence.collect import NothingToReportError, Report, Subject, collect
from fluxbase_cli.keyring import Keyring
from fluxbase_cli.proof.proof import ProofRequest, take_proof
from fluxbase_cli.store.limits import DEFAULT_LIMITS
from fluxbase_cli.unexamined import Unexamined

#: The parts that are about the report, and not about the database.
_OF_THE_REPORT = frozenset({"schema", "generated", "requirements"})
#: An update of PostgreSQL changes no record. A role may or may not be allowed to see the cluster's number.
_NOT_COMPARED = frozenset({"database.server_version"})
_ONLY_IF_KNOWN = frozenset({"database.cluster"})
_MOST_LETTERS = 60


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that the database says otherwise than the report.

    Attributes:
        where: the field of the report.
        was, now: what it was and is, for people.
    """

    where: str
    was: str
    now: str


@dataclass(frozen=True, slots=True)
class ValuesNow:
    """What an audit found now about the keys from which the last job of a report moved values.

    Attributes:
        needs: how many values need each of these keys, by version.
        unknown: the versions whose keys are not configured. About these nothing is known.
        undecryptable: undecryptable values.
        unexamined: what could not be examined.
    """

    needs: Mapping[int, int]
    unknown: tuple[int, ...]
    undecryptable: int
    unexamined: tuple[Unexamined, ...]


def compare_records(report: Report, database: DatabaseSettings) -> list[Difference]:
    """What the records of a database say otherwise than a report.

    Raises:
        FluxbaseCliError: the database can't be read.
    """
    subject = report["subject"]
    wanted = Subject(rotation=subject["number"]) if subject["kind"] == "rotation" else Subject(job=subject["number"])
    try:
        now = collect(database, wanted)
    except NothingToReportError:
        return [Difference(f"{subject['kind']} {subject['number']}", "in the database", "not in the database")]
    found: list[Difference] = []
    for name, was in report.items():
        if name not in _OF_THE_REPORT:
            found += _differences(name, was, now.get(name))
    return found


def _differences(where: str, was: Any, now: Any) -> Iterator[Difference]:  # noqa: ANN401  # JSON
    if where in _NOT_COMPARED or (where in _ONLY_IF_KNOWN and None in {was, now}):
        return
    if isinstance(was, dict) and isinstance(now, dict):
        # Fields that a later release of the tool has added are not in the report, and are not compared.
        for name, each in was.items():
            yield from _differences(f"{where}.{name}", each, now.get(name))
    elif isinstance(was, list) and isinstance(now, list):
        if len(was) != len(now):
            yield Difference(where, f"{len(was)} entries", f"{len(now)} entries")
        for place, (one, other) in enumerate(zip(was, now, strict=False)):
            yield from _differences(f"{where}[{place}]", one, other)
    elif was != now or type(was) is not type(now):
        yield Difference(where, _short(was), _short(now))


def _short(value: Any) -> str:  # noqa: ANN401  # JSON
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _MOST_LETTERS else f"{text[:_MOST_LETTERS]}…"


def is_completed(report: Report) -> bool:
    """Whether the last job of a report was completed. Only then the report says where the values are."""
    return bool(report["jobs"]) and report["jobs"][-1]["state"] == "completed"


def audit_values(
    report: Report, database: DatabaseSettings, keyring: Keyring, *, stop: Stop, observer: Observer
) -> ValuesNow:
    """Open every value, and count those that need a key from which the last job of the report moved values.

    Raises:
        FluxbaseCliError: the database can't be read.
    """
    job = report["jobs"][-1]
    left = {job["from_version"]} if job["from_version"] is not None else {each["version"] for each in report["keys"]}
    left.discard(job["to_version"])
    proof = take_proof(database, keyring, ProofRequest(DEFAULT_LIMITS), stop=stop, observer=observer)
    audit: AuditReport = proof.together
    known = sorted(left & set(keyring.versions))
    return ValuesNow(
        {version: audit.by_version.get(version, 0) for version in known},
        tuple(sorted(left - set(known))),
        audit.undecryptable,
        audit.unexamined,
    )


def compare_values(report: Report, values: ValuesNow) -> list[Difference]:
    """What an audit found otherwise than a report says."""
    after = report["jobs"][-1]["totals"]["after"]
    found = []
    if sum(values.needs.values()) > after["old_key"]:
        found += [
            Difference(f"values that need key version {version}", str(after["old_key"]), str(number))
            for version, number in values.needs.items()
            if number
        ]
    if values.undecryptable > after["undecryptable"]:
        found.append(Difference("undecryptable values", str(after["undecryptable"]), str(values.undecryptable)))
    return found
