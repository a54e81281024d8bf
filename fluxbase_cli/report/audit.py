"""The locations of an audit as a list."""

from __future__ import annotations

from operator import itemgetter

from fluxbase_cli.engine.outcome import AuditReport, LocationAudit
from fluxbase_cli.report.columns import Column, Listing

_Row = tuple[str, LocationAudit]


def locations_listing(versions: tuple[int, ...]) -> Listing[_Row]:
    """The list of an audit's locations.

    Args:
        versions: the key versions of the key ring.
    """
    return Listing(
        (
            Column("location", itemgetter(0)),
            *(_version(version) for version in versions),
            Column("plaintext", lambda row: row[1].plaintext, right=True),
            Column("undecryptable", lambda row: row[1].undecryptable, right=True),
            Column("scanned", lambda row: row[1].scanned, right=True, shown=False),
        ),
        itemgetter(0),
    )


def _version(version: int) -> Column[_Row]:
    return Column(f"version_{version}", lambda row: row[1].by_version.get(version, 0), right=True)


def location_rows(report: AuditReport) -> list[_Row]:
    """The locations of an audit. With a key version: those that hold values that need it."""
    version = report.key_version
    return [
        (name, found) for name, found in report.locations.items() if version is None or found.by_version.get(version)
    ]
