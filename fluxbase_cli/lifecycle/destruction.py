"""Disabling a key, and destroying it for good, with proof that nothing needs it any more.

Two steps, as the best key services have them: first the key is disabled, then, after a cooling-off time, destroyed.
Each step takes a fresh census of its own and looks at every interlock (`fluxbase_cli.lifecycle.interlocks`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from fluxbase_cli.config import DatabaseSettings, Settings
from fluxbase_cli.engine.census import list_copies, take_census
from fluxbase_cli.engine.observer import Observer
from fluxbase_cli.engine.outcome import CensusReport
from fluxbase_cli.engine.stopping import Stop
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.keyring import Key, Keyring
from fluxbase_cli.lifecycle import interlocks
from fluxbase_cli.lifecycle.dates import Dates
from fluxbase_cli.lifecycle.interlocks import NeededBy
from fluxbase_cli.lifecycle.opening import open_keyring
from fluxbase_cli.lifecycle.places import Places, find_places
from fluxbase_cli.lifecycle.register import KeyState, register_over
from fluxbase_cli.lifecycle.removal import destroy_at_its_place
from fluxbase_cli.lifecycle.request import DestroyOutcome, DestroyRequest, Subject
from fluxbase_cli.store.clock import Clock, ServerClock
from fluxbase_cli.store.connect import Connection, session
from fluxbase_cli.store.jobs import JobStore
from fluxbase_cli.store.key_records import KeyEvent, KeyRecord, KeyRecords


class Destruction:
    """Carries out one request.

    Args:
        settings: what is configured.
        environ: the environment, for providers.
        request: what is asked for.
        stop: ends a census early.
        observer: is told of its progress.
        warn: is called with what an operator should know.
        clock: what time it is; the database server's when left out.
    """

    def __init__(  # noqa: PLR0913  # what a destruction is told
        self,
        settings: Settings,
        environ: Mapping[str, str],
        request: DestroyRequest,
        *,
        stop: Stop,
        observer: Observer,
        warn: Callable[[str], None],
        clock: Clock | None = None,
    ) -> None:
        self._settings = settings
        self._environ = environ
        self._request = request
        self._stop = stop
        self._observer = observer
        self._warn = warn
        self._clock = clock

    def run(self) -> DestroyOutcome:
        """Disable the key, or destroy it; or say why not.

        Raises:
            ConfigurationError: there never was such a key, or its provider can't be asked.
            DatabaseError, PreflightRefusedError: the database can't be asked.
        """
        request = self._request
        with session(self._settings.database) as connection:
            register = register_over(connection)
            clock = self._clock or ServerClock(connection)
        places = find_places(self._settings.encryption, register, self._environ, self._warn)
        last = register.last(request.version)
        if last is not None and last.what is KeyEvent.DESTROYED and self._was_the_last(last, places):
            return self._destroyed_already(last, places)
        keyring = open_keyring(
            self._settings, self._environ, warn=self._warn, gone=self._known_to_be_gone(last, places)
        )
        subject = self._subject(keyring, places, last)
        record = register.last(subject.version, subject.fingerprint)
        dates = Dates(register, subject, self._settings.encryption.key_destruction, asked=request.keep_until)
        disabled_at = dates.disabled_at
        second = request.now or request.confirm is not None

        refusals = interlocks.while_active(subject.version, keyring.active)
        with session(self._settings.database) as connection:
            jobs = JobStore(connection)
            newest = 0
            if jobs.exists():
                refusals += interlocks.while_a_job_is_unfinished(jobs.unfinished())
                newest = KeyRecords(connection).newest_job()
        if second:
            refusals += self._before_the_second_step(subject, dates, clock())
        # The census takes its time, so what is refused anyway is told before it.
        if refusals:
            return self._refused(subject, record, tuple(refusals))
        census = self._censuses(keyring)
        if self._stop.requested:
            return replace(self._refused(subject, record, ()), interrupted=self._stop.signal or 2)
        refusals = interlocks.while_needed(subject.version, census, accept_undecryptable=request.accept_undecryptable)
        if refusals:
            return self._refused(subject, record, tuple(refusals), tuple(census))
        with session(self._settings.database) as connection:
            JobStore(connection).ensure_schema()
            if disabled_at is None or (request.keep_until is not None and not second):
                self._disable(connection, subject, census)
                disabled_at = disabled_at or clock()
                # From here on no job can begin to seal under it. One that began during the census is seen now.
                refusals = self._job_meanwhile(connection, newest)
            if refusals or not second:
                state = KeyState.DISABLED
                return replace(
                    self._refused(subject, record, tuple(refusals), tuple(census)),
                    state=state,
                    not_before=dates.not_before(disabled_at),
                )
            return self._destroy(connection, places, subject, tuple(census))

    def _known_to_be_gone(self, last: KeyRecord | None, places: Places) -> frozenset[int]:
        # A key that somebody has removed by hand after it was disabled can still be recorded as destroyed.
        if last is None or self._request.version not in places.entries:
            return frozenset()
        return frozenset({self._request.version})

    def _was_the_last(self, last: KeyRecord, places: Places) -> bool:
        """Whether the destroyed key is the one asked for, and not an earlier one of the same version."""
        if self._request.version not in places.entries:
            return True
        entry = places.entry(self._request.version)
        try:
            ring = open_keyring(
                replace(
                    self._settings,
                    encryption=replace(places.encryption, keys=(entry,), active_key_version=None, kms_key_id=None),
                ),
                self._environ,
                warn=self._warn,
            )
        except ConfigurationError:
            return True
        return ring.key(entry.version).fingerprint == last.fingerprint

    def _subject(self, keyring: Keyring, places: Places, last: KeyRecord | None) -> Subject:
        version = self._request.version
        if version in keyring.versions:
            key: Key = keyring.key(version)
            entry = places.entry(version)
            return Subject(version, key.fingerprint, key.provider, places.source(entry), entry)
        if last is None:
            places.entry(version)
            keyring.key(version)
        assert last is not None  # noqa: S101  # both lines above raise otherwise
        known = places.entries.get(version)
        if known is not None:
            return Subject(version, last.fingerprint, known.provider, places.source(known), known)
        provider, source = str(last.detail.get("provider", "")), str(last.detail.get("source", ""))
        return Subject(version, last.fingerprint, provider, source, None)

    def _before_the_second_step(self, subject: Subject, dates: Dates, now: datetime) -> list[str]:
        request, limits, disabled_at = self._request, dates.limits, dates.disabled_at
        refusals = interlocks.unless_confirmed(subject.fingerprint, request.confirm)
        if not request.now:
            refusals += interlocks.before_it_is_disabled(subject.version, disabled=disabled_at is not None)
            refusals += interlocks.before_it_has_cooled_off(disabled_at, limits.cooling_off, now)
        refusals += interlocks.before_backups_have_passed(
            dates.keep_until,
            dates.last_needed(disabled_at, now) if limits.backup_horizon else None,
            limits.backup_horizon,
            now,
        )
        return refusals

    def _censuses(self, keyring: Keyring) -> list[NeededBy]:
        """A fresh census of the database, and of those beside it that hold copies."""
        main = self._settings.database
        censuses = [self._census(main, keyring)]
        for name in () if self._request.skip_copies else list_copies(main):
            if self._stop.requested:
                break
            beside = main.beside(name)
            try:
                censuses.append(self._census(beside, keyring))
            except ConfigurationError as error:
                # A branch that was dropped and is still listed, or a tenant's database of foreign tables only.
                self._warn(f"database {name} holds no values to look at ({error.message})")
        return censuses

    def _census(self, database: DatabaseSettings, keyring: Keyring) -> NeededBy:
        report = take_census(
            database,
            keyring,
            key_version=None,
            limits=self._request.limits,
            workers=self._request.workers,
            stop=self._stop,
            observer=self._observer,
        )
        return _needed_by(database, report, self._request.version)

    def _job_meanwhile(self, connection: Connection, newest: int) -> list[str]:
        if KeyRecords(connection).newest_job() == newest:
            return []
        return ["a job was begun during the census: run this again when it has come to its end"]

    def _disable(self, connection: Connection, subject: Subject, census: list[NeededBy]) -> None:
        keep_until = self._request.keep_until
        KeyRecords(connection).add(
            KeyEvent.DISABLED,
            subject.version,
            subject.fingerprint,
            reason=self._request.reason,
            detail={
                "provider": subject.provider,
                "source": subject.source,
                "census": _recorded(census),
                "keep_until": None if keep_until is None else keep_until.isoformat(),
            },
        )

    def _destroy(
        self, connection: Connection, places: Places, subject: Subject, census: tuple[NeededBy, ...]
    ) -> DestroyOutcome:
        records = KeyRecords(connection)
        detail = {"provider": subject.provider, "source": subject.source, "census": _recorded(census)}
        # Before the provider is asked: who finds the key gone, finds out here why.
        records.add(
            KeyEvent.DESTROYING, subject.version, subject.fingerprint, reason=self._request.reason, detail=detail
        )
        gone, left = destroy_at_its_place(connection, places, subject.entry)
        records.add(
            KeyEvent.DESTROYED,
            subject.version,
            subject.fingerprint,
            reason=self._request.reason,
            detail={**detail, "gone": gone, "left_to_do": list(left)},
        )
        return DestroyOutcome(
            subject.version,
            subject.fingerprint,
            subject.source,
            KeyState.DESTROYED,
            census=census,
            left_to_do=left,
            gone=gone,
        )

    def _destroyed_already(self, last: KeyRecord, places: Places) -> DestroyOutcome:
        entry = places.entries.get(last.version)
        left = () if entry is None else (f"the entry at {entry.source} can go from the configuration",)
        source = str(last.detail.get("source", ""))
        return DestroyOutcome(last.version, last.fingerprint, source, KeyState.DESTROYED, already=True, left_to_do=left)

    @staticmethod
    def _refused(
        subject: Subject, record: KeyRecord | None, refusals: tuple[str, ...], census: tuple[NeededBy, ...] = ()
    ) -> DestroyOutcome:
        state = KeyState.ENABLED
        if record is not None and record.what in (KeyEvent.DISABLED, KeyEvent.DESTROYING):
            state = KeyState.DISABLED
        return DestroyOutcome(
            subject.version, subject.fingerprint, subject.source, state, refusals=refusals, census=census
        )


def _needed_by(database: DatabaseSettings, report: CensusReport, version: int) -> NeededBy:
    return NeededBy(
        database.name,
        {location: census.by_version.get(version, 0) for location, census in report.locations.items()},
        report.undecryptable,
    )


def _recorded(census: list[NeededBy] | tuple[NeededBy, ...]) -> list[dict[str, Any]]:
    return [{"database": each.database, "found": each.total, "undecryptable": each.undecryptable} for each in census]
