"""Reads a job's counts from the progress tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from fluxbase_cli.counts import Counts
from fluxbase_cli.store.jobs import JobStore


def values_handled(jobs: JobStore, job: int) -> int:
    """How many values all runs of a job have read."""
    return sum(counts.scanned for total in jobs.shards.totals(job) for counts in total.counts.values())


def location_counts(jobs: JobStore, job: int, names: tuple[str, ...]) -> Mapping[str, Counts]:
    """A job's counts by `schema.table.column`, over all its runs.

    Undecryptable values that only a catch-up pass found are counted too, by their entries in the quarantine.
    """
    counts = dict.fromkeys(names, Counts())
    for total in jobs.shards.totals(job):
        for column, found in total.counts.items():
            location = f"{total.table}.{column}"
            counts[location] = counts.get(location, Counts()) + found
    listed = dict.fromkeys(counts, 0)
    listed |= {left.location: left.undecryptable for left in jobs.left_by_location(job)}
    for location, number in listed.items():
        found = counts.get(location, Counts())
        if number > found.undecryptable:
            counts[location] = replace(
                found, scanned=found.scanned + number - found.undecryptable, undecryptable=number
            )
    return counts
