"""What `secrets report verify` prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fluxbase_cli.evidence.collect import title
from fluxbase_cli.evidence.comparison import Difference, ValuesNow
from fluxbase_cli.evidence.signing.verification import Verified
from fluxbase_cli.report.evidence.blocks import counted, moment

_MOST_LINES = 20


@dataclass(frozen=True, slots=True)
class DatabaseCheck:
    """What the database says about a report.

    Attributes:
        differences: what it says otherwise.
        values: what an audit found; None if there was none.
        why_no_audit: why there was none.
    """

    differences: Sequence[Difference]
    values: ValuesNow | None
    why_no_audit: str | None = None


def verified_data(verified: Verified, check: DatabaseCheck | None) -> dict[str, Any]:
    """The result as JSON."""
    report = verified.report
    return {
        "verified": all(each.is_same is not False for each in verified.files) and not (check and check.differences),
        "keyid": verified.keyid,
        "subject": report["subject"],
        "database": report["database"],
        "generated": report["generated"],
        "files": [{"name": each.name, "is_same": each.is_same} for each in verified.files],
        "database_now": None if check is None else _check_data(check),
    }


def _check_data(check: DatabaseCheck) -> dict[str, Any]:
    values = check.values
    return {
        "differences": [{"where": each.where, "was": each.was, "now": each.now} for each in check.differences],
        "audit": None
        if values is None
        else {
            "needs_the_key": {str(version): number for version, number in values.needs.items()},
            "not_configured": list(values.unknown),
            "undecryptable": values.undecryptable,
            "unexamined": [each.as_dict() for each in values.unexamined],
        },
    }


def verified_lines(verified: Verified, check: DatabaseCheck | None) -> Iterator[str]:
    """The result as text."""
    report = verified.report
    yield f"✓ The signature is by the key {verified.keyid}"
    yield (
        f"✓ {title(report)}, database {report['database']['name']}, report of {moment(report['generated']['at'])} "
        f"(fluxbase-cli {report['generated']['version']})"
    )
    for each in verified.files:
        match each.is_same:
            case True:
                yield f"✓ {each.name} is the file that was signed"
            case False:
                yield f"✗ {each.name} is not the file that was signed"
            case None:
                yield f"- {each.name} was not checked: it is not beside the signed report"
    if check is not None:
        yield from _check_lines(check)


def _check_lines(check: DatabaseCheck) -> Iterator[str]:
    if check.differences:
        yield f"✗ The database has changed since the report: {counted(len(check.differences), 'difference')}"
        for each in check.differences[:_MOST_LINES]:
            yield f"    {each.where}: was {each.was}, is {each.now}"
        if len(check.differences) > _MOST_LINES:
            yield f"    and {len(check.differences) - _MOST_LINES} more; -o json lists all"
    else:
        yield "✓ The database still says the same"
    if check.values is None:
        yield f"- Values were not opened: {check.why_no_audit}"
        return
    for version, number in check.values.needs.items():
        if not number:
            yield f"✓ No value needs key version {version}"
    for version in check.values.unknown:
        yield f"- Nothing is known about key version {version}: it is not configured"
    yield from (f"- Not examined: {each}" for each in check.values.unexamined)
