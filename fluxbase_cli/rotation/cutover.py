"""The cutover: a rotation of a server that knows one key (docs/operators/server-and-key.md).

    check       the server's commands, file and health; the database; open all values
    key         keep the old key, make the new one, read it back
    stop        stop the server, wait until no other session is left
    re-encrypt  the job of the engine
    census      open every value again: none may need the old key
    install     give the server the new key
    start       start it, wait until it is healthy
    prove       open every value again while the server runs
    retention   disable and destroy keys beyond retention

Until the server has proven that it runs with the new key, every failure goes all the way back (`way_back.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable

from fluxbase_cli.config import Settings
from fluxbase_cli.counts import worded
from fluxbase_cli.engine.prepare.checkup import examine_database
from fluxbase_cli.errors import ConfigurationError, JobFailedError
from fluxbase_cli.keyring import Key, server_text
from fluxbase_cli.keys.active_version import move_pointer
from fluxbase_cli.keys.keep import keep_key, refuse_if_lost
from fluxbase_cli.keys.target_rules import refuse_unfit
from fluxbase_cli.log_events import LogEvent
from fluxbase_cli.printable import lines
from fluxbase_cli.rotation.context import RotationContext
from fluxbase_cli.rotation.endings import StoppedError, WaitingForPersonError
from fluxbase_cli.rotation.lock import RotationLock
from fluxbase_cli.rotation.step_records import (
    AnyStep,
    AuditStep,
    CheckStep,
    InstallStep,
    KeyStep,
    StartStep,
    StepsDone,
    StopStep,
)
from fluxbase_cli.rotation.steps import RotationSteps
from fluxbase_cli.rotation.yaml_edit import Change
from fluxbase_cli.server.check import examine_server
from fluxbase_cli.server.control import BEGUN_START_S, ServerControl
from fluxbase_cli.store.clock import Clock
from fluxbase_cli.store.findings import CheckStatus, refuse_if_any
from fluxbase_cli.store.records import JobKind
from fluxbase_cli.store.rotations import RotationRecord, RotationStep

_POLL_S = 0.1


class Cutover:
    """The steps of a cutover.

    Args:
        context: what the rotation gets from its caller.
        clock: returns the current time.
        lock: the session that holds the rotation's lock.
        steps: the steps that every rotation has.
    """

    def __init__(self, context: RotationContext, clock: Clock, lock: RotationLock, steps: RotationSteps) -> None:
        self._context = context
        self._clock = clock
        self._lock = lock
        self._steps = steps

    @property
    def _settings(self) -> Settings:
        return self._steps.settings

    @property
    def server(self) -> ServerControl:
        """The server."""
        settings = self._settings
        return ServerControl(
            settings.encryption.server, settings.database, self._context.environ, tell=self._context.tell
        )

    def server_key(self) -> Key:
        """The key that the server has, by the configuration.

        Raises:
            ConfigurationError: it is not configured, or no server can have it.
        """
        key = self._steps.ring(self._settings).server_key
        if key is None:
            # If it had to go back, the server would get a key that it did not have before.
            raise ConfigurationError(
                "which key the server has is not configured",
                hint="Give this command the server's key as FLUXBASE_ENCRYPTION_KEY, or set server.env_file.",
            )
        if server_text(key.secret) is None:
            raise ConfigurationError(
                f"the server's key at {key.source} is not text of 32 bytes, so no released server can have it",
                hint="Set FLUXBASE_ENCRYPTION_KEY, or the file in server.env_file, to the key that the server has now.",
            )
        return key

    # --- check ----------------------------------------------------------------------------------------------------

    def check(self, from_version: int) -> CheckStep:
        """Check everything, and open all values. Changes nothing.

        Raises:
            PreflightRefusedError: something is missing or can't be used; the hint lists everything.
            FluxbaseCliError: the database can't be used.
        """
        server = examine_server(self.server, self.server_key())
        for each in server:
            if each.status is CheckStatus.TELL:
                self._context.warn(LogEvent.ROTATION_WARNING, each.sentence)
        refuse_if_any((*server, *examine_database(self._settings.database).findings))
        refuse_if_lost(self._settings, self._lock.history(), self._context.environ, from_version)
        audit = self._audit(from_version)
        return CheckStep(sum(audit.by_version.values()) + audit.undecryptable, audit.undecryptable)

    # --- the steps ------------------------------------------------------------------------------------------------

    def actions(
        self, rotation: RotationRecord, version: int, done: StepsDone, *, begun: frozenset[RotationStep]
    ) -> dict[RotationStep, Callable[[], AnyStep]]:
        """What each step does.

        Args:
            rotation: the rotation.
            version: the new version.
            done: the records of the steps that are done.
            begun: the steps that an earlier process has begun.
        """
        return {
            RotationStep.CHECK: lambda: self.check(rotation.from_version),
            RotationStep.KEY: lambda: self.key(rotation.from_version, version),
            RotationStep.STOP: lambda: self.stop(begun_before=RotationStep.STOP in begun),
            RotationStep.RE_ENCRYPT: lambda: self._steps.re_encrypt(rotation, version, always=True),
            RotationStep.AUDIT: lambda: self.prove_moved(version, done),
            RotationStep.INSTALL: lambda: self.install(version),
            RotationStep.START: lambda: self.start(rotation, begun_before=RotationStep.START in begun),
            RotationStep.PROVE: lambda: self.prove(version, done),
            RotationStep.RETENTION: lambda: self._steps.retention(rotation, version),
        }

    def key(self, from_version: int, version: int) -> KeyStep:
        """Keep the old key where the new one does not replace it, make the new one, and read it back.

        Raises:
            ConfigurationError: a key can't be kept or made, or the server could not be given the new one.
            WaitingForPersonError: the new key's entry must be written by a person.
        """
        environ, warn = self._context.environ, self._context.warn_of_keys
        kept = keep_key(self._settings, environ, self._steps.ring(self._settings).key(from_version), warn=warn)
        if kept is not None:
            self._context.tell(LogEvent.ROTATION_KEY_KEPT, f"✓ The old key, version {from_version}, is kept at {kept}")
            self._steps.settings = self._context.load()
        record = self._steps.key(version)
        if record.setting:
            self._steps.edit(self._settings, Change(version, dict(record.setting), activate=False))
        self._steps.settings = self._context.load()
        made = self._steps.ring(self._settings).key(version)
        if not made.has_fingerprint(record.fingerprint):
            raise ConfigurationError(
                f"the key of version {version} at {made.source} has the fingerprint {made.fingerprint}, and the new "
                f"key has {record.fingerprint}",
                hint="Look whether the same variable is set in the environment of this command, and remove it there.",
            )
        refuse_unfit(made, self._settings.encryption)
        # Whether the job can begin is better known before the server is stopped.
        self._refuse_unprepared(version)
        return record

    def stop(self, *, begun_before: bool) -> StopStep:
        """Stop the server, and wait until no other session is left."""
        names = self._steps.names_of_databases()
        seconds = self.server.stop(names, begun_before=begun_before, is_stopped=lambda: self._context.stop.requested)
        return StopStep(seconds)

    def prove_moved(self, version: int, done: StepsDone) -> AuditStep:
        """Open every value. All of them must be under the new key, but those that no key opened before.

        Raises:
            JobFailedError: a value is under another key, or something could not be examined.
        """
        audit = self._audit(version)
        _refuse_others(audit, version, "something still seals with an old key")
        if lost := _newly_undecryptable(audit, done):
            raise JobFailedError(f"{worded(lost, 'value', 'values')} can't be opened that could be opened before")
        return audit

    def install(self, version: int) -> InstallStep:
        """Give the server the new key."""
        key = self._steps.ring(self._settings).key(version)
        self.server.install(text_of(key))
        self._context.tell(
            LogEvent.SERVER_KEY_INSTALLED,
            f"✓ The server's key is version {version} (fingerprint {key.fingerprint}) now",
        )
        self._steps.settings = self._context.load()
        return InstallStep(key.fingerprint)

    def start(self, rotation: RotationRecord, *, begun_before: bool) -> StartStep:
        """Start the server, and wait until it is healthy."""
        seconds = self.server.start(
            may_be_up_s=BEGUN_START_S if begun_before else 0.0, is_stopped=lambda: self._context.stop.requested
        )
        away = self.away_seconds(rotation) or 0.0
        self._context.tell(
            LogEvent.SERVER_HEALTHY, f"✓ The server is healthy ({seconds:.1f}s); it was away for {away:.1f}s"
        )
        return StartStep(seconds, away)

    def prove(self, version: int, done: StepsDone) -> AuditStep:
        """Open every value while the server runs: it must seal under the key that it was given.

        Raises:
            JobFailedError: it seals under another key, or the verify command fails.
        """
        self._settle()
        self.server.verify()
        audit = self._audit(version)
        _refuse_others(audit, version, "the server came up with another key than it was given")
        if lost := _newly_undecryptable(audit, done):
            raise JobFailedError(
                f"the server came up with another key than it was given: {worded(lost, 'value', 'values')} can't be "
                "opened since it was started"
            )
        self._make_active(version)
        return audit

    def _refuse_unprepared(self, version: int) -> None:
        """Raise an error if the job can't begin in one of the databases."""
        _, targets = self._steps.prepare_job(JobKind.RE_ENCRYPT, version)
        for target in targets.found:
            if target.error is not None:
                raise target.error

    # --- parts ----------------------------------------------------------------------------------------------------

    def away_seconds(self, rotation: RotationRecord) -> float | None:
        """How long the server has been away by now, in seconds. None if it was not stopped."""
        stopped = self._lock.store().steps(rotation.id).get(RotationStep.STOP)
        return None if stopped is None else max(0.0, (self._clock() - stopped.started_at).total_seconds())

    def _audit(self, version: int) -> AuditStep:
        try:
            return self._steps.audit(version)
        except WaitingForPersonError as waiting:
            raise JobFailedError(lines((waiting.what, *waiting.lines))) from None

    def _settle(self) -> None:
        """Give the server time to seal something, so that the audit sees under which key it seals."""
        deadline = time.monotonic() + self._settings.encryption.server.settle_time.total_seconds()
        while time.monotonic() < deadline:
            if self._context.stop.requested:
                raise StoppedError
            time.sleep(_POLL_S)

    def _make_active(self, version: int) -> None:
        """Write the version where the configuration keeps the active one, for this tool. The server does not read it.

        The rotation is over then, so a file that can't be changed is only told.
        """
        encryption = self._settings.encryption
        try:
            if encryption.active_pointer is not None:
                move_pointer(self._settings, self._context.environ, version, warn=self._context.warn_of_keys)
            elif encryption.active_key_version not in (None, version):
                self._steps.edit(self._settings, Change(version))
            else:
                return
        except (WaitingForPersonError, ConfigurationError) as error:
            self._context.warn(
                LogEvent.ROTATION_FILE_TO_CHANGE, f"set active_key_version to {version} by hand: {error}"
            )
            return
        self._steps.settings = self._context.load()


def text_of(key: Key) -> str:
    """The key as the server is given it.

    Raises:
        ConfigurationError: the server could not be given this key.
    """
    text = server_text(key.secret)
    if text is None:
        raise ConfigurationError(f"key version {key.version} is not text of 32 bytes: no released server takes it")
    return text


def _newly_undecryptable(audit: AuditStep, done: StepsDone) -> int:
    """How many values no key opens that could be opened before the cutover."""
    return max(0, audit.undecryptable - done.need(CheckStep).undecryptable)


def _refuse_others(audit: AuditStep, version: int, why: str) -> None:
    others = {each: number for each, number in audit.by_version.items() if each != version and number}
    if others:
        listed = ", ".join(f"{number} under version {each}" for each, number in sorted(others.items()))
        raise JobFailedError(f"{why}: {listed}")
