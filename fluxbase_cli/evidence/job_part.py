"""The part of a report that is about one job: what, where, who, when, why, and what was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fluxbase_cli.counts import Counts
from fluxbase_cli.engine.run.account import location_counts
from fluxbase_cli.evidence.moments import seconds_between, utc, utc_or_none
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.evidence import EvidenceStore
from fluxbase_cli.store.jobs import JobStore
from fluxbase_cli.store.quarantine import LeftValues, Quarantine
from fluxbase_cli.store.records import Event, Job, JobState, Runner
from fluxbase_cli.store.samples import Sample, SampleStore


def job_part(connection: Connection, job: Job) -> dict[str, Any]:
    """Everything that the progress tables have about a job.

    Args:
        connection: a session, in the transaction of the whole report.
        job: its record.
    """
    jobs, samples = JobStore(connection), SampleStore(connection)
    events, runners = jobs.events.of_job(job.id), jobs.runners.of_job(job.id)
    left, quarantine = jobs.left_by_location(job.id), jobs.quarantined(job.id)
    recorded = samples.has_tables()
    began = next((event for event in events if event.what == "started"), None)
    return {
        "job": job.id,
        "kind": job.kind.value,
        "state": _state(job, runners),
        "from_version": job.from_version,
        "to_version": job.to_version,
        "reason": job.reason,
        "began_by": None if began is None else _who(began),
        "started_at": utc(job.created_at),
        "finished_at": utc_or_none(job.finished_at),
        "elapsed_seconds": seconds_between(job.created_at, job.finished_at),
        "error": job.error,
        "rows": job.total_rows,
        **_counts(location_counts(jobs, job.id, ()), left),
        "progress": _progress(samples.of_job(job.id)) if recorded else None,
        "waits": (
            [
                {"cause": each.cause, "times": each.times, "seconds": round(each.seconds, 1)}
                for each in samples.waits(job.id)
            ]
            if recorded
            else None
        ),
        "closing_audit": _closing_audit(job),
        "unexamined": [each.as_dict() for each in jobs.unexamined(job.id)],
        **_quarantine(quarantine, EvidenceStore(connection).quarantine_digest(job.id)),
        "runners": [_runner(each) for each in runners],
        "events": [_event(each) for each in events],
    }


def _state(job: Job, runners: Sequence[Runner]) -> str:
    if job.state is JobState.RUNNING and not any(each.alive for each in runners):
        # Its last process was killed.
        return JobState.INTERRUPTED.value
    return job.state.value


def _who(event: Event) -> dict[str, str]:
    return {"os_user": event.os_user, "host": event.host, "db_user": event.db_user}


def _event(event: Event) -> dict[str, Any]:
    return {
        "at": utc(event.at),
        "what": event.what,
        **_who(event),
        "reason": event.reason,
        "detail": dict(event.detail),
    }


def _runner(runner: Runner) -> dict[str, Any]:
    return {
        "os_user": runner.os_user,
        "host": runner.host,
        "db_user": runner.db_user,
        "pid": runner.pid,
        "workers": runner.workers,
        "version": runner.version,
        "started_at": utc(runner.started_at),
        "ended_at": utc_or_none(runner.ended_at),
    }


def _counts(found: Mapping[str, Counts], left: Sequence[LeftValues]) -> dict[str, Any]:
    unwritable = {each.location: each.unwritable for each in left}
    names = [*found, *(name for name in unwritable if name not in found)]
    return {
        "totals": _before_and_after(sum(found.values(), Counts()), sum(unwritable.values())),
        "locations": [
            {"location": name, **_before_and_after(found.get(name, Counts()), unwritable.get(name, 0))}
            for name in sorted(names)
        ],
    }


def _before_and_after(counts: Counts, unwritable: int) -> dict[str, Any]:
    """What the job met in a location, and what it left there. Both have the same sum."""
    others = {
        "other_versions": counts.other_versions,
        "undecryptable": counts.undecryptable,
        "plaintext": counts.plaintext,
    }
    return {
        "values": counts.scanned,
        "re_encrypted": counts.re_encrypted,
        "read_again": counts.moved,
        "before": {"old_key": counts.re_encrypted + unwritable, "new_key": counts.already_current, **others},
        "after": {"old_key": unwritable, "new_key": counts.already_current + counts.re_encrypted, **others},
    }


def _progress(samples: Sequence[Sample]) -> list[dict[str, Any]]:
    progress: list[dict[str, Any]] = []
    last: Sample | None = None
    for each in samples:
        seconds = 0.0 if last is None else (each.at - last.at).total_seconds()
        rate = None if last is None or seconds <= 0 else round((each.values_done - last.values_done) / seconds, 1)
        progress.append(
            {
                "at": utc(each.at),
                "pass": each.pass_number,
                "rows_done": each.rows_done,
                "values_done": each.values_done,
                "rate_per_second": rate,
            }
        )
        last = each
    return progress


def _closing_audit(job: Job) -> dict[str, Any]:
    """What the last catch-up pass found. It is the closing audit if the job is completed."""
    return {
        "is_complete": job.state is JobState.COMPLETED,
        "catch_up_passes": job.pass_number,
        "opened": "all values" if job.full_census else "values changed since the main pass",
        "remaining": job.remaining,
        "finished_at": utc_or_none(job.finished_at),
    }


def _quarantine(found: Quarantine, digest: str) -> dict[str, Any]:
    return {
        "quarantine": [
            {"location": each.location, "id": str(each.id), "path": list(each.path), "reason": each.reason}
            for each in found
        ],
        "quarantine_total": found.total,
        "quarantine_sha256": digest,
    }
