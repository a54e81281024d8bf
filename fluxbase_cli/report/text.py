"""Results for people: the fixed lines of docs/operators/understanding-output.md, and plain tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fluxbase_cli.counts import secrets
from fluxbase_cli.engine.outcome import AuditReport, JobReport
from fluxbase_cli.report.table import fits, table
from fluxbase_cli.store.records import JobKind

if TYPE_CHECKING:
    from fluxbase_cli.engine.databases import DatabasesReport
    from fluxbase_cli.proof.proof import Proof


def how_to_continue(command: str, *, stopped: bool) -> str:
    """How an unfinished job is resumed.

    Args:
        command: the command that resumes it (`fluxbase_cli.store.records.Job.command`).
        stopped: whether it was stopped with `secrets stop`.
    """
    joins = " With --join, --run-name or in a rotation: after `secrets resume`." if stopped else ""
    return f"`{command}` resumes it, with the other options that it had.{joins}"


def job_title(kind: JobKind, from_version: int | None, to_version: int) -> str:
    """The first line of a job's output."""
    verb = "Rolling back" if kind is JobKind.ROLLBACK else "Re-encrypting"
    source = "" if from_version is None else f" from version {from_version}"
    return f"{verb} secrets{source} to {'version ' if from_version is None else ''}{to_version}..."


def job_lines(report: JobReport) -> Iterator[str]:
    """The lines under the title after the job has ended."""
    total = report.total
    if report.state == "dry-run":
        yield f"✓ Scanned {total.scanned} secrets"
        yield f"✓ Would re-encrypt {total.re_encrypted} secrets (already using new key: {total.already_current})"
        yield "✓ Dry run: nothing was written"
        yield f"✓ Completed in {whole_seconds(report.elapsed_seconds)}s"
        return
    tick = "✓" if report.state == "completed" else "-"
    yield f"{tick} Scanned {total.scanned} secrets"
    yield f"{tick} Re-encrypted {total.re_encrypted} secrets (already using new key: {total.already_current})"
    yield f"{tick} Updated {total.updated} secrets in database"
    if report.state == "completed":
        yield f"✓ Completed in {whole_seconds(report.elapsed_seconds)}s"
    elif report.stopped is not None:
        yield f"✗ Interrupted after {whole_seconds(report.elapsed_seconds)}s. {report.stopped.sentence}"
    elif report.state == "interrupted":
        yield f"✗ Interrupted after {whole_seconds(report.elapsed_seconds)}s; the same command resumes it"
    else:
        why = report.error or f"another process has {report.state} this job"
        yield f"✗ Failed after {whole_seconds(report.elapsed_seconds)}s: {why}"


def database_lines(report: DatabasesReport) -> Iterator[str]:
    """One line for each database, if there are several."""
    for each in report.databases if report.several else ():
        if each.report is None:
            why = "not begun" if each.error is None else each.error.message
            yield f"✗ {each.name} ({each.kind}): {why}"
            if each.error is not None and each.error.hint:
                yield f"  {each.error.hint}"
            continue
        total, state = each.report.total, each.report.state
        verb = "would move" if state == "dry-run" else "moved"
        number = total.re_encrypted if state == "dry-run" else total.updated
        why = f": {each.report.error}" if each.failed and each.report.error else ""
        mark = "✗" if each.failed else "✓"
        yield f"{mark} {each.name} ({each.kind}): {state}, {verb} {number} of {total.scanned}{why}"


def whole_seconds(seconds: float) -> int:
    """Seconds for people, rounded; at least 1."""
    return max(1, round(seconds))


def audit_lines(report: AuditReport) -> Iterator[str]:
    """The result of an audit."""
    if report.key_version is not None:
        if report.found == 0:
            limit = " in what could be examined" if report.unexamined else ""
            yield f"No secrets found encrypted with key version {report.key_version}{limit}"
            return
        yield f"Found {secrets(report.found)} encrypted with key version {report.key_version}"
        rows: list[tuple[str, ...]] = [
            (name, str(census.by_version.get(report.key_version, 0)))
            for name, census in report.locations.items()
            if census.by_version.get(report.key_version, 0)
        ]
        yield from table(("LOCATION", "SECRETS"), rows, right=(1,))
        return
    header: tuple[str, ...] = (
        "LOCATION",
        *(f"VERSION {version}" for version in report.versions),
        "PLAINTEXT",
        "UNDECRYPTABLE",
    )
    rows = [
        (
            name,
            *(str(census.by_version.get(version, 0)) for version in report.versions),
            str(census.plaintext),
            str(census.undecryptable),
        )
        for name, census in report.locations.items()
    ]
    rows.append(
        (
            "total",
            *(str(report.by_version[version]) for version in report.versions),
            str(report.plaintext),
            str(report.undecryptable),
        )
    )
    left_out: list[str] = []
    if not fits(header, rows):
        # What is zero everywhere is said in one line.
        left_out = [name for name in ("UNDECRYPTABLE", "PLAINTEXT") if rows[-1][header.index(name)] == "0"]
    kept = [index for index, name in enumerate(header) if name not in left_out]
    yield from table(
        [header[index] for index in kept],
        [[row[index] for index in kept] for row in rows],
        right=tuple(range(1, len(kept))),
    )
    if left_out:
        yield f"No {' and no '.join(name.lower() for name in left_out)} values."


def proof_lines(proof: Proof) -> Iterator[str]:
    """One line for each database, if there are several, and for each thing that was left out on purpose."""
    for each in proof.databases if proof.several else ():
        version = each.census.key_version
        found = f"{each.census.found} of {each.census.scanned}"
        needs = "secrets open under a key of the ring" if version is None else f"secrets need key version {version}"
        yield f"{each.name} ({each.kind}): {found} {needs}"
    for left in proof.left_out:
        yield f"left out on purpose: {left.where} ({left.reason})"
