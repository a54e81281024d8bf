"""One rotation, step by step, each recorded before the next begins: whoever goes on after a crash knows what was done.

    key         choose the version and write it down, make the key where keys are kept, read it back
    activate    make it active in fluxbase.yaml or where that points, or wait until somebody has
    reload      run `reload_command`, so that servers know both keys before the first value is sealed under the new one
    re-encrypt  the engine's job, which goes on by itself
    census      open every value once more
    retention   disable and destroy what is beyond retention

A step that was begun and not recorded to its end is begun again, and finds what it did: a key at its place, a file that
names the version, a job that is completed. Only `reload_command` may run twice: nobody can know whether it had ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

import psycopg

from fluxbase_cli.config import Settings
from fluxbase_cli.engine.databases import DatabasesRun, prepare_databases
from fluxbase_cli.engine.events import NullObserver
from fluxbase_cli.engine.goal import Goal
from fluxbase_cli.engine.outcome import CensusReport, JobReport
from fluxbase_cli.engine.request import JobRequest
from fluxbase_cli.errors import ConfigurationError, DatabaseError, FluxbaseCliError, JobFailedError
from fluxbase_cli.keyring import Keyring
from fluxbase_cli.keys.active_version import move_pointer
from fluxbase_cli.keys.target_check import target_check
from fluxbase_cli.notifications.message import NotificationType
from fluxbase_cli.notifications.outbox import Outbox
from fluxbase_cli.notifications.progress import ProgressNotifications, Several
from fluxbase_cli.proof.proof import ProofRequest, take_proof
from fluxbase_cli.rotation.clock import RotationClock
from fluxbase_cli.rotation.context import Moment, RotationContext
from fluxbase_cli.rotation.due import due, known_since
from fluxbase_cli.rotation.lock import RotationLock
from fluxbase_cli.rotation.metrics import Figures
from fluxbase_cli.rotation.next_key import NextKey, open_ring
from fluxbase_cli.rotation.outcome import RotationReport
from fluxbase_cli.rotation.policy import read_policy
from fluxbase_cli.rotation.reload import reload_servers
from fluxbase_cli.rotation.retention import KeyRetirement, Retired, beyond_retention
from fluxbase_cli.rotation.schedule import DueDecision
from fluxbase_cli.rotation.yaml_edit import CantEditError, Change, edit_file
from fluxbase_cli.store.connection import first_line
from fluxbase_cli.store.databases import Databases
from fluxbase_cli.store.records import JobKind
from fluxbase_cli.store.rotations import (
    Retirement,
    RotationRecord,
    RotationState,
    RotationStep,
)

_MOST_PLACES = 50


class _Interrupted(Exception):  # noqa: N818  # no error
    """A signal asked for an end."""


class _Waiting(Exception):  # noqa: N818  # no error
    """A person must do something first.

    Args:
        what: what is waited for, a sentence.
        lines: what to do.
    """

    def __init__(self, what: str, lines: list[str]) -> None:
        super().__init__(what)
        self.what = what
        self.lines = lines


class Rotator:
    """Runs rotations on one database.

    Args:
        context: what it is given.
        clock: what time it is; made from `context` when left out.
    """

    def __init__(self, context: RotationContext, clock: RotationClock | None = None) -> None:
        self._context = context
        self._clock = clock or RotationClock(context.clock)
        self._settings = context.load()
        self._policy = read_policy(self._settings.encryption.key_rotation)
        self._lock = RotationLock(self._settings.database)
        self._keys: tuple[Settings, Keyring] | None = None
        self._outbox = Outbox(
            context.notifier(self._policy.webhook), database=self._settings.database.describe(), clock=self._clock
        )
        self._report = RotationReport("not-due", DueDecision(due=False, why=""))
        self._figures = Figures(self._clock(), succeeded=False)
        self._ended = False

    def run(self, *, force: bool = False) -> RotationReport:
        """Go on with the unfinished rotation, or begin one if it is due; retire keys that are beyond retention.

        Args:
            force: begin one now, whatever the schedule says.

        Raises:
            JobRunningError: another process runs a rotation, or a job.
            FluxbaseCliError: a step failed; that is recorded and told, and the next run goes on with it.
        """
        started = time.monotonic()
        try:
            self._run(force=force)
            self._ended = True
        except psycopg.Error as error:
            raise DatabaseError(
                f"{self._settings.database.describe()}: {type(error).__name__}: {first_line(error)}",
                hint="What was recorded stays; the next run goes on from there.",
            ) from None
        finally:
            self._close()
            self._report = replace(
                self._report,
                elapsed_seconds=time.monotonic() - started,
                undelivered=self._outbox.failures,
                next=self._next(),
            )
        return self._report

    @property
    def figures(self) -> Figures:
        """The figures for Prometheus after a run, also where it raised."""
        return replace(self._figures, undelivered=len(self._outbox.failures))

    @property
    def report(self) -> RotationReport:
        """The account so far, also where `run` raised."""
        return self._report

    # --- one run --------------------------------------------------------------------------------------------------

    def _run(self, *, force: bool) -> None:
        self._lock.store().ensure()
        self._clock.follow(self._lock.server_clock())
        self._outbox.send_pending(self._lock.store())
        if self._lock.store().open_retirements():
            self._key_retirement().finish_begun(self._lock.store(), self._lock.history())
        rotation = self._unfinished()
        if rotation is None:
            decision = self._verdict(force=force)
            self._report = replace(self._report, decision=decision)
            if not decision.due:
                if self._policy.enabled:
                    self._report = replace(self._report, retired=self._retire(None))
                return
            try:
                rotation = self._begin(decision, force=force)
            except FluxbaseCliError as error:
                self._outbox.send_now(
                    NotificationType.FAILED, f"No rotation could begin: {error.message}", {"reason": error.message}
                )
                raise
        else:
            self._report = replace(
                self._report, decision=DueDecision(due=True, why=f"rotation {rotation.id} is unfinished")
            )
        self._outbox.about(rotation.id)
        self._report = replace(self._report, rotation=rotation.id, from_version=rotation.from_version)
        try:
            self._go_on(rotation)
        except _Interrupted:
            self._report = replace(self._report, state="interrupted", signal=self._context.stop.signal)
        except _Waiting as waiting:
            self._wait(rotation, waiting)
        except FluxbaseCliError as error:
            self._fail(rotation, error.message)
            raise
        except Exception as error:
            # Its text may quote anything; its type may not.
            self._fail(rotation, f"unexpected {type(error).__name__}")
            raise

    def _unfinished(self) -> RotationRecord | None:
        """The rotation to go on with. One that was rolled back from is given up: its key may be known to somebody."""
        rotation = self._lock.store().unfinished()
        if rotation is None or rotation.to_version is None:
            return rotation
        rollback = self._lock.store().rollback_since(after=rotation.newest_job, version=rotation.to_version)
        if rollback is None:
            return rotation
        self._lock.store().end(rotation.id, RotationState.ABANDONED, self._clock())
        self._context.warn(
            f"rotation {rotation.id} to version {rotation.to_version} is given up: job {rollback} rolled back from it"
        )
        return None

    def _verdict(self, *, force: bool) -> DueDecision:
        if force:
            return DueDecision(due=True, why="it was asked for (--force)")
        return due(self._policy, self._settings, self._lock.history(), self._lock.store(), self._clock())

    def _begin(self, decision: DueDecision, *, force: bool) -> RotationRecord:
        active = self._settings.encryption.effective_key_version
        ring = self._ring(self._settings)
        from_version = ring.active if active is None else active
        # Found out before anything is recorded: where no key can be had, no rotation begins.
        version = self._new_key(self._settings).choose()
        now, store = self._clock(), self._lock.store()
        with store.transaction():
            rotation = store.begin(
                from_version=from_version, forced=force, due_at=decision.date, newest_job=store.newest_job(), now=now
            )
            store.choose_version(rotation.id, version)
            self._outbox.about(rotation.id)
            self._outbox.enqueue(
                store,
                NotificationType.STARTED,
                f"Rotation {rotation.id} from key version {from_version} to {version} has begun",
                {"from_version": from_version, "to_version": version, "reason": decision.why},
            )
        self._outbox.send()
        return replace(rotation, to_version=version)

    def _go_on(self, rotation: RotationRecord) -> None:
        assert rotation.to_version is not None  # noqa: S101  # chosen in the transaction that began it
        version = rotation.to_version
        self._report = replace(self._report, to_version=version)
        self._context.tell(f"Rotation {rotation.id}: from key version {rotation.from_version} to {version}")
        done = self._lock.store().steps(rotation.id)
        details: dict[RotationStep, Mapping[str, Any]] = {}
        for step, work in (
            (RotationStep.KEY, self._key),
            (RotationStep.ACTIVATE, self._activate),
            (RotationStep.RELOAD, self._reload),
            (RotationStep.RE_ENCRYPT, self._re_encrypt),
            (RotationStep.CENSUS, self._census),
            (RotationStep.RETENTION, self._retention),
        ):
            record = done.get(step)
            if record is None or record.finished_at is None:
                details[step] = self._step(rotation, step, partial(work, rotation, version, details))
            else:
                details[step] = record.detail
            if step is RotationStep.ACTIVATE:
                self._refuse_changed_back(version)
        self._finish(rotation, version, details)

    def _refuse_changed_back(self, version: int) -> None:
        active = self._settings.encryption.effective_key_version
        if active != version:
            raise _Waiting(
                f"version {active} is active, and this rotation had made version {version} active",
                [
                    f"Set active_key_version to {version} to go on.",
                    f"To go back for good: `fluxbase-cli secrets rollback --to-version {active} --reason …`.",
                ],
            )

    def _step(
        self, rotation: RotationRecord, step: RotationStep, work: Callable[[], Mapping[str, Any]]
    ) -> Mapping[str, Any]:
        if self._context.stop.requested:
            raise _Interrupted
        self._lock.store().begin_step(rotation.id, step, self._clock())
        self._context.listener(step, Moment.BEGUN)
        detail = work()
        self._context.listener(step, Moment.DONE)
        self._lock.store().end_step(rotation.id, step, self._clock(), detail)
        self._context.listener(step, Moment.RECORDED)
        self._outbox.record_results(self._lock.store())
        return detail

    # --- the steps ------------------------------------------------------------------------------------------------

    def _key(self, _rotation: RotationRecord, version: int, _details: object) -> Mapping[str, Any]:
        stored = self._new_key(self._settings).make(version)
        self._context.tell(f"✓ Key version {version} (fingerprint {stored.fingerprint}) is at {stored.source}")
        return {
            "fingerprint": stored.fingerprint,
            "provider": stored.provider,
            "source": stored.source,
            "setting": {} if stored.configured else dict(stored.setting),
        }

    def _activate(
        self, _rotation: RotationRecord, version: int, details: Mapping[RotationStep, Mapping[str, Any]]
    ) -> Mapping[str, Any]:
        fingerprint = str(details[RotationStep.KEY]["fingerprint"])
        settings = self._context.load()
        how = "by hand"
        if settings.encryption.effective_key_version != version:
            setting = dict(details[RotationStep.KEY]["setting"])
            how = "in the file" if settings.encryption.active_pointer is None else "where the file points"
            if settings.encryption.active_pointer is None:
                self._edit(settings, Change(version, setting))
            else:
                # The entry comes first: who follows the pointer must find the key.
                if setting:
                    self._edit(settings, Change(version, setting, activate=False))
                move_pointer(settings, self._context.environ, version, warn=self._context.warn)
            settings = self._context.load()
        if settings.encryption.effective_key_version != version:
            raise _Waiting(
                f"{settings.config_file} names version {version}, and version "
                f"{settings.encryption.effective_key_version} is active all the same",
                ["Does FLUXBASE_SECURITY_ENCRYPTION_ACTIVE_KEY_VERSION set it? Set that to the new version."],
            )
        key = self._ring(settings).key(version)
        if key.fingerprint != fingerprint:
            raise ConfigurationError(
                f"the key of version {version} at {key.source} has the fingerprint {key.fingerprint}, and the new key "
                f"has {fingerprint}",
                hint="Correct its entry in security.encryption.keys.",
            )
        self._settings = settings
        self._context.tell(f"✓ Key version {version} is active")
        return {"how": how}

    def _edit(self, settings: Settings, change: Change) -> None:
        if settings.config_file is None:
            raise _Waiting(
                f"key version {change.version} is to be made active: there is no fluxbase.yaml", _by_hand(change)
            )
        try:
            backup = edit_file(settings.config_file, change)
        except CantEditError as error:
            raise _Waiting(
                f"key version {change.version} is to be made active in {settings.config_file} by you: {error}",
                _by_hand(change),
            ) from None
        if backup is not None:
            self._context.tell(f"✓ Changed {settings.config_file} (as it was: {backup.name})")

    def _reload(self, _rotation: RotationRecord, _version: int, _details: object) -> Mapping[str, Any]:
        command = self._policy.reload_command
        if not command:
            self._context.warn(
                "no reload_command is configured: servers that are not restarted do not know the new key, and can't "
                "read what is sealed under it"
            )
            return {"command": None}
        seconds = reload_servers(command, self._context.environ)
        self._context.tell(f"✓ Ran {command[0]}")
        return {"command": command[0], "seconds": round(seconds, 3)}

    def _re_encrypt(self, rotation: RotationRecord, version: int, _details: object) -> Mapping[str, Any]:
        if not self._policy.auto_reencrypt:
            self._context.tell(
                f"Values stay under their keys (auto_reencrypt is off): "
                f"`fluxbase-cli secrets re-encrypt --to-version {version}` moves them"
            )
            return {"job": None}
        completed = self._lock.store().completed_job(after=rotation.newest_job, version=version)
        if completed is not None and self._context.databases is Databases.MAIN:
            return {"job": completed}
        request = JobRequest(
            JobKind.RE_ENCRYPT,
            Goal(version),
            limits=self._context.limits,
            workers=self._context.workers,
            catalogue=self._context.scope.catalogue,
        )
        keyring, database = self._ring(self._settings), self._settings.database
        targets = prepare_databases(database, keyring, request, self._context.databases, NullObserver())
        for warning in targets.warnings:
            self._context.warn(warning)
        observer = Several(self._context.observer, ProgressNotifications(self._outbox.send_now))
        check = target_check(self._settings, self._context.environ, keyring.key(version), warn=self._context.warn)
        everywhere = DatabasesRun(
            keyring, targets, request, stop=self._context.stop, observer=observer, before_begin=check
        ).run()
        report = everywhere.together
        self._report = replace(self._report, job=report.job, rate_per_second=report.rate_per_second)
        if report.state == "interrupted":
            raise _Interrupted
        if report.state != "completed":
            raise JobFailedError(
                f"job {report.job} failed: {report.error}", hint="The rotation goes on from here when it is run again."
            )
        self._context.tell(
            f"✓ Re-encrypted {report.total.re_encrypted} of {report.total.scanned} secrets (job {report.job})"
        )
        return _job_detail(report)

    def _census(self, _rotation: RotationRecord, version: int, _details: object) -> Mapping[str, Any]:
        proof = take_proof(
            self._settings.database,
            self._ring(self._settings),
            ProofRequest(
                limits=self._context.limits,
                databases=self._context.databases,
                scope=self._context.scope,
                workers=self._context.workers,
            ),
            stop=self._context.stop,
            observer=NullObserver(),
        )
        census = proof.together
        if self._context.stop.requested:
            # Half a census proves nothing.
            raise _Interrupted
        if proof.unexamined:
            raise _Waiting(
                "the audit could not examine everything, so nobody knows whether all values are moved",
                [f"not examined: {each}" for each in proof.unexamined],
            )
        left = sum(number for each, number in census.by_version.items() if each != version)
        self._context.tell(
            f"✓ Opened {census.scanned} secrets: {census.by_version.get(version, 0)} under version {version}, "
            f"{left} under others"
        )
        if left and self._policy.auto_reencrypt:
            self._context.warn(f"{left} secrets are under older versions again: a server still seals with an old key")
        if census.undecryptable:
            self._context.warn(
                f"{census.undecryptable} secrets open under no key and were left as they are: "
                "`fluxbase-cli secrets audit` lists them"
            )
        return _census_detail(census)

    def _retention(self, rotation: RotationRecord, _version: int, _details: object) -> Mapping[str, Any]:
        retired = self._retire(rotation.id)
        self._report = replace(self._report, retired=retired)
        return {"versions": [each.version for each in retired if not each.refusals]}

    def _finish(
        self, rotation: RotationRecord, version: int, details: Mapping[RotationStep, Mapping[str, Any]]
    ) -> None:
        census, job = details[RotationStep.CENSUS], details[RotationStep.RE_ENCRYPT]
        undecryptable = int(census["undecryptable"])
        self._report = replace(
            self._report,
            job=job.get("job"),
            re_encrypted=job.get("re_encrypted"),
            by_version={int(each): int(number) for each, number in census["by_version"].items()},
            undecryptable=undecryptable,
        )
        now, store = self._clock(), self._lock.store()
        with store.transaction():
            store.end(rotation.id, RotationState.FINISHED, now)
            if undecryptable:
                self._outbox.enqueue(
                    store,
                    NotificationType.UNDECRYPTABLE,
                    f"{undecryptable} values can't be opened with any key; they are left as they are",
                    {"undecryptable": undecryptable, "values": census["values"]},
                )
            self._outbox.enqueue(
                store,
                NotificationType.FINISHED,
                f"Rotation {rotation.id} to key version {version} is finished",
                {
                    "from_version": rotation.from_version,
                    "to_version": version,
                    "fingerprint": details[RotationStep.KEY]["fingerprint"],
                    "job": job.get("job"),
                    **({"re_encrypted": job["re_encrypted"]} if "re_encrypted" in job else {}),
                    "by_version": census["by_version"],
                    "undecryptable": undecryptable,
                    "elapsed_seconds": max(0.0, (now - rotation.started_at).total_seconds()),
                },
            )
        self._outbox.send()
        self._report = replace(self._report, state="finished")

    # --- keys beyond retention ------------------------------------------------------------------------------------

    def _retire(self, rotation: int | None) -> tuple[Retired, ...]:
        retired: list[Retired] = []
        tried: set[tuple[int, Retirement]] = set()
        while self._policy.retain_old_keys is not None and not self._context.stop.requested:
            history = self._lock.history()
            keyring = self._ring(self._settings)
            beyond = beyond_retention(
                keyring, history, self._settings, active=keyring.active, retain=self._policy.retain_old_keys
            )
            now = self._clock()
            nearest = next(
                (each for each in beyond if each.is_due(now) and (each.version, each.action) not in tried), None
            )
            if nearest is None:
                break
            tried.add((nearest.version, nearest.action))
            result = self._key_retirement().retire(self._lock.store(), nearest, rotation)
            retired.append(result)
            for refusal in result.refusals:
                self._context.warn(f"key version {result.version} is kept: {refusal}")
        return tuple(retired)

    def _key_retirement(self) -> KeyRetirement:
        return KeyRetirement(
            self._settings,
            self._context.environ,
            stop=self._context.stop,
            outbox=self._outbox,
            warn=self._context.warn,
            clock=self._clock,
            reload=self._context.load,
            scope=self._context.scope,
        )

    # --- ends -----------------------------------------------------------------------------------------------------

    def _wait(self, rotation: RotationRecord, waiting: _Waiting) -> None:
        self._report = replace(self._report, state="waiting")
        # Whoever asks every hour is not told every hour.
        if rotation.error != waiting.what:
            self._lock.store().set_error(rotation.id, waiting.what)
            self._outbox.send_now(NotificationType.WAITING, f"Waiting: {waiting.what}", {"reason": waiting.what})
        self._context.warn("\n".join([waiting.what, *waiting.lines]))
        self._context.tell("The rotation goes on from here when it is run again.")

    def _fail(self, rotation: RotationRecord, message: str) -> None:
        try:
            store = self._lock.store()
            with store.transaction():
                store.set_error(rotation.id, message)
                self._outbox.enqueue(
                    store,
                    NotificationType.FAILED,
                    f"Rotation {rotation.id} failed: {message}",
                    {"reason": message, **({} if rotation.to_version is None else {"to_version": rotation.to_version})},
                )
        except (FluxbaseCliError, psycopg.Error):
            # The database may be what failed. It is told all the same, and not kept.
            self._outbox.send_now(
                NotificationType.FAILED, f"Rotation {rotation.id} failed: {message}", {"reason": message}
            )
        else:
            self._outbox.send()

    def _close(self) -> None:
        self._outbox.close()
        try:
            # Who never had the lock has nothing to record.
            if self._lock.was_taken:
                self._outbox.record_results(self._lock.store())
                self._figures = self._look_back()
        except (FluxbaseCliError, psycopg.Error):
            self._context.warn("what has become of the notifications could not be recorded: the database is away")
        finally:
            self._lock.release()
        for failure in self._outbox.failures:
            self._context.warn(f"a notification was not delivered: {failure}")

    def _look_back(self) -> Figures:
        store, active = self._lock.store(), self._settings.encryption.effective_key_version
        finished = store.newest_finished()
        steps = {} if finished is None else store.steps(finished.id)
        census = steps[RotationStep.CENSUS].detail if RotationStep.CENSUS in steps else {}
        job = steps[RotationStep.RE_ENCRYPT].detail if RotationStep.RE_ENCRYPT in steps else {}
        took = None if finished is None or finished.finished_at is None else finished.finished_at - finished.started_at
        since = None if active is None else store.activated_at(active) or known_since(self._lock.history(), active)
        return Figures(
            self._clock(),
            succeeded=self._ended and self._report.state in ("finished", "not-due"),
            last_success=None if finished is None else finished.finished_at,
            active_version=active,
            active_since=since,
            by_version={int(version): int(number) for version, number in census.get("by_version", {}).items()},
            undecryptable=census.get("undecryptable"),
            duration_s=None if took is None else took.total_seconds(),
            rate_per_second=job.get("rate_per_second"),
            next_date=self._next(),
        )

    def _next(self) -> datetime | None:
        if not self._policy.enabled or self._policy.schedule is None:
            return None
        if self._report.state == "not-due" and self._report.decision.next is not None:
            return self._report.decision.next
        return self._policy.schedule.next_after(self._clock())

    # --- what the steps need --------------------------------------------------------------------------------------

    def _ring(self, settings: Settings) -> Keyring:
        """The keys, fetched once for each reading of the configuration."""
        if self._keys is None or self._keys[0] is not settings:
            self._keys = (settings, open_ring(settings, self._context.environ, warn=self._context.warn))
        return self._keys[1]

    def _new_key(self, settings: Settings) -> NextKey:
        return NextKey(
            settings,
            self._context.environ,
            self._lock.history(),
            self._lock.store().used_versions(),
            warn=self._context.warn,
        )


def _by_hand(change: Change) -> list[str]:
    return ["Change this, there or where it is made from:", "", *(f"    {line}" for line in change.lines()), ""]


def _job_detail(report: JobReport) -> Mapping[str, Any]:
    return {
        "job": report.job,
        "re_encrypted": report.total.re_encrypted,
        "rate_per_second": round(report.rate_per_second, 1),
    }


def _census_detail(census: CensusReport) -> Mapping[str, Any]:
    return {
        "by_version": {str(version): number for version, number in census.by_version.items()},
        "undecryptable": census.undecryptable,
        "values": [
            {"location": entry.location, "id": str(entry.id), "path": list(entry.path), "reason": entry.reason}
            for entry in census.quarantine[:_MOST_PLACES]
        ],
    }
