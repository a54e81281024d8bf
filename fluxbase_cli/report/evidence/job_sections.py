"""The sections of a report that are about a job."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from fluxbase_cli.evidence.collect import locations_with_values
from fluxbase_cli.report.evidence.blocks import (
    NOT_RECORDED,
    Bar,
    Block,
    Code,
    Facts,
    LocationsChart,
    ProgressChart,
    Section,
    Sentence,
    Table,
    Text,
    counted,
    duration,
    moment,
    number,
    who,
)

#: So many rows of a job's progress are shown as a table.
_MOST_ROWS = 12
#: So many locations are drawn; the table has all.
_MOST_BARS = 24
_PARTS = (
    ("new_key", "new key"),
    ("old_key", "old key"),
    ("other_versions", "other keys"),
    ("undecryptable", "undecryptable"),
    ("plaintext", "plaintext"),
)
_CAUSES = {
    "paused": "an operator had paused the job",
    "standby": "a standby was too far behind",
    "retry": "attempts that were made again (locks, lost connections)",
}


def job_sections(job: dict[str, Any], *, several: bool) -> Iterator[Section]:
    """The sections of one job.

    Args:
        job: its part of the report.
        several: whether the report has several jobs. Then the headings name the job.
    """
    of_job = f" of job {job['job']}" if several else ""
    yield Section(f"What was done{of_job}", [_facts(job)])
    yield Section(f"Values by location{of_job}", list(_locations(job)))
    yield Section(f"Progress{of_job}", list(_progress(job)))
    yield Section(f"Waits{of_job}", [_waits(job["waits"])])
    yield Section(f"Values left as they are{of_job}", list(_left(job)))
    yield Section(f"Closing audit{of_job}", list(_closing_audit(job)))
    yield Section(f"Processes and events{of_job}", list(_events(job)))


def _facts(job: dict[str, Any]) -> Facts:
    source = "any version but the new one" if job["from_version"] is None else f"version {job['from_version']}"
    rows: list[tuple[str, Text]] = [
        ("Job", f"{job['job']} ({job['kind']})"),
        ("State", job["state"]),
        ("From key", source),
        ("To key", f"version {job['to_version']}"),
        ("Reason", "none given" if job["reason"] is None else job["reason"]),
        ("Begun by", who(job["began_by"])),
        ("Begun", moment(job["started_at"])),
        ("Ended", moment(job["finished_at"], "not ended")),
        ("Took", duration(job["elapsed_seconds"]) if job["finished_at"] else "not ended"),
        ("Tool", ", ".join(sorted({f"fluxbase-cli {each['version']}" for each in job["runners"]})) or NOT_RECORDED),
    ]
    if job["error"]:
        rows.append(("Error", job["error"]))
    return Facts(rows)


def _locations(job: dict[str, Any]) -> Iterator[Block]:
    totals, shown = job["totals"], locations_with_values(job)
    so_far = "" if job["state"] == "completed" else " So far, because the job is not completed."
    yield Sentence(
        f"The job read {counted(totals['values'], 'value')}. Before: as the job met them. After: as it left "
        f"them.{so_far}"
    )
    if shown:
        yield LocationsChart(
            [label for _, label in _PARTS],
            [
                Bar(each["location"], *([each[when][name] for name, _ in _PARTS] for when in ("before", "after")))
                for each in shown[:_MOST_BARS]
            ],
            f"Needed the old key: {counted(totals['before']['old_key'], 'value')} before, "
            f"{number(totals['after']['old_key'])} after.",
        )
    named: list[tuple[Text, dict[str, Any]]] = [(Code(each["location"]), each) for each in job["locations"]]
    rows = [
        (
            name,
            number(each["before"]["old_key"]),
            number(each["before"]["new_key"]),
            number(each["after"]["old_key"]),
            number(each["after"]["new_key"]),
            number(each["before"]["other_versions"]),
            number(each["before"]["undecryptable"]),
            number(each["before"]["plaintext"]),
        )
        for name, each in (*named, ("all", totals))
    ]
    header = (
        "Location",
        "Before: old key",
        "Before: new key",
        "After: old key",
        "After: new key",
        "Other keys",
        "Undecryptable",
        "Plaintext",
    )
    yield Table("Values by location and key", header, rows, frozenset(range(1, len(header))))


def _progress(job: dict[str, Any]) -> Iterator[Block]:
    samples = job["progress"]
    if not samples:
        yield Sentence(f"Progress over time: {NOT_RECORDED}.")
        return
    began = datetime.fromisoformat(samples[0]["at"])
    points = [((datetime.fromisoformat(each["at"]) - began).total_seconds(), each["values_done"]) for each in samples]
    fastest = max((each["rate_per_second"] or 0.0 for each in samples), default=0.0)
    said = (
        f"{counted(points[-1][1], 'value')} in {duration(points[-1][0])}. Between two samples, the job read at most "
        f"{number(fastest)} values a second."
    )
    yield ProgressChart(points, said)
    yield Table(
        "Progress over time",
        ("Time", "Pass", "Rows done", "Values read", "Values a second"),
        [
            (
                moment(each["at"]),
                "main pass" if not each["pass"] else f"catch-up {each['pass']}",
                number(each["rows_done"]),
                number(each["values_done"]),
                "-" if each["rate_per_second"] is None else number(each["rate_per_second"]),
            )
            for each in _spread(samples)
        ],
        frozenset({2, 3, 4}),
    )


def _spread(samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A few of the samples, with the first and the last one."""
    if len(samples) <= _MOST_ROWS:
        return samples
    last = len(samples) - 1
    return [samples[round(place * last / (_MOST_ROWS - 1))] for place in range(_MOST_ROWS)]


