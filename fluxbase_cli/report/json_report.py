"""Results as one JSON object or one YAML document. docs/operators/scripting.md lists the fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from fluxbase_cli.engine.cost import Cost
from fluxbase_cli.engine.outcome import AuditReport, JobReport
from fluxbase_cli.errors import FluxbaseCliError
from fluxbase_cli.printable import Lines, is_seen, to_printable_json
from fluxbase_cli.store.quarantine import Quarantine
from fluxbase_cli.store.records import QuarantineEntry, StopRequest

if TYPE_CHECKING:
    from fluxbase_cli.engine.databases import DatabasesReport
    from fluxbase_cli.proof.proof import Proof


def to_json(data: Mapping[str, Any]) -> Lines:
    """One object, indented by two spaces."""
    return Lines(to_printable_json(data, indent=2))


def to_yaml(data: Mapping[str, Any]) -> Lines:
    """One document. The order of the fields is kept."""
    import yaml  # noqa: PLC0415  # start-up time

    class Dumper(yaml.SafeDumper):
        """Writes `Lines` as the text that they are."""

    Dumper.add_representer(Lines, lambda dumper, text: dumper.represent_str(str(text)))

    def dump(*, allow_unicode: bool) -> str:
        text = yaml.dump(dict(data), Dumper=Dumper, sort_keys=False, allow_unicode=allow_unicode)
        return str(text).rstrip("\n")

    text = dump(allow_unicode=True)
    # PyYAML can escape either all letters that are not ASCII or only some of the control characters.
    return Lines(text if is_seen(text.replace("\n", "")) else dump(allow_unicode=False))


def job_report(report: JobReport) -> dict[str, Any]:
    """A re-encryption or a rollback."""
    return {
        "job": report.job,
        "kind": report.kind.value,
        "state": report.state,
        "from_version": report.from_version,
        "to_version": report.to_version,
        "reason": report.reason,
        **report.total.as_dict(),
        "remaining": report.remaining,
        "elapsed_seconds": round(report.elapsed_seconds, 3),
        "rate_per_second": round(report.rate_per_second, 1),
        "locations": [{"location": name, **counts.as_dict()} for name, counts in report.locations.items()],
        **quarantine_fields(report.quarantine),
        "forecast": _cost(None if report.estimate is None else report.estimate.cost),
        "measured": _cost(report.measured),
        "vacuum": [
            {
                "table": each.table,
                "dead_rows": each.dead_rows,
                "grown_bytes": each.grown_bytes,
                "vacuumed": each.vacuumed,
            }
            for each in report.vacuum_candidates
        ],
        # Only if there are any.
        **({"unexamined": [each.as_dict() for each in report.unexamined]} if report.unexamined else {}),
        **({"error": report.error} if report.error else {}),
        **(stop_fields(report.stopped) if report.stopped else {}),
    }


def databases_report(report: DatabasesReport) -> dict[str, Any]:
    """A job in one database or several. If there are several, each has a report too."""
    data = job_report(report.together)
    if report.several:
        data["databases"] = [
            {
                "database": each.name,
                "kind_of_database": each.kind,
                **({} if each.report is None else job_report(each.report)),
                **({} if each.error is None else _error(each.error)),
            }
            for each in report.databases
        ]
    return data


def _error(error: FluxbaseCliError) -> dict[str, Any]:
    """Why a job did not begin, or did not end."""
    return {"state": "failed", "error": error.message, **({"hint": error.hint} if error.hint else {})}


def _cost(cost: Cost | None) -> dict[str, Any] | None:
    if cost is None:
        return None
    return {
        "seconds": round(cost.seconds, 3),
        "wal_bytes": cost.wal_bytes,
        "wal_bytes_per_second": round(cost.wal_bytes_per_s),
        "growth_bytes": cost.growth_bytes,
        "key_calls": cost.key_calls,
        "standbys": cost.standbys,
    }


def stop_fields(request: StopRequest | None) -> dict[str, Any]:
    """A request of `secrets stop`: when, by whom and why."""
    return {
        "stopped_at": None if request is None else request.at.isoformat(),
        "stopped_by": None if request is None else request.by,
        "stop_reason": None if request is None else request.reason,
    }


def audit_report(report: AuditReport) -> dict[str, Any]:
    """An audit."""
    return {
        "key_version": report.key_version,
        "found": report.found,
        "by_version": _versions(report.by_version),
        "plaintext": report.plaintext,
        "undecryptable": report.undecryptable,
        "scanned": report.scanned,
        "elapsed_seconds": round(report.elapsed_seconds, 3),
        "locations": [
            {
                "location": name,
                "by_version": _versions({v: census.by_version.get(v, 0) for v in report.versions}),
                "plaintext": census.plaintext,
                "undecryptable": census.undecryptable,
                "scanned": census.scanned,
            }
            for name, census in report.locations.items()
        ],
        **quarantine_fields(report.quarantine),
        "warnings": list(report.warnings),
        "unexamined": [each.as_dict() for each in report.unexamined],
    }


def proof_report(proof: Proof) -> dict[str, Any]:
    """An audit of one database or several."""
    data = audit_report(proof.together)
    if proof.several:
        data["databases"] = [
            {"database": each.name, "kind_of_database": each.kind, **audit_report(each.census)}
            for each in proof.databases
        ]
    if proof.left_out:
        data["left_out"] = [{"where": each.where, "reason": each.reason} for each in proof.left_out]
    return data


def quarantine_fields(left: Quarantine) -> dict[str, Any]:
    """The values that were left as they are, and if the list does not have all of them, how many there are."""
    return {
        "quarantine": quarantine(left),
        **({"quarantine_total": left.total} if left.unlisted else {}),
    }


def quarantine(entries: Iterable[QuarantineEntry]) -> list[dict[str, Any]]:
    """The undecryptable values. `path` is null if the whole column is the value."""
    return [
        {
            "location": entry.location,
            "id": str(entry.id),
            "path": dotted(entry.path) if entry.path else None,
            "reason": entry.reason,
        }
        for entry in entries
    ]


def dotted(path: tuple[str, ...]) -> str:
    """A JSON path with dots, as in the documentation."""
    return ".".join(path)


def _versions(counts: Mapping[int, int]) -> dict[str, int]:
    return {str(version): counts[version] for version in sorted(counts)}
