"""The steps of a rotation: key, activate, reload, re-encrypt, audit, retention."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from fluxbase_cli.config import Settings
from fluxbase_cli.counts import secrets
from fluxbase_cli.engine.databases import PreparedDatabases, prepare_databases
from fluxbase_cli.engine.events import NullObserver, Several
from fluxbase_cli.engine.further_databases import list_databases
from fluxbase_cli.engine.goal import Goal
from fluxbase_cli.engine.outcome import JobReport
from fluxbase_cli.engine.request import JobRequest
from fluxbase_cli.engine.run.commit_watch import CommitWatch
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.errors import ConfigurationError, JobFailedError, JobStoppedError
from fluxbase_cli.keyring import Keyring
from fluxbase_cli.keys.active_version import move_pointer
from fluxbase_cli.keys.run_job import run_job
from fluxbase_cli.log_events import LogEvent
from fluxbase_cli.notifications.outbox import Outbox
from fluxbase_cli.notifications.progress import ProgressNotifications
from fluxbase_cli.proof.proof import ProofRequest, take_proof
from fluxbase_cli.rotation.context import RotationContext
from fluxbase_cli.rotation.endings import StoppedError, WaitingForPersonError, stopped_by_person
from fluxbase_cli.rotation.lock import RotationLock
from fluxbase_cli.rotation.next_key import NextKey, current_version, open_ring
from fluxbase_cli.rotation.policy import Policy
from fluxbase_cli.rotation.reload import reload_servers
from fluxbase_cli.rotation.retention import KeyRetirement, Retired, beyond_retention
from fluxbase_cli.rotation.step_records import (
    ActivateStep,
    AuditStep,
    KeyStep,
    ReEncryptStep,
    ReloadStep,
    RetentionStep,
)
from fluxbase_cli.rotation.yaml_edit import CantEditError, Change, edit_file
from fluxbase_cli.store.databases import Databases
from fluxbase_cli.store.records import JobKind
from fluxbase_cli.store.rotations import Retirement, RotationRecord


class RotationSteps:
    """The steps of a rotation.

    If the end of a step is not recorded, the step is done again. It then finds its earlier results: a key in the key
    source, a file that names the version, a completed job. Only `reload_command` may run twice, because nobody knows
    whether it had ended.

    Args:
        context: what the rotation gets from its caller.
        clock: returns the current time.
        lock: the session that holds the rotation's lock.
        outbox: sends notifications.
        settings: the configuration.
        policy: what its section `key_rotation` says.
        note: called with what a step adds to the report.

    Attributes:
        settings: the configuration, as it was last read.
        watch: says that a commit waits for a standby. It rests while a job runs, which has a watch of its own.
    """

    def __init__(  # noqa: PLR0913, PLR0917  # what the steps share
        self,
        context: RotationContext,
        clock: Callable[[], datetime],
        lock: RotationLock,
        outbox: Outbox,
        settings: Settings,
        policy: Policy,
        note: Callable[..., None],
    ) -> None:
        self._context = context
        self._clock = clock
        self._lock = lock
        self._outbox = outbox
        self.settings = settings
        self._note = note
        self._policy = policy
        self._keys: tuple[Settings, Keyring] | None = None
        self.watch = CommitWatch(settings.database, context.observer)

    def key(self, version: int) -> KeyStep:
        """Make the new key in the key source, and read it back."""
        stored = self.new_key().make(version)
        self._context.tell(
            LogEvent.ROTATION_KEY, f"✓ Key version {version} (fingerprint {stored.fingerprint}) is at {stored.source}"
        )
        return KeyStep(
            stored.fingerprint, stored.provider, stored.source, {} if stored.configured else dict(stored.setting)
        )

    def activate(self, version: int, key_step: KeyStep) -> ActivateStep:
        """Make the version active in fluxbase.yaml, or where that points.

        Raises:
            WaitingForPersonError: a person must make it active.
            ConfigurationError: the configured key of this version is not the new key.
        """
        settings = self._context.load()
        how = "by hand"
        if settings.encryption.effective_key_version != version:
            setting = dict(key_step.setting)
            how = "in the file" if settings.encryption.active_pointer is None else "where the file points"
            if settings.encryption.active_pointer is None:
                self.edit(settings, Change(version, setting))
            else:
                # The entry is written first: a server that reads the new active version must find its key.
                if setting:
                    self.edit(settings, Change(version, setting, activate=False))
                move_pointer(settings, self._context.environ, version, warn=self._context.warn_of_keys)
            settings = self._context.load()
        if settings.encryption.effective_key_version != version:
            raise WaitingForPersonError(
                f"{settings.config_file} names version {version}, but version "
                f"{settings.encryption.effective_key_version} is still active",
                ["Does FLUXBASE_SECURITY_ENCRYPTION_ACTIVE_KEY_VERSION set it? Set that to the new version."],
            )
        key = self.ring(settings).key(version)
        if not key.has_fingerprint(key_step.fingerprint):
            raise ConfigurationError(
                f"the key of version {version} at {key.source} has the fingerprint {key.fingerprint}, and the new key "
                f"has {key_step.fingerprint}",
                hint="Correct its entry in security.encryption.keys.",
            )
        self.settings = settings
        self._context.tell(LogEvent.ROTATION_KEY_ACTIVE, f"✓ Key version {version} is active")
        return ActivateStep(how)

    def edit(self, settings: Settings, change: Change) -> None:
        """Change fluxbase.yaml.

        Raises:
            WaitingForPersonError: a person must change it.
        """
        if settings.config_file is None:
            raise WaitingForPersonError(
                f"key version {change.version} must be made active by hand: there is no fluxbase.yaml", _by_hand(change)
            )
        try:
            backup = edit_file(settings.config_file, change)
        except CantEditError as error:
            raise WaitingForPersonError(
                f"key version {change.version} must be made active by hand in {settings.config_file}: {error}",
                _by_hand(change),
            ) from None
        if backup is not None:
            self._context.tell(
                LogEvent.ROTATION_FILE_CHANGED, f"✓ Changed {settings.config_file} (old file kept as {backup.name})"
            )

    def reload(self) -> ReloadStep:
        """Run `reload_command`, so that servers know both keys before the first value is sealed under the new one.

        Raises:
            StoppedError: a signal requested a stop, and the command was ended.
            JobFailedError: the command failed.
        """
        command = self._policy.reload_command
        if not command:
            self._context.warn(
                LogEvent.ROTATION_RELOAD_MISSING,
                "no reload_command is configured: restart all servers now, or set one. A server without the new key "
                "can't read what is sealed under it",
            )
            return ReloadStep(None)
        seconds = reload_servers(command, self._context, self.settings.encryption.server)
        self._context.tell(LogEvent.ROTATION_RELOADED, f"✓ Ran {command[0]}")
        return ReloadStep(command[0], seconds)

    def re_encrypt(self, rotation: RotationRecord, version: int, *, always: bool = False) -> ReEncryptStep:
        """Move the values with a job, or resume that job.

        Args:
            rotation: the rotation.
            version: the new version.
            always: whether the values are moved even if `auto_reencrypt` is off.

        Raises:
            WaitingForPersonError: somebody has stopped the job.
            StoppedError: a signal requested a stop.
            JobFailedError: the job failed.
        """
        if not (self._policy.auto_reencrypt or always):
            self._context.tell(
                LogEvent.ROTATION_VALUES_STAY,
                f"Values stay under their keys (auto_reencrypt is off): "
                f"`fluxbase-cli secrets re-encrypt --to-version {version}` moves them",
            )
            return ReEncryptStep(None)
        completed = self._lock.store().completed_job(after=rotation.newest_job, version=version)
        if completed is not None and self.databases is Databases.MAIN:
            return ReEncryptStep(completed)
        try:
            report = self.move_values(JobKind.RE_ENCRYPT, version, stop=self._context.stop)
        except JobStoppedError as error:
            raise stopped_by_person(error.message) from None
        if report.stopped is not None and not self._context.stop.requested:
            raise stopped_by_person(f"job {report.job} was {report.stopped}")
        if report.state == "interrupted":
            raise StoppedError
        if report.state != "completed":
            raise JobFailedError(
                f"job {report.job} failed: {report.error}", hint="Run the rotation again: it resumes from here."
            )
        if report.remaining and self.settings.encryption.is_single:
            left = f"job {report.job}: {secrets(report.remaining)} could not be written; the old key is needed for that"
            raise JobFailedError(left, hint=f"`fluxbase-cli secrets status {report.job}` says where and why.")
        self._context.tell(
            LogEvent.ROTATION_RE_ENCRYPTED,
            f"✓ Re-encrypted {report.total.re_encrypted} of {secrets(report.total.scanned)} (job {report.job})",
        )
        return ReEncryptStep.from_report(report)

    def prepare_job(
        self, kind: JobKind, version: int, reason: str | None = None
    ) -> tuple[JobRequest, PreparedDatabases]:
        """Prepare the job that moves the values to a version: preflight, key sample, unfinished jobs. Writes nothing.

        Raises:
            FluxbaseCliError: the job can't begin.
        """
        request = JobRequest(
            kind,
            Goal(version),
            reason=reason,
            limits=self._context.limits,
            workers=self._context.workers,
            catalogue=self._context.scope.catalogue,
            scheduled=kind is JobKind.RE_ENCRYPT,
        )
        keyring, database = self.ring(self.settings), self.settings.database
        return request, prepare_databases(database, keyring, request, self.databases, NullObserver())

    def move_values(self, kind: JobKind, version: int, *, stop: Stop, reason: str | None = None) -> JobReport:
        """Run the job that moves the values to a version.

        Raises:
            FluxbaseCliError: the job can't begin.
        """
        request, targets = self.prepare_job(kind, version, reason)
        for warning in targets.warnings:
            self._context.warn(LogEvent.DATABASE_WARNING, warning)
        # A stop of the job must not end the daemon.
        with self.watch.resting(), stop.child() as child:
            report = run_job(
                self.settings,
                self._context.environ,
                self.ring(self.settings),
                targets,
                request,
                stop=child,
                observer=Several(self._context.observer, ProgressNotifications(self._outbox.send_now)),
                warn=self._context.warn_of_keys,
            ).together
        self._note(job=report.job, rate_per_second=report.rate_per_second)
        return report

    @property
    def databases(self) -> Databases:
        """The databases whose values are moved."""
        return self._context.databases or (Databases.ALL if self.settings.encryption.is_single else Databases.MAIN)

    def names_of_databases(self) -> list[str]:
        """The names of the databases besides the main one whose values are moved."""
        if self.databases is Databases.MAIN:
            return []
        return [each.name for each in list_databases(self.settings.database, self.databases).found]

    def audit(self, version: int) -> AuditStep:
        """Audit all values after the job: open every value again."""
        proof = take_proof(
            self.settings.database,
            self.ring(self.settings),
            ProofRequest(
                limits=self._context.limits,
                databases=self.databases,
                scope=self._context.scope,
                workers=self._context.workers,
            ),
            stop=self._context.stop,
            observer=NullObserver(),
        )
        report = proof.together
        if self._context.stop.requested:
            # An incomplete audit proves nothing.
            raise StoppedError
        if proof.unexamined:
            raise WaitingForPersonError(
                "the audit could not examine everything, so nobody knows whether all values are moved",
                [f"not examined: {each}" for each in proof.unexamined],
            )
        left = sum(number for each, number in report.by_version.items() if each != version)
        self._context.tell(
            LogEvent.ROTATION_AUDITED,
            f"✓ Opened {secrets(report.scanned)}: {report.by_version.get(version, 0)} under version {version}, "
            f"{left} under others",
        )
        if left and self._policy.auto_reencrypt and not self.settings.encryption.is_single:
            self._context.warn(
                LogEvent.ROTATION_OLD_VALUES,
                f"{secrets(left)} under older versions again: a server still seals with an old key; restart it",
            )
        if report.undecryptable:
            self._context.warn(
                LogEvent.ROTATION_UNDECRYPTABLE,
                f"undecryptable secrets that were left as they are: {report.undecryptable}; "
                "`fluxbase-cli secrets list --undecryptable` lists them",
            )
        return AuditStep.from_report(report)

    def retention(self, rotation: RotationRecord, version: int | None = None) -> RetentionStep:
        """Disable and destroy the keys that are beyond retention.

        Args:
            rotation: the rotation.
            version: the version from which older ones are counted; None means the active one.
        """
        retired = self.retire(rotation.id, version)
        self._note(retired=retired)
        return RetentionStep(tuple(each.version for each in retired if not each.refusals))

    def retire(self, rotation: int | None, version: int | None = None) -> tuple[Retired, ...]:
        """Disable and destroy the keys beyond retention, one after the other.

        Args:
            rotation: the number of the rotation that does it; None outside a rotation.
            version: as for `retention`.
        """
        retired: list[Retired] = []
        tried: set[tuple[int, Retirement]] = set()
        while self._policy.retain_old_keys is not None and not self._context.stop.requested:
            history = self._lock.history()
            keyring = self.ring(self.settings)
            beyond = beyond_retention(
                keyring, history, self.settings, active=version or keyring.active, retain=self._policy.retain_old_keys
            )
            now = self._clock()
            candidate = next(
                (each for each in beyond if each.is_due(now) and (each.version, each.action) not in tried), None
            )
            if candidate is None:
                break
            tried.add((candidate.version, candidate.action))
            result = self.key_retirement().retire(self._lock.store(), candidate, rotation)
            retired.append(result)
            for refusal in result.refusals:
                self._context.warn(
                    LogEvent.ROTATION_KEY_NOT_RETIRED, f"key version {result.version} is kept: {refusal}"
                )
        return tuple(retired)

    def key_retirement(self) -> KeyRetirement:
        """Make the object that disables and destroys keys."""
        return KeyRetirement(
            self.settings,
            self._context.environ,
            stop=self._context.stop,
            outbox=self._outbox,
            warn=self._context.warn_of_keys,
            clock=self._clock,
            reload=self._context.load,
            scope=self._context.scope,
        )

    def ring(self, settings: Settings) -> Keyring:
        """The keyring. The keys are fetched once for each reading of the configuration."""
        if self._keys is None or self._keys[0] is not settings:
            self._keys = (
                settings,
                open_ring(settings, self._context.environ, warn=self._context.warn_of_keys),
            )
        return self._keys[1]

    def new_key(self) -> NextKey:
        """Make the object that chooses and makes the next key."""
        store = self._lock.store()
        return NextKey(
            self.settings,
            self._context.environ,
            self._lock.history(),
            store.used_versions(),
            active=current_version(self.settings, self.ring(self.settings)),
            returned=store.returned_version(),
            warn=self._context.warn_of_keys,
        )


def _by_hand(change: Change) -> list[str]:
    return [
        "Make this change, in the file or in the template that it is made from:",
        "",
        *(f"    {line}" for line in change.lines()),
        "",
    ]
