"""Jobs as `secrets status` shows them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any

from fluxbase_cli.engine.observe.status import JobDetails, JobSummary, LocationProgress
from fluxbase_cli.report.columns import Column, Listing
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
    yield from JOBS.table(summaries)


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
    yield from LOCATIONS.table(details.locations.items())
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


def _source(summary: JobSummary) -> str:
    return "any" if summary.job.from_version is None else str(summary.job.from_version)


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


def _eta_s(summary: JobSummary) -> float | None:
    return None if summary.pace is None else summary.pace.eta_s


#: The list of `secrets status`.
JOBS: Listing[JobSummary] = Listing(
    (
        Column("job", lambda each: each.job.id, right=True),
        Column("kind", lambda each: each.job.kind.value),
        Column("state", lambda each: each.state, _state),
        Column("from_version", lambda each: each.job.from_version, _source, "FROM", right=True),
        Column("to_version", lambda each: each.job.to_version, heading="TO", right=True),
        Column("percent", lambda each: each.percent, lambda each: f"{each.percent}%", "DONE", right=True),
        Column("re_encrypted", lambda each: each.counts.re_encrypted, heading="RE-ENCRYPTED", right=True),
        Column("undecryptable", lambda each: each.counts.undecryptable, right=True),
        Column(
            "rate_per_second",
            lambda each: None if each.pace is None else round(each.pace.rate_per_s, 1),
            lambda each: "-" if each.pace is None else f"{each.pace.rate_per_s:,.0f}/s",
            "RATE",
            right=True,
        ),
        Column(
            "eta_seconds",
            lambda each: None if _eta_s(each) is None else round(_eta_s(each) or 0.0, 1),
            lambda each: "-" if _eta_s(each) is None else span(_eta_s(each) or 0.0),
            "LEFT",
            right=True,
        ),
        Column(
            "created_at", lambda each: each.job.created_at.isoformat(), lambda each: _when(each.job.created_at), "BEGUN"
        ),
        Column(
            "finished_at",
            lambda each: None if each.job.finished_at is None else each.job.finished_at.isoformat(),
            lambda each: "-" if each.job.finished_at is None else _when(each.job.finished_at),
            "ENDED",
            shown=False,
        ),
        Column("remaining", lambda each: each.job.remaining, right=True, shown=False),
        Column("scanned", lambda each: each.counts.scanned, right=True, shown=False),
        Column("alive", lambda each: each.alive, shown=False),
        Column("paused", lambda each: each.job.paused, shown=False),
        Column("stopped", lambda each: each.job.stop is not None, shown=False),
        Column("reason", lambda each: each.job.reason, shown=False),
        Column("error", lambda each: each.job.error, shown=False),
    ),
    lambda each: str(each.job.id),
)
#: The locations of one job.
LOCATIONS: Listing[tuple[str, LocationProgress]] = Listing(
    (
        Column("location", itemgetter(0)),
        Column("scanned", lambda each: each[1].counts.scanned, right=True),
        Column("re_encrypted", lambda each: each[1].counts.re_encrypted, heading="RE-ENCRYPTED", right=True),
        Column("already_current", lambda each: each[1].counts.already_current, heading="CURRENT", right=True),
        Column("undecryptable", lambda each: each[1].counts.undecryptable, right=True),
        Column(
            "percent",
            lambda each: each[1].percent,
            lambda each: "done" if each[1].done else f"{each[1].percent}%",
            "PROGRESS",
        ),
        Column("updated", lambda each: each[1].counts.updated, right=True, shown=False),
        Column("moved", lambda each: each[1].counts.moved, right=True, shown=False),
        Column("plaintext", lambda each: each[1].counts.plaintext, right=True, shown=False),
        Column("other_versions", lambda each: each[1].counts.other_versions, right=True, shown=False),
        Column("done", lambda each: each[1].done, shown=False),
    ),
    itemgetter(0),
)
