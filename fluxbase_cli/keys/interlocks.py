"""The interlocks: rules that keep a key from being destroyed. They are pure functions; each returns its reasons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from fluxbase_cli.counts import worded
from fluxbase_cli.duration import format_duration
from fluxbase_cli.moments import moment_text
from fluxbase_cli.proof.standbys import Standbys
from fluxbase_cli.store.key_records import KeyEvent, KeyRecord
from fluxbase_cli.store.records import Job
from fluxbase_cli.unexamined import Unexamined


@dataclass(frozen=True, slots=True)
class NeededBy:
    """What an audit of one database found for a key.

    Attributes:
        database: the database's name.
        found: values that need the key, by `schema.table.column`.
        undecryptable: values that no key opens, so it is unknown which key they need.
        scanned: all sealed values that were opened or tried, by `schema.table.column`.
        unlisted: columns that only the deep audit found.
    """

    database: str
    found: dict[str, int]
    undecryptable: int
    scanned: dict[str, int] = field(default_factory=dict)
    unlisted: frozenset[str] = frozenset()

    @property
    def total(self) -> int:
        """All values that need the key."""
        return sum(self.found.values())


def on_a_standby(*, standby: bool) -> list[str]:
    """A standby is read-only, and it may not have the latest writes of its primary yet."""
    if not standby:
        return []
    return ["this server is a standby, which is read-only and does not see what its primary writes: use the primary"]


def while_another_is_at_work() -> list[str]:
    """Two processes at the same time would not see each other's changes."""
    return ["another process destroys or disables a key on this database: run this again when it has ended"]


def while_active(version: int, active: int) -> list[str]:
    """The server seals new values under the active key, so that key is always needed."""
    if version != active:
        return []
    return [
        f"version {version} is the active one: first set active_key_version to another version, and restart the server"
    ]


def while_the_server_has_it(version: int, server_version: int | None) -> list[str]:
    """The server seals under the key that it has, even if another version is active."""
    if version != server_version:
        return []
    return [f"the server has the key of version {version}: give it another one (FLUXBASE_ENCRYPTION_KEY) first"]


def while_a_job_is_unfinished(job: Job | None) -> list[str]:
    """A job records the keys that it was begun with, and can't be resumed without one of them."""
    if job is None:
        return []
    return [
        (
            f"job {job.id} ({job.kind.value}) is {job.state.value}: "
            "let it end first (`fluxbase-cli secrets status` shows it)"
        )
    ]


def after_a_job_began(newest: int, now: int) -> list[str]:
    """A job that was begun during the audit may have sealed values that the audit did not see."""
    if newest == now:
        return []
    return ["a job was begun during the audit: run this again when it has ended"]


def while_jobs_run_beside(running: Mapping[str, int]) -> list[str]:
    """A job in a branch or tenant database may be sealing values under the key.

    Args:
        running: the jobs' numbers by database.
    """
    return [f"job {job} is running in database {database}: let it end first" for database, job in running.items()]


def after_it_was_destroyed(record: KeyRecord | None) -> list[str]:
    """Another process has already destroyed the key."""
    if record is None or record.what is not KeyEvent.DESTROYED:
        return []
    return [
        f"it was destroyed meanwhile, by {record.os_user} on {record.host}: run this again to see what is left to do"
    ]


def while_standbys_are_behind(standbys: Standbys, *, skip: bool) -> list[str]:
    """A standby that is behind still has values under the key, and it may become the primary."""
    if skip:
        return []
    return [f"{each} (--skip-standbys continues anyway)" for each in standbys.unexamined]


def while_needed(version: int, censuses: list[NeededBy], *, accept_undecryptable: bool) -> list[str]:
    """Values that open under the key, and undecryptable values."""
    reasons = []
    for census in censuses:
        where = f" of database {census.database}" if len(censuses) > 1 else ""
        listed = {place: number for place, number in census.found.items() if place not in census.unlisted}
        unlisted = {place: number for place, number in census.found.items() if place in census.unlisted}
        if number := sum(listed.values()):
            reasons.append(
                f"{_needing(number, version, where, listed)}: "
                f"`fluxbase-cli secrets re-encrypt --from-version {version}` moves them"
            )
        if number := sum(unlisted.values()):
            reasons.append(
                f"{_needing(number, version, where, unlisted)}, which no release of Fluxbase has: name the place in a "
                "file for --locations, so that re-encrypt moves them, or leave it out there with a reason"
            )
        if census.undecryptable and not accept_undecryptable:
            reasons.append(
                worded(
                    census.undecryptable,
                    f"value{where} opens under no key, and nobody can say which one it needs: ",
                    f"values{where} open under no key, and nobody can say which one they need: ",
                )
                + "look at `fluxbase-cli secrets audit`, or pass --accept-undecryptable"
            )
    return reasons


def _needing(number: int, version: int, where: str, found: Mapping[str, int]) -> str:
    sources = ", ".join(f"{place} {each}" for place, each in found.items() if each)
    return f"{number} {'value opens' if number == 1 else 'values open'} under version {version}{where} ({sources})"


def while_unexamined(unexamined: Iterable[Unexamined]) -> list[str]:
    """Values in unexamined places may need the key."""
    return [f"not examined: {each}" for each in unexamined]


def before_it_is_disabled(version: int, *, disabled: bool) -> list[str]:
    """The key must be disabled before the second step."""
    if disabled:
        return []
    command = f"`fluxbase-cli keys destroy --key-version {version}`"
    return [f"version {version} is not disabled yet: {command} without --confirm does that, --now does both steps"]


def before_it_has_cooled_off(disabled_at: datetime | None, cooling_off: timedelta, now: datetime) -> list[str]:
    """During the cooling-off time, somebody may notice that the key is still needed."""
    if disabled_at is None or now >= disabled_at + cooling_off:
        return []
    end = moment_text(disabled_at + cooling_off)
    length = format_duration(cooling_off)
    return [f"it cools off for {length} since it was disabled, until {end}: wait, or pass --now in an emergency"]


def before_backups_have_passed(
    keep_until: datetime | None, last_needed: datetime | None, horizon: timedelta, now: datetime
) -> list[str]:
    """Backups hold values under the key until the backups are deleted."""
    reasons = []
    if keep_until is not None and now < keep_until:
        reasons.append(f"it must be kept until {moment_text(keep_until)} (--keep-until): wait until then")
    if last_needed is not None and now < last_needed + horizon:
        reasons.append(
            f"backups of the last {format_duration(horizon)} may need it, until {moment_text(last_needed + horizon)} "
            "(security.encryption.key_destruction.backup_horizon): wait until then"
        )
    return reasons


def unless_confirmed(fingerprint: str, confirm: str | None) -> list[str]:
    """The operator must name the key by its fingerprint, so that no other key is destroyed by mistake."""
    if confirm is None or confirm.strip().lower() == fingerprint:
        return []
    return [f"--confirm does not name this key: its fingerprint is {fingerprint}"]
