"""What the operator can do next when a job or an audit has ended: the last lines of its account."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from fluxbase_cli.engine.outcome import AuditReport, JobReport
from fluxbase_cli.store.records import JobKind


def job_next(report: JobReport, *, told: bool, plan: Path | None = None) -> Iterator[str]:
    """What comes after a job, except after one that was interrupted: it is told how it is resumed.

    Args:
        report: how it ended.
        told: whether the steps for the server and its configuration were told already.
        plan: the file to which the plan of the job was written, if it was.
    """
    if report.state == "dry-run":
        yield from _dry_run_next(report, plan)
        return
    if report.state not in {"completed", "interrupted"}:
        yield "Next: fix the cause of the failure. Then run the same command again: it resumes the job."
    elif report.state == "completed":
        if report.quarantine.undecryptable:
            yield (
                "Next: find the key of the values that could not be opened, configure it under a version, and run the "
                "same command again."
            )
        if report.quarantine.unwritable:
            yield "Next: correct the rows that could not be written, and run the same command again."
        if report.unexamined:
            yield "Next: see to what was not examined, and run the same command again."
        elif not report.quarantine and not told and report.kind is JobKind.RE_ENCRYPT:
            version = "" if report.from_version is None else f" --key-version {report.from_version}"
            yield f"Next: prove what still needs the old key: `fluxbase-cli secrets audit{version} --databases all`"
    if report.job is not None:
        yield f"Job {report.job}: `fluxbase-cli secrets status {report.job}` shows it in full."


def _dry_run_next(report: JobReport, plan: Path | None) -> Iterator[str]:
    if plan is not None:
        yield (
            "Next: have the plan and its digest approved, then "
            f"`fluxbase-cli secrets {report.kind.value} --plan {shlex.quote(str(plan))}`"
        )
    elif report.total.re_encrypted:
        yield "Next: the same command without --dry-run moves these values."


def audit_next(report: AuditReport) -> Iterator[str]:
    """What comes after an audit of one key version."""
    version = report.key_version
    if report.unexamined:
        yield "Next: see to what was not examined, and run the audit again. Until then it proves nothing."
    elif version is not None and report.found:
        yield f"Next: `fluxbase-cli secrets re-encrypt --from-version {version} --to-version N` moves these values."
