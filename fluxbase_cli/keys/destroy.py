"""Disables a key or destroys it for good, after a proof that nothing needs it any more.

There are two steps, as in the best key services: first the key is disabled, then, after a cooling-off time, destroyed.
Each step does a new audit and checks every interlock (`fluxbase_cli.keys.interlocks`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from fluxbase_cli.config import EncryptionSettings, Settings
from fluxbase_cli.engine.events import Observer
from fluxbase_cli.engine.further_databases import MAIN
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.keyring import Key, Keyring
from fluxbase_cli.keys import interlocks
from fluxbase_cli.keys.copies import files_with_key
from fluxbase_cli.keys.dates import Dates
from fluxbase_cli.keys.destroy_request import DestroyOutcome, DestroyRequest, Subject
from fluxbase_cli.keys.evidence import Evidence
from fluxbase_cli.keys.history import KeyState, history_over, state_after
from fluxbase_cli.keys.interlocks import NeededBy
from fluxbase_cli.keys.loader import open_keyring
from fluxbase_cli.keys.source_removal import destroy_at_its_place
from fluxbase_cli.keys.sources import KeySources, find_key_sources
from fluxbase_cli.proof.proof import DatabaseProof, Proof, ProofRequest, take_proof
from fluxbase_cli.proof.standbys import RETRY_LIMIT_S, examine_standbys
from fluxbase_cli.store.clock import Clock, ServerClock
from fluxbase_cli.store.connection import Connection, session
from fluxbase_cli.store.databases import Databases
from fluxbase_cli.store.fingerprints import replace_former
from fluxbase_cli.store.jobs import JobStore
from fluxbase_cli.store.key_records import KeyEvent, KeyRecord, KeyRecords
from fluxbase_cli.store.replication import is_standby


@dataclass(frozen=True, slots=True)
class _Attempt:
    """The key, and what was known about it before the audit.

    Attributes:
        sources: which provider keeps which key.
        subject: the key.
        dates: its dates.
        clock: the clock.
        keyring: all keys.
        record: the last event that decides the key's state, if there is one.
        jobs_begun: how many jobs were ever begun.
    """

    sources: KeySources
    subject: Subject
    dates: Dates
    clock: Clock
    keyring: Keyring
    record: KeyRecord | None
    jobs_begun: int


@dataclass(frozen=True, slots=True)
class _InUse:
    """The versions under which the server seals: the active one, and that of the key which it has, if known."""

    active: int
    server: int | None


class Destruction:
    """Performs one request.

    Args:
        settings: the configuration.
        environ: the environment, for providers.
        request: the request of the operator.
        stop: ends an audit early.
        observer: gets the progress of the audit.
        warn: called with warnings for the operator.
        clock: the clock; None means the database server's clock.
        reload: reads the configuration again after the audit, to find the version that is active then.
        ask: called with the key before the audit of a destruction; an error that it raises ends the request.
    """

    def __init__(  # noqa: PLR0913  # everything that a destruction needs
        self,
        settings: Settings,
        environ: Mapping[str, str],
        request: DestroyRequest,
        *,
        stop: Stop,
        observer: Observer,
        warn: Callable[[str], None],
        clock: Clock | None = None,
        reload: Callable[[], Settings] | None = None,
        ask: Callable[[Subject], None] | None = None,
    ) -> None:
        self._ask = ask
        self._settings = settings
        self._environ = environ
        self._request = request
        self._stop = stop
        self._observer = observer
        self._warn = warn
        self._clock = clock
        self._reload = reload

    def run(self) -> DestroyOutcome:
        """Disable or destroy the key, or return the reasons why not.

        Raises:
            ConfigurationError: the key never existed, or its provider can't be reached.
            DatabaseError, PreflightRefusedError: the database can't be used.
        """
        request = self._request
        with session(self._settings.database) as connection:
            history = history_over(connection)
            clock = self._clock or ServerClock(connection)
        sources = find_key_sources(self._settings.encryption, history, self._environ, self._warn)
        last = history.last(request.version)
        if last is not None and last.what is KeyEvent.DESTROYED and self._is_destroyed_key(last, sources):
            return self._destroyed_already(last, sources)
        keyring = open_keyring(self._settings, self._environ, warn=self._warn, gone=self._may_be_absent(last, sources))
        history = history.knowing(keyring.keys)
        subject = self._subject(keyring, sources, history.last(request.version))
        self._request = request = _in_present_form(request, subject, keyring)
        record = history.last(subject.version, subject.fingerprint)
        dates = Dates(history, subject, self._settings.encryption.key_destruction, asked=request.keep_until)
        with session(self._settings.database) as connection:
            attempt = _Attempt(sources, subject, dates, clock, keyring, record, _jobs_begun(connection))
            # The audit takes long, so reasons that are known already are reported before it.
            refusals = self._interlocks(
                connection, attempt, _InUse(keyring.active, self._server(keyring, self._settings.encryption))
            )
        if refusals:
            return self._refused(attempt, refusals)
        if self._ask is not None:
            self._ask(subject)
        return self._prove(attempt)

    def _prove(self, attempt: _Attempt) -> DestroyOutcome:
        """Audit the values, check the standbys, and then do the requested steps."""
        request, version = self._request, attempt.subject.version
        proof = self._take_proof(attempt.keyring)
        if self._stop.requested:
            return self._interrupted(attempt)
        census = tuple(_needed_by(each, version) for each in proof.databases)
        refusals = interlocks.while_needed(version, list(census), accept_undecryptable=request.accept_undecryptable)
        refusals += interlocks.while_unexamined(proof.unexamined)
        running = {each.name: each.running_job for each in proof.databases if each.kind != MAIN and each.running_job}
        refusals += interlocks.while_jobs_run_beside(running)
        if refusals:
            return replace(self._refused(attempt, refusals, census), unexamined=proof.unexamined)
        # The place of the active version may answer slowly, so it is read before the lock is taken. If no version is
        # set as active, it is the newest of all keys, also of those in the database. The keyring knows that.
        now = self._settings.encryption if self._reload is None else self._reload().encryption
        in_use = _InUse(now.active_key_version or attempt.keyring.active, self._server(attempt.keyring, now))
        with session(self._settings.database) as connection:
            evidence = self._evidence(connection, census)
            if self._stop.requested:
                return self._interrupted(attempt)
            skip = request.skip_standbys or not self._second
            refusals = interlocks.while_standbys_are_behind(evidence.standbys, skip=skip)
            if refusals:
                return replace(self._refused(attempt, refusals, census), **evidence.shown())
            JobStore(connection).schema.ensure()
            with KeyRecords(connection).destroying() as locked:
                if not locked:
                    return self._refused(attempt, interlocks.while_another_is_at_work(), census)
                return replace(self._take_steps(connection, attempt, in_use, evidence), **evidence.shown())

    @property
    def _second(self) -> bool:
        """Whether the request asks for the second step: to destroy the key."""
        return self._request.now or self._request.confirm is not None

    @staticmethod
    def _server(keyring: Keyring, encryption: EncryptionSettings) -> int | None:
        """The version of the server's only key, if it is known."""
        return encryption.server_version or keyring.server_version if encryption.is_single else None

    def _interlocks(self, connection: Connection, attempt: _Attempt, in_use: _InUse) -> list[str]:
        """The reasons against the request, except those that come from the values."""
        refusals = interlocks.on_a_standby(standby=is_standby(connection))
        version = attempt.subject.version
        has_it = interlocks.while_the_server_has_it(version, in_use.server)
        refusals += has_it or interlocks.while_active(version, in_use.active)
        jobs = JobStore(connection)
        if jobs.schema.exists():
            refusals += interlocks.while_a_job_is_unfinished(jobs.unfinished())
        if self._second:
            refusals += self._before_the_second_step(attempt.subject, attempt.dates, attempt.clock())
        return refusals

    def _take_steps(
        self, connection: Connection, attempt: _Attempt, in_use: _InUse, evidence: Evidence
    ) -> DestroyOutcome:
        """Record the step and do it, unless something has changed since the audit began."""
        records, subject = KeyRecords(connection), attempt.subject
        detail = evidence.detail(connection, subject, self._request)
        with connection.transaction():
            # A job also takes this lock when it begins. So the second one sees here what the first one has recorded.
            records.hold()
            replace_former(connection, [(key.former_fingerprint, key.fingerprint) for key in attempt.keyring.keys])
            history = history_over(connection)
            record = history.last(subject.version, subject.fingerprint)
            now = replace(attempt, dates=replace(attempt.dates, history=history), record=record)
            refusals = self._interlocks(connection, now, in_use)
            refusals += interlocks.after_a_job_began(attempt.jobs_begun, _jobs_begun(connection))
            refusals += interlocks.after_it_was_destroyed(record)
            disabled_at = now.dates.disabled_at
            if not refusals and (disabled_at is None or (self._request.keep_until is not None and not self._second)):
                self._record(records, KeyEvent.DISABLED, subject, detail)
            if not refusals and self._second:
                # Recorded before the provider removes the key: if it is absent later, this event explains why.
                self._record(records, KeyEvent.DESTROYING, subject, detail)
        if refusals:
            return self._refused(now, refusals, evidence.census)
        if not self._second:
            return replace(
                self._refused(now, [], evidence.census),
                state=KeyState.DISABLED,
                not_before=now.dates.not_before(disabled_at or attempt.clock()),
            )
        gone, left = destroy_at_its_place(connection, attempt.sources, subject.entry)
        left += self._copies(attempt.keyring, subject, gone=gone)
        self._record(records, KeyEvent.DESTROYED, subject, {**detail, "gone": gone, "left_to_do": list(left)})
        return DestroyOutcome(
            subject.version,
            subject.fingerprint,
            subject.source,
            KeyState.DESTROYED,
            census=evidence.census,
            left_to_do=left,
            gone=gone,
        )

    def _copies(self, keyring: Keyring, subject: Subject, *, gone: bool) -> tuple[str, ...]:
        """What is left to do about files that still hold the key."""
        if subject.version not in keyring.versions:
            # It was removed by hand before, so it is not known any more.
            return ()
        # `left_to_do` already names a key that was left in its source. A source in a file begins with the file's name.
        named = None if gone else Path(os.path.realpath(subject.source.partition(": ")[0]))
        return tuple(
            f"remove the key from {path}, or the file: it still holds the key"
            for path in files_with_key(self._settings, keyring.key(subject.version).secret)
            if path != named
        )

    def _record(self, records: KeyRecords, what: KeyEvent, subject: Subject, detail: Mapping[str, Any]) -> None:
        records.add(what, subject.version, subject.fingerprint, reason=self._request.reason, detail=detail)

    def _evidence(self, connection: Connection, census: tuple[NeededBy, ...]) -> Evidence:
        """The audits, and the positions of the standbys after them. Before the second step, wait for them to catch up.

        The wait ends after `RETRY_LIMIT_S`.
        """
        databases = [each.database for each in census]
        retry_limit_s = RETRY_LIMIT_S if self._second and not self._request.skip_standbys else 0.0
        return Evidence(
            census, examine_standbys(connection, databases=databases, stop=self._stop, retry_limit_s=retry_limit_s)
        )

    def _may_be_absent(self, last: KeyRecord | None, sources: KeySources) -> frozenset[int]:
        # If somebody removed the key by hand after it was disabled, it can still be recorded as destroyed.
        if last is None or self._request.version not in sources.entries:
            return frozenset()
        return frozenset({self._request.version})

    def _is_destroyed_key(self, last: KeyRecord, sources: KeySources) -> bool:
        """Whether the request is for the destroyed key, and not for a newer key with the same version."""
        if self._request.version not in sources.entries:
            return True
        entry = sources.entry(self._request.version)
        try:
            ring = open_keyring(
                replace(
                    self._settings,
                    encryption=replace(sources.encryption, keys=(entry,), active_key_version=None, kms_key_id=None),
                ),
                self._environ,
                warn=self._warn,
                check_pins=False,
            )
        except ConfigurationError:
            return True
        return ring.key(entry.version).has_fingerprint(last.fingerprint)

    def _subject(self, keyring: Keyring, sources: KeySources, last: KeyRecord | None) -> Subject:
        version = self._request.version
        if version in keyring.versions:
            key: Key = keyring.key(version)
            entry = sources.entry(version)
            return Subject(version, key.fingerprint, key.provider, sources.source(entry), entry)
        if last is None:
            sources.entry(version)
            keyring.key(version)
        assert last is not None  # noqa: S101  # both lines above raise otherwise
        known = sources.entries.get(version)
        if known is not None:
            return Subject(version, last.fingerprint, known.provider, sources.source(known), known)
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

    def _take_proof(self, keyring: Keyring) -> Proof:
        """Open all values again, in all databases and all columns that are not skipped on purpose."""
        request = self._request
        return take_proof(
            self._settings.database,
            keyring,
            ProofRequest(
                limits=request.limits,
                databases=Databases.MAIN if request.skip_copies else Databases.ALL,
                deep=not request.skip_deep,
                scope=request.scope,
                workers=request.workers,
                wait_s=request.wait_s,
            ),
            stop=self._stop,
            observer=self._observer,
        )

    def _destroyed_already(self, last: KeyRecord, sources: KeySources) -> DestroyOutcome:
        entry = sources.entries.get(last.version)
        left = () if entry is None else (f"the entry at {entry.source} can be removed from the configuration",)
        source = str(last.detail.get("source", ""))
        return DestroyOutcome(last.version, last.fingerprint, source, KeyState.DESTROYED, already=True, left_to_do=left)

    def _interrupted(self, attempt: _Attempt) -> DestroyOutcome:
        return replace(self._refused(attempt, []), interrupted=self._stop.signal or 2)

    @staticmethod
    def _refused(attempt: _Attempt, refusals: list[str], census: tuple[NeededBy, ...] = ()) -> DestroyOutcome:
        subject, record = attempt.subject, attempt.record
        state = KeyState.ENABLED if record is None else state_after(record.what)
        return DestroyOutcome(
            subject.version, subject.fingerprint, subject.source, state, refusals=tuple(refusals), census=census
        )


def _in_present_form(request: DestroyRequest, subject: Subject, keyring: Keyring) -> DestroyRequest:
    """The request, with the key's present fingerprint where the operator gave the former one, from an older ticket."""
    confirm = (request.confirm or "").strip().lower()
    if subject.version in keyring.versions and keyring.key(subject.version).has_fingerprint(confirm):
        return replace(request, confirm=subject.fingerprint)
    return request


def _needed_by(proof: DatabaseProof, version: int) -> NeededBy:
    locations = proof.census.locations
    return NeededBy(
        proof.name,
        {location: found.by_version.get(version, 0) for location, found in locations.items()},
        proof.census.undecryptable,
        {location: found.scanned for location, found in locations.items()},
        proof.unlisted,
    )


def _jobs_begun(connection: Connection) -> int:
    return KeyRecords(connection).jobs_begun() if JobStore(connection).schema.exists() else 0