def _waits(waits: list[dict[str, Any]] | None) -> Block:
    if waits is None:
        return Sentence(f"Waits: {NOT_RECORDED}.")
    if not waits:
        return Sentence("The job waited for nothing.")
    return Table(
        "What the job waited for; the times of all processes are added up",
        ("Cause", "Times", "Together"),
        [
            (_CAUSES.get(each["cause"], each["cause"]), number(each["times"]), duration(each["seconds"]))
            for each in waits
        ],
        frozenset({1}),
    )


def _left(job: dict[str, Any]) -> Iterator[Block]:
    total, listed = job["quarantine_total"], job["quarantine"]
    if not total:
        yield Sentence("None. Every value that was found could be opened and written.")
        return
    more = "" if total == len(listed) else f" The list has {number(len(listed))} of them."
    yield Sentence(
        f"{counted(total, 'value')} could not be opened with any key, or could not be written, and stayed as it was."
        + more
    )
    yield Table(
        "Values left as they are",
        ("Location", "Row", "Path", "Why"),
        [(Code(each["location"]), Code(each["id"]), ".".join(each["path"]) or "-", each["reason"]) for each in listed],
    )


def _closing_audit(job: dict[str, Any]) -> Iterator[Block]:
    audit = job["closing_audit"]
    if audit["is_complete"]:
        yield Sentence(
            "The job is completed: its last catch-up pass found nothing left to move, and nothing was unexamined."
            + (f" {counted(audit['remaining'], 'value')} could not be written." if audit["remaining"] else "")
        )
    else:
        yield Sentence("The job is not completed, so there is no closing audit yet.")
    yield Facts(
        [
            ("Catch-up passes", number(audit["catch_up_passes"])),
            ("They opened", audit["opened"]),
            ("Still under the old key", number(audit["remaining"])),
            ("Finished", moment(audit["finished_at"], "not finished")),
        ]
    )
    if job["unexamined"]:
        yield Table(
            "Not examined",
            ("Kind", "Where", "Why"),
            [(each["kind"], Code(each["where"]), each["reason"]) for each in job["unexamined"]],
        )


def _events(job: dict[str, Any]) -> Iterator[Block]:
    yield Table(
        "Processes that worked on the job",
        ("User", "Host", "Process", "Workers", "Version", "Begun", "Ended"),
        [
            (
                f"{each['os_user']} (database role {each['db_user']})",
                each["host"],
                str(each["pid"]),
                str(each["workers"]),
                each["version"],
                moment(each["started_at"]),
                moment(each["ended_at"], NOT_RECORDED),
            )
            for each in job["runners"]
        ],
        frozenset({2, 3}),
    )
    yield Table(
        "Events",
        ("Time", "Event", "Who", "Reason", "Detail"),
        [
            (
                moment(each["at"]),
                each["what"],
                who(each),
                each["reason"] or "-",
                Code(json.dumps(each["detail"], sort_keys=True)) if each["detail"] else "-",
            )
            for each in job["events"]
        ],
    )
