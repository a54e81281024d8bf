"""Jobs as `secrets status` shows them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any

from fluxbase_cli.counts import worded
from fluxbase_cli.engine.observe.status import JobDetails, JobSummary, LocationProgress
from fluxbase_cli.engine.throttle.pacing import MaxLag
from fluxbase_cli.moments import exact_moment_text, moment_text, span
from fluxbase_cli.report.columns import Column, Listing
from fluxbase_cli.report.json_report import quarantine_fields, stop_fields
from fluxbase_cli.report.left_values import all_left_lines
from fluxbase_cli.report.table import paragraph, table
from fluxbase_cli.report.text import how_to_continue
from fluxbase_cli.store.records import Event, Runner

#: How a moment ends. A column has it in its header.
_ZONE = " UTC"


def jobs_data(summaries: Sequence[JobSummary]) -> dict[str, Any]:
    """The list of jobs for programs."""
    return {"jobs": [_summary_data(summary) for summary in summaries]}


def jobs_lines(summaries: Sequence[JobSummary]) -> Iterator[str]:
    """The list of jobs for people."""
    if not summaries:
        yield "No job has run on this database yet."
        return
    yield from JOBS.table(summaries)
    for summary in summaries:
        remark = ", ".join(_remarks(summary))
        if remark:
            yield from paragraph(f"Job {summary.job.id}: {remark}", hanging="  ")


def _remarks(summary: JobSummary) -> Iterator[str]:
    """What is important about a job, and is no column because it is true of few jobs."""
    if summary.pace is not None:
        yield from _pace(summary)
    if summary.counts.undecryptable:
        number = summary.counts.undecryptable
        yield f"{number} undecryptable {'value' if number == 1 else 'values'}"
    if summary.job.remaining:
        yield f"{summary.job.remaining} still under the old key"


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
    yield from paragraph(headline(details), hanging="  ")
    for remark in state_remarks(details):
        yield from paragraph(remark, hanging="  ")
    yield ""
    yield from LOCATIONS.table(details.locations.items())
    yield ""
    yield from table(RUNNER_HEADER, [runner_cells(runner, details.now) for runner in details.runners], right=(3,))
    yield ""
    for event in details.events:
        yield from paragraph(_event_text(event), hanging="    ")
    if details.quarantine:
        yield ""
        yield from all_left_lines(details.quarantine, job.id)


def state_remarks(details: JobDetails) -> Iterator[str]:
    """Why a job is in its state, who paused or stopped it, and what is left."""
    job = details.summary.job
    if job.paused_at is not None and job.paused:
        moment = exact_moment_text(job.paused_at)
        yield f"Paused: since {moment} by {job.paused_by or 'somebody'}; `secrets resume` ends the pause"
    if job.stop is not None:
        yield f"Stopped: at {exact_moment_text(job.stop.at)} {job.stop.by_and_why}"
    if job.reason:
        yield f"Reason: {job.reason}"
    if job.error:
        yield f"Error: {job.error}"
    if job.remaining:
        yield f"Still under the old key: {job.remaining}"
    if job.finished_at is None and not details.summary.alive:
        yield how_to_continue(job.command, stopped=job.stop is not None)


def headline(details: JobDetails) -> str:
    """A job in one line: its kind and state, progress, rate, and the number of runners."""
    return ", ".join([title(details), *pace_parts(details)])


def title(details: JobDetails) -> str:
    """The kind of a job, its state, and how far it is."""
    summary, job = details.summary, details.summary.job
    source = "any version" if job.from_version is None else f"version {job.from_version}"
    return f"Job {job.id}: {job.kind.value}, {source} to {job.to_version}, {_state(summary)}, {summary.percent}% done"


def pace_parts(details: JobDetails) -> Iterator[str]:
    """How fast a job is, and how many runners it has. Nothing if nobody works on it."""
    yield from _pace(details.summary)
    alive = sum(runner.alive for runner in details.runners)
    if alive:
        yield f"{alive} {'runner' if alive == 1 else 'runners'}"


def _pace(summary: JobSummary) -> Iterator[str]:
    """The rate of a job and its time left. A job that waits for an operator has neither."""
    if summary.pace is None or summary.job.paused:
        return
    yield f"{summary.pace.rate_per_s:,.0f} secrets/s"
    if summary.job.pass_number > 0:
        yield f"catch-up pass {summary.job.pass_number}"
    elif summary.pace.eta_s is not None:
        yield f"{span(summary.pace.eta_s)} left"


#: The columns of `runner_cells`.
RUNNER_HEADER = ("PROCESS", "RUNNER", "USER", "WORKERS", "LAST HEARD OF")


def runner_cells(runner: Runner, now: datetime) -> tuple[str, ...]:
    """A runner as a row of a table."""
    return (
        f"{runner.pid} on {runner.host}",
        "alive" if runner.alive else "ended",
        runner.os_user,
        str(runner.workers),
        last_heard_of(runner, now),
    )


def last_heard_of(runner: Runner, now: datetime) -> str:
    """When a runner ended, or how long ago it sent its last heartbeat."""
    if runner.ended_at is not None:
        return exact_moment_text(runner.ended_at)
    return f"{span(max((now - runner.heartbeat_at).total_seconds(), 0.0))} ago"


def _event_text(event: Event) -> str:
    match event.what:
        case "released":
            what = "`secrets resume`"
        case "tuned":
            what = ", ".join(["tuned", *_tuned(event.detail)])
        case _:
            what = event.what
    reason = f": {event.reason}" if event.reason else ""
    moment = exact_moment_text(event.at)
    return f"{moment}  {what} by {event.os_user} on {event.host} (as {event.db_user}){reason}"


def _tuned(detail: Mapping[str, Any]) -> Iterator[str]:
    """What `secrets tune`, or an option of the job, has set. See `fluxbase_cli.store.records.Tuning`."""
    rate, rows = detail.get("max_rate_per_s"), detail.get("batch_rows")
    if rate is not None:
        yield f"to at most {rate:,.10g} secrets/s" if rate else "to no rate limit"
    if rows is not None:
        yield f"to batches of {worded(rows, 'row', 'rows')}" if rows else "to each runner's own batch size"
    workers = detail.get("workers")
    if workers is not None:
        yield (
            f"to {worded(workers, 'worker', 'workers')} in total"
            if workers
            else "to each runner's own number of workers"
        )
    if "max_lag_s" in detail or "max_lag_bytes" in detail:
        most = MaxLag(detail.get("max_lag_s") or None, detail.get("max_lag_bytes") or None)
        yield f"to standbys at most {most} behind" if most != MaxLag() else "to no limit for standbys"


def _source(summary: JobSummary) -> str:
    return "any" if summary.job.from_version is None else str(summary.job.from_version)


def _state(summary: JobSummary) -> str:
    marks = ["stopped"] if summary.job.stop is not None else []
    marks += ["paused"] if summary.job.paused else []
    return f"{summary.state} ({', '.join(marks)})" if marks else summary.state


def _state_word(summary: JobSummary) -> str:
    """The state in one word, for a column: what an operator did says more than `running` or `interrupted`."""
    if summary.job.stop is not None and not summary.alive:
        return "stopped"
    return "paused" if summary.job.paused else summary.state


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


def _in_column(moment: datetime) -> str:
    """A moment in a column whose heading names the zone."""
    return moment_text(moment).removesuffix(_ZONE)


def _eta_s(summary: JobSummary) -> float | None:
    return None if summary.pace is None else summary.pace.eta_s


#: The list of `secrets status`.
JOBS: Listing[JobSummary] = Listing(
    (
        Column("job", lambda each: each.job.id, right=True),
        Column("kind", lambda each: each.job.kind.value),
        Column("state", lambda each: each.state, _state_word),
        Column("from_version", lambda each: each.job.from_version, _source, "FROM", right=True),
        Column("to_version", lambda each: each.job.to_version, heading="TO", right=True),
        Column("percent", lambda each: each.percent, lambda each: f"{each.percent}%", "DONE", right=True),
        Column("re_encrypted", lambda each: each.counts.re_encrypted, heading="RE-ENCRYPTED", right=True),
        Column("undecryptable", lambda each: each.counts.undecryptable, right=True, shown=False),
        Column(
            "rate_per_second",
            lambda each: None if each.pace is None else round(each.pace.rate_per_s, 1),
            lambda each: "-" if each.pace is None else f"{each.pace.rate_per_s:,.0f}/s",
            "RATE",
            right=True,
            shown=False,
        ),
        Column(
            "eta_seconds",
            lambda each: None if _eta_s(each) is None else round(_eta_s(each) or 0.0, 1),
            lambda each: "-" if _eta_s(each) is None else span(_eta_s(each) or 0.0),
            "LEFT",
            right=True,
            shown=False,
        ),
        Column(
            "created_at",
            lambda each: each.job.created_at.isoformat(),
            lambda each: _in_column(each.job.created_at),
            f"BEGUN ({_ZONE.strip()})",
        ),
        Column(
            "finished_at",
            lambda each: None if each.job.finished_at is None else each.job.finished_at.isoformat(),
            lambda each: "-" if each.job.finished_at is None else _in_column(each.job.finished_at),
            f"ENDED ({_ZONE.strip()})",
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
        Column(
            "percent",
            lambda each: each[1].percent,
            lambda each: "done" if each[1].done else f"{each[1].percent}%",
            "DONE",
            right=True,
        ),
        Column("scanned", lambda each: each[1].counts.scanned, right=True),
        Column("re_encrypted", lambda each: each[1].counts.re_encrypted, heading="RE-ENCRYPTED", right=True),
        Column("already_current", lambda each: each[1].counts.already_current, heading="CURRENT", right=True),
        # The values themselves are listed below the table.
        Column("undecryptable", lambda each: each[1].counts.undecryptable, right=True, shown=False),
        Column("updated", lambda each: each[1].counts.updated, right=True, shown=False),
        Column("moved", lambda each: each[1].counts.moved, right=True, shown=False),
        Column("plaintext", lambda each: each[1].counts.plaintext, right=True, shown=False),
        Column("other_versions", lambda each: each[1].counts.other_versions, right=True, shown=False),
        Column("done", lambda each: each[1].done, shown=False),
    ),
    itemgetter(0),
)
