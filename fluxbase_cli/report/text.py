"""Results for people: the fixed lines of docs/operators/understanding-output.md, and plain tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from fluxbase_cli.engine.outcome import AuditReport, JobReport
from fluxbase_cli.printable import printable
from fluxbase_cli.report.json_report import dotted
from fluxbase_cli.store.quarantine import Quarantine
from fluxbase_cli.store.records import JobKind, QuarantineEntry

if TYPE_CHECKING:
    from fluxbase_cli.engine.databases import DatabasesReport
    from fluxbase_cli.proof.proof import Proof

#: At most so many values are listed, so that the result stays on the screen. `secrets status JOB` lists all.
_LISTED = 50
#: For a job that was stopped.
HOW_TO_CONTINUE = (
    "The command that began the job resumes it. With --join, --run-name or in a rotation: after `secrets resume`."
)


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


def quarantine_lines(left: Quarantine, job: int | None) -> Iterator[str]:
    """The values that were left as they are: location, row id, path in the document, and reason."""
    yield from quarantine_titles(left)
    for entry in left[:_LISTED]:
        yield quarantine_line(entry)
    if left.total > _LISTED:
        where = f"`fluxbase-cli secrets status {job}`" if job is not None else "`-o json`"
        them = "them all" if not left.unlisted else f"{len(left)} of them"
        yield f"  … and {left.total - _LISTED} more; {where} lists {them}"
    yield from unlisted_lines(left, job)


def quarantine_line(entry: QuarantineEntry) -> str:
    """One of these values."""
    path = f" {dotted(entry.path)}" if entry.path else ""
    return f"  {entry.location} {entry.id}{path}: {entry.reason}"


def unlisted_lines(left: Quarantine, job: int | None) -> Iterator[str]:
    """Where all values are, if not all of them are listed."""
    if not left.unlisted:
        return
    if job is None:
        yield f"  {left.unlisted} are not listed anywhere; a re-encryption lists all in fluxbase_rotation.quarantine"
    else:
        yield f"  all {left.total} are in the table fluxbase_rotation.quarantine, with job = {job}"


def quarantine_titles(left: Quarantine) -> Iterator[str]:
    """How many values are in quarantine, one line for each of the two reasons."""
    if left.undecryptable:
        yield f"{left.undecryptable} values could not be opened and were left as they are:"
    if left.unwritable:
        yield f"{left.unwritable} values could not be written and are still under their old key:"


def audit_lines(report: AuditReport) -> Iterator[str]:
    """The result of an audit."""
    if report.key_version is not None:
        if report.found == 0:
            limit = " in what could be examined" if report.unexamined else ""
            yield f"No secrets found encrypted with key version {report.key_version}{limit}"
            return
        yield f"Found {report.found} secrets encrypted with key version {report.key_version}"
        rows: list[tuple[str, ...]] = [
            (name, str(census.by_version.get(report.key_version, 0)))
            for name, census in report.locations.items()
            if census.by_version.get(report.key_version, 0)
        ]
        yield from table(("LOCATION", "SECRETS"), rows, right=(1,))
        return
    header = ("LOCATION", *(f"VERSION {version}" for version in report.versions), "PLAINTEXT", "UNDECRYPTABLE")
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
    yield from table(header, rows, right=tuple(range(1, len(header))))


def proof_lines(proof: Proof) -> Iterator[str]:
    """One line for each database, if there are several, and for each thing that was left out on purpose."""
    for each in proof.databases if proof.several else ():
        version = each.census.key_version
        found = f"{each.census.found} of {each.census.scanned}"
        needs = "secrets open under a key of the ring" if version is None else f"secrets need key version {version}"
        yield f"{each.name} ({each.kind}): {found} {needs}"
    for left in proof.left_out:
        yield f"left out on purpose: {left.where} ({left.reason})"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[int] = ()) -> Iterator[str]:
    """Plain aligned columns. They are the same on a terminal and in a pipe, so `grep` and `awk` work with them.

    Args:
        header: the names of the columns.
        rows: the cells.
        right: the indexes of the columns that are aligned to the right.
    """
    # The widths are those of the text that is printed.
    written = [tuple(header), *(tuple(printable(cell) for cell in row) for row in rows)]
    widths = [max(len(line[index]) for line in written) for index in range(len(header))]
    for line in written:
        cells = [
            cell.rjust(width) if index in right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()
