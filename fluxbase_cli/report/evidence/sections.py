"""The sections of a whole report, in the order in which they are read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fluxbase_cli.counts import worded
from fluxbase_cli.report.evidence.blocks import (
    NOT_RECORDED,
    Block,
    Code,
    Facts,
    Section,
    Sentence,
    Table,
    Text,
    counted,
    duration,
    moment,
    number,
    text,
    who,
)
from fluxbase_cli.report.evidence.job_sections import job_sections

_BECAME = {
    "destroyed": "It was destroyed.",
    "disabled": "It is disabled: this tool does not use it as a target any more. It still exists.",
    "enabled": "It is kept. Nothing records that it was disabled.",
}


def report_sections(report: dict[str, Any]) -> list[Section]:
    """The sections of a report."""
    jobs = report["jobs"]
    sections = [Section("Summary", list(_summary(report)))]
    if report["rotation"] is not None:
        sections.append(Section("Rotation", list(_rotation(report["rotation"]))))
    for job in jobs:
        sections += job_sections(job, several=len(jobs) > 1)
    sections.append(Section("Keys", list(_keys(report["keys"]))))
    sections.append(Section("What standards ask, and what answers it", list(_requirements(report["requirements"]))))
    return sections


def _summary(report: dict[str, Any]) -> Iterator[Block]:
    database, generated = report["database"], report["generated"]
    for job in report["jobs"]:
        totals = job["totals"]
        yield Sentence(
            f"Job {job['job']} ({job['kind']}) is {job['state']}. It moved {number(totals['re_encrypted'])} of "
            f"{counted(totals['values'], 'value')} to key version {job['to_version']}. "
            f"Undecryptable: {number(totals['after']['undecryptable'])}."
        )
    for key in report["keys"]:
        if key["role"] == "old":
            yield Sentence(f"The old key, version {key['version']}: {_BECAME[key['state']]}")
    yield Facts(
        [
            ("Database", Code(database["name"])),
            ("Cluster", Code(database["cluster"]) if database["cluster"] else "not known to this role"),
            ("PostgreSQL", database["server_version"]),
            ("Newest job there", number(database["newest_job"])),
            ("Report made", f"{moment(generated['at'])} by {who(generated)}"),
            ("Made with", f"{generated['tool']} {generated['version']}"),
            ("Times", "all in UTC, by the clock of the database server"),
        ]
    )
    yield Sentence(
        "This report has what the progress tables of this database record. The databases of branches and tenants have "
        "their own."
    )


def _rotation(rotation: dict[str, Any]) -> Iterator[Block]:
    rows: list[tuple[str, Text]] = [
        ("Rotation", f"{rotation['rotation']} ({rotation['state']})"),
        ("From key", f"version {rotation['from_version']}"),
        ("To key", "not chosen yet" if rotation["to_version"] is None else f"version {rotation['to_version']}"),
        ("Why", text(rotation["why"])),
        ("Due", moment(rotation["due_at"], "not by the schedule" if rotation["forced"] else NOT_RECORDED)),
        ("Begun", moment(rotation["started_at"])),
        ("Ended", moment(rotation["finished_at"], "not ended")),
        ("Jobs", ", ".join(map(str, rotation["jobs"])) or "none"),
    ]
    if rotation["error"]:
        rows.append(("Error", rotation["error"]))
    yield Facts(rows)
    yield from _server(rotation["server"])
    yield Table(
        "Steps",
        ("Step", "Begun", "Done", "Result"),
        [
            (
                each["step"],
                moment(each["started_at"]),
                moment(each["finished_at"], "not done"),
                "; ".join(f"{_label(name)}: {_result(value)}" for name, value in each["result"].items()) or "-",
            )
            for each in rotation["steps"]
        ],
    )
    if rotation["retired"]:
        yield Table(
            "Old keys that this rotation retired",
            ("Version", "Fingerprint", "Action", "Begun", "Done"),
            [
                (
                    str(each["version"]),
                    Code(each["fingerprint"]),
                    each["action"],
                    moment(each["started_at"]),
                    moment(each["finished_at"], "not done"),
                )
                for each in rotation["retired"]
            ],
        )


def _label(name: str) -> str:
    return name.replace("_", " ")


def _result(value: Any) -> str:  # noqa: ANN401  # JSON
    if isinstance(value, dict):
        return ", ".join(f"{each} under version {name}" for name, each in value.items()) or "none"
    return text(value)


def _server(server: dict[str, Any] | None) -> Iterator[Block]:
    if server is None:
        yield Sentence("The server was not stopped: it reads several keys.")
        return
    if server["stopped_at"] is None:
        yield Sentence("The server was not stopped in this rotation.")
        return
    yield Facts(
        [
            ("Server away for", duration(server["away_seconds"])),
            ("Server stopped", moment(server["stopped_at"])),
            ("Server healthy again", moment(server["healthy_at"], "not recorded")),
            ("Time to stop", duration(server["stop_seconds"])),
            ("Time to start", duration(server["start_seconds"])),
        ]
    )
    if server["went_back_because"] is not None:
        yield Sentence(f"The rotation went back to the old key: {server['went_back_because']}")


def _keys(keys: list[dict[str, Any]]) -> Iterator[Block]:
    if not keys:
        yield Sentence("No job has begun, so no keys are recorded.")
        return
    yield Table(
        "Keys, by their fingerprints",
        ("Version", "Role", "Fingerprint", "State", "In use since", "Values moved away", "Days in use"),
        [
            (
                str(each["version"]),
                each["role"],
                Code(each["fingerprint"]),
                each["state"],
                moment(each["in_use_since"]),
                moment(each["values_moved_away_at"], "-"),
                number(each["in_use_days"]) if each["values_moved_away_at"] else "-",
            )
            for each in keys
        ],
        frozenset({0, 6}),
    )
    for key in keys:
        if key["role"] != "old":
            continue
        facts: list[tuple[str, Text]] = [
            ("Created", moment(key["created_at"])),
            ("Disabled", moment(key["disabled_at"], "not disabled")),
            ("Destroyed", moment(key["destroyed_at"], "not destroyed")),
            ("Kept until", moment(key["keep_until"], "no date set")),
        ]
        yield Sentence(f"What became of the old key, version {key['version']}: {_BECAME[key['state']]}")
        yield Facts(facts)
    events = [(key, event) for key in keys for event in key["events"]]
    if events:
        yield Table(
            "Events of keys",
            ("Time", "Version", "Event", "Who", "Reason", "Audit, what was skipped, what is left to do"),
            [
                (
                    moment(event["at"]),
                    str(key["version"]),
                    event["what"],
                    who(event),
                    event["reason"] or "-",
                    _findings(event),
                )
                for key, event in events
            ],
        )


def _findings(event: dict[str, Any]) -> str:
    parts = [
        f"database {each['database']}: {worded(each['needs_the_key'], 'value needs', 'values need')} the key, "
        f"{each['undecryptable']} undecryptable"
        for each in event["audits"] or ()
    ]
    parts += [f"skipped: {each}" for each in event["skipped"]]
    parts += [f"left to do: {each}" for each in event["left_to_do"]]
    if event["source"]:
        parts.append(f"source: {event['source']}")
    return "; ".join(parts) or "-"


def _requirements(found: list[dict[str, Any]]) -> Iterator[Block]:
    yield Sentence(
        "This report is a record, not an assessment. It says nothing about whether a requirement is met. Somebody must "
        "add what the tool can't know."
    )
    yield Table(
        "Requirements, the records that answer them, and what this tool can't know",
        ("Standard", "Requirement", "It asks", "Records in this report", "The tool can't know"),
        [
            (each["standard"], each["number"], each["asks"], "; ".join(each["records"]), each["not_known"])
            for each in found
        ],
    )
