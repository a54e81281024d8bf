"""The part of a report that is about keys: how long each was in use, and what became of the old ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from fluxbase_cli.evidence.moments import seconds_between, utc, utc_or_none
from fluxbase_cli.keys.history import KeyHistory
from fluxbase_cli.store.key_records import KeyEvent, KeyRecord
from fluxbase_cli.store.records import Job, JobState

_DAY_S = 86_400


def keys_part(history: KeyHistory, jobs: Sequence[Job], first_jobs: Mapping[int, datetime]) -> list[dict[str, Any]]:
    """The keys of the key ring with which the jobs began, by version.

    Args:
        history: what the database knows about keys.
        jobs: the jobs of the report, the oldest first.
        first_jobs: when the first job to each version was completed.
    """
    known = {int(version): text for job in jobs for version, text in job.fingerprints.items()}
    return [
        _key(version, fingerprint, _role(version, jobs), history, jobs, first_jobs)
        for version, fingerprint in sorted(known.items())
    ]


def _role(version: int, jobs: Sequence[Job]) -> str:
    """Whether the jobs moved values away from this key or to it. The first job counts: a later one may go back."""
    job = jobs[0]
    if version == job.to_version:
        return "new"
    return "old" if job.from_version in {None, version} else "other"


def _key(  # noqa: PLR0913, PLR0917  # what is known of a key
    version: int,
    fingerprint: str,
    role: str,
    history: KeyHistory,
    jobs: Sequence[Job],
    first_jobs: Mapping[int, datetime],
) -> dict[str, Any]:
    records = [each for each in history.records if (each.version, each.fingerprint) == (version, fingerprint)]
    created = history.created_at(version, fingerprint)
    since = created or first_jobs.get(version)
    away = [job.finished_at for job in jobs if job.state is JobState.COMPLETED and job.to_version != version]
    until = away[-1] if role == "old" and away and jobs[-1].to_version != version else None
    return {
        "version": version,
        "fingerprint": fingerprint,
        "role": role,
        "state": history.state(version, fingerprint).value,
        "created_at": utc_or_none(created),
        "in_use_since": utc_or_none(since),
        "values_moved_away_at": utc_or_none(until),
        "in_use_days": None if since is None or until is None else _days(since, until),
        "disabled_at": _last(records, KeyEvent.DISABLED),
        "destroyed_at": _last(records, KeyEvent.DESTROYED),
        "keep_until": next((each.detail["keep_until"] for each in reversed(records) if _keeps(each)), None),
        "events": [_event(each) for each in records],
    }


def _days(since: datetime, until: datetime) -> float:
    return round((seconds_between(since, until) or 0.0) / _DAY_S, 1)


def _keeps(record: KeyRecord) -> bool:
    return bool(record.detail.get("keep_until"))


def _last(records: Sequence[KeyRecord], what: KeyEvent) -> str | None:
    return next((utc(each.at) for each in reversed(records) if each.what is what), None)


def _event(record: KeyRecord) -> dict[str, Any]:
    detail = record.detail
    audits = detail.get("census")
    return {
        "at": utc(record.at),
        "what": record.what.value,
        "os_user": record.os_user,
        "host": record.host,
        "db_user": record.db_user,
        "reason": record.reason,
        "source": detail.get("source"),
        "audits": (
            None
            if audits is None
            else [
                {
                    "database": each.get("database"),
                    "needs_the_key": each.get("found"),
                    "undecryptable": each.get("undecryptable"),
                }
                for each in audits
            ]
        ),
        "skipped": [each.get("what") for each in detail.get("skipped", ())],
        "gone_from_source": detail.get("gone"),
        "left_to_do": list(detail.get("left_to_do", ())),
    }
