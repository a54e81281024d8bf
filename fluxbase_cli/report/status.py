"""Jobs as `secrets status` shows them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from fluxbase_cli.engine.observe.status import JobDetails, JobSummary
from fluxbase_cli.report.json_report import quarantine_fields, stop_fields
from fluxbase_cli.report.text import HOW_TO_CONTINUE, quarantine_line, quarantine_titles, table, unlisted_lines
from fluxbase_cli.store.records import Event, Runner


def jobs_data(summaries: Sequence[JobSummary]) -> dict[str, Any]:
    """The list of jobs for programs."""
    return {"jobs": [_summary_data(summary) for summary in summaries]}


def jobs_lines(summaries: Sequence[JobSummary]) -> Iterator[str]:
    """The list of jobs for people."""
    if not summaries:
        yield "No job has run on this database yet."
        return
    rows = [
        (
            str(summary.job.id),
            summary.job.kind.value,
            _state(summary),
            "any" if summary.job.from_version is None else str(summary.job.from_version),
            str(summary.job.to_version),
            f"{summary.percent}%",
            str(summary.counts.re_encrypted),
            str(summary.counts.undecryptable),
            "-" if summary.pace is None else f"{summary.pace.rate_per_s:,.0f}/s",
            "-" if summary.pace is None or summary.pace.eta_s is None else span(summary.pace.eta_s),
            _when(summary.job.created_at),
        )
        for summary in summaries
    ]
    header = ("JOB", "KIND", "STATE", "FROM", "TO", "DONE", "RE-ENCRYPTED", "UNDECRYPTABLE", "RATE", "LEFT", "BEGUN")
    yield from table(header, rows, right=(0, 3, 4, 5, 6, 7, 8, 9))


def details_data(details: JobDetails) -> dict[str, Any]:
    """One job for programs."""
    return {
        **_summary_data(details.summary),
        "locations": [
            {
                "location": name,
                **progress.counts.as_dict(),
                "rows_done": progress.rows_done,
                "percent": progress.percent,
                "done": progress.done,
                "rate_per_second": None if progress.rate_per_s is None else round(progress.rate_per_s, 1),
            }
            for name, progress in details.locations.items()
        ],
        "runners": [_runner_data(runner, details.now) for runner in details.runners],
        **quarantine_fields(details.quarantine),
        "events": [_event_data(event) for event in details.events],
    }


def details_lines(details: JobDetails) -> Iterator[str]:
    """One job for people."""
    job = details.summary.job
    yield headline(details)
    if job.paused_at is not None and job.paused:
        yield f"Paused: since {_when(job.paused_at)} by {job.paused_by or 'somebody'}; `secrets resume` ends the pause"
    if job.stop is not None:
        yield f"Stopped: at {_when(job.stop.at)} {job.stop.by_and_why}"
        yield HOW_TO_CONTINUE
    if job.reason:
        yield f"Reason: {job.reason}"
    if job.error:
        yield f"Error: {job.error}"
    if job.remaining:
        yield f"Still under the old key: {job.remaining}"
    yield ""
    rows = [
        (
            name,
            str(progress.counts.scanned),
            str(progress.counts.re_encrypted),
            str(progress.counts.already_current),
            str(progress.counts.undecryptable),
            "done" if progress.done else f"{progress.percent}%",
        )
        for name, progress in details.locations.items()
    ]
    yield from table(
        ("LOCATION", "SCANNED", "RE-ENCRYPTED", "CURRENT", "UNDECRYPTABLE", "PROGRESS"), rows, right=(1, 2, 3, 4)
    )
    yield ""
    yield from table(
        ("RUNNER", "HOST", "PROCESS", "USER", "WORKERS", "BEGUN", "LAST HEARD OF"),
        [
            (
                "alive" if runner.alive else "ended",
                runner.host,
                str(runner.pid),
                runner.os_user,
                str(runner.workers),
                _when(runner.started_at),
                last_heard_of(runner, details.now),
            )
            for runner in details.runners
        ],
        right=(2, 4),
    )
    yield ""
    for event in details.events:
        reason = f": {event.reason}" if event.reason else ""
        yield f"{_when(event.at)}  {event.what} by {event.os_user} on {event.host} (as {event.db_user}){reason}"
    if details.quarantine:
        yield ""
        yield from quarantine_titles(details.quarantine)
        yield from map(quarantine_line, details.quarantine)
        yield from unlisted_lines(details.quarantine, job.id)


def headline(details: JobDetails) -> str:
    """A job in one line: its kind and state, progress, rate, and the number of runners."""
    summary, job = details.summary, details.summary.job
    source = "any version" if job.from_version is None else f"version {job.from_version}"
    line = f"Job {job.id}: {job.kind.value}, {source} to {job.to_version}, {_state(summary)}, {summary.percent}% done"
    if summary.pace is not None:
        line += f", {summary.pace.rate_per_s:,.0f} secrets/s"
        if job.pass_number > 0:
            line += f", catch-up pass {job.pass_number}"
        elif summary.pace.eta_s is not None:
            line += f", {span(summary.pace.eta_s)} left"
    alive = sum(runner.alive for runner in details.runners)
    return line + (f", {alive} {'runner' if alive == 1 else 'runners'}" if alive else "")


def last_heard_of(runner: Runner, now: datetime) -> str:
    """When a runner sent its last heartbeat, or when it ended."""
    if runner.ended_at is not None:
        return _when(runner.ended_at)
    age = span(max((now - runner.heartbeat_at).total_seconds(), 0.0))
    return f"{_when(runner.heartbeat_at)} ({age} ago)"


def span(seconds: float) -> str:
    """A length of time for people, such as `2h 05m`."""
    minutes, whole = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h {minutes:02}m"
    return f"{minutes}m {whole:02}s" if minutes else f"{whole}s"


def _state(summary: JobSummary) -> str:
    marks = ["stopped"] if summary.job.stop is not None else []
    marks += ["paused"] if summary.job.paused else []
    return f"{summary.state} ({', '.join(marks)})" if marks else summary.state


def _summary_data(summary: JobSummary) -> dict[str, Any]:
    job = summary.job
    return {
        "job": job.id,
        "kind": job.kind.value,
        "state": summary.state,
        "paused": summary.job.paused,
        "stopped": job.stop is not None,
        **stop_fields(job.stop),
        "from_version": job.from_version,
        "to_version": job.to_version,
        "reason": job.reason,
        **summary.counts.as_dict(),
        "remaining": job.remaining,
        "percent": summary.percent,
        "pass": job.pass_number,
        "alive": summary.alive,
        "rate_per_second": None if summary.pace is None else round(summary.pace.rate_per_s, 1),
        "eta_seconds": None if summary.pace is None or summary.pace.eta_s is None else round(summary.pace.eta_s, 1),
        "fingerprints": dict(job.fingerprints),
        "error": job.error,
        "created_at": job.created_at.isoformat(),
        "finished_at": None if job.finished_at is None else job.finished_at.isoformat(),
    }


def _runner_data(runner: Runner, now: datetime) -> dict[str, Any]:
    return {
        "host": runner.host,
        "pid": runner.pid,
        "os_user": runner.os_user,
        "db_user": runner.db_user,
        "version": runner.version,
        "workers": runner.workers,
        "alive": runner.alive,
        "started_at": runner.started_at.isoformat(),
        "heartbeat_at": runner.heartbeat_at.isoformat(),
        "heartbeat_age_seconds": round(max((now - runner.heartbeat_at).total_seconds(), 0.0), 1),
        "ended_at": None if runner.ended_at is None else runner.ended_at.isoformat(),
    }


def _event_data(event: Event) -> dict[str, Any]:
    return {
        "at": event.at.isoformat(),
        "what": event.what,
        "os_user": event.os_user,
        "db_user": event.db_user,
        "host": event.host,
        "reason": event.reason,
        "detail": dict(event.detail),
    }


def _when(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
