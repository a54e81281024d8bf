"""Finds what `rotation run` would do now. Writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from fluxbase_cli.config import Settings
from fluxbase_cli.engine.events import NullObserver
from fluxbase_cli.engine.outcome import AuditReport
from fluxbase_cli.engine.read.audit import run_audit
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.keyring import Keyring
from fluxbase_cli.keys.history import KeyHistory, read_history
from fluxbase_cli.printable import joined
from fluxbase_cli.rotation.due import due
from fluxbase_cli.rotation.next_key import NextKey, current_version, open_ring
from fluxbase_cli.rotation.outcome import Plan, PlannedRetirement
from fluxbase_cli.rotation.policy import Policy, read_policy
from fluxbase_cli.rotation.retention import beyond_retention
from fluxbase_cli.rotation.schedule import DueDecision
from fluxbase_cli.rotation.suited import refuse_unsuited
from fluxbase_cli.server.check import examine_server
from fluxbase_cli.server.control import ServerControl
from fluxbase_cli.store.clock import ServerClock
from fluxbase_cli.store.connection import session
from fluxbase_cli.store.findings import CheckStatus
from fluxbase_cli.store.limits import DEFAULT_LIMITS
from fluxbase_cli.store.rotations import CUTOVER_STEPS, VERSIONED_STEPS, RotationRecord, RotationStep, RotationStore


def make_plan(settings: Settings, environ: Mapping[str, str], *, warn: Callable[[str], None], stop: Stop) -> Plan:
    """Make a plan from the schedule, the keys and an audit of the values. Writes nothing.

    Raises:
        ConfigurationError, DatabaseError, PreflightRefusedError: the configuration, a key or the database can't be
            used.
    """
    policy = read_policy(settings.encryption.key_rotation)
    keyring = open_ring(settings, environ, warn=warn)
    history = read_history(settings.database)
    with session(settings.database) as connection:
        store, now = RotationStore(connection), ServerClock(connection)()
        unfinished = store.unfinished() if store.exists() else None
        decision = due(policy, settings, history, store, now)
        used = store.used_versions() if store.exists() else frozenset(history.rotations)
        step = None if unfinished is None else _next_step(store, unfinished)
        returned = store.returned_version() if store.exists() else None
    audit = run_audit(
        settings.database,
        keyring,
        key_version=None,
        limits=DEFAULT_LIMITS,
        workers=1,
        stop=stop,
        observer=NullObserver(),
    )
    current = current_version(settings, keyring)
    obstacle, version = None, None if unfinished is None else unfinished.to_version
    if version is None:
        try:
            version = NextKey(settings, environ, history, used, active=current, returned=returned, warn=warn).choose()
        except ConfigurationError as error:
            obstacle = error.message
    single = settings.encryption.is_single
    if unfinished is not None:
        decision = DueDecision(due=True, why=f"rotation {unfinished.id} is not finished")
    return Plan(
        decision=decision,
        from_version=current if unfinished is None else unfinished.from_version,
        to_version=version,
        resumes=None if unfinished is None else unfinished.id,
        step=step,
        obstacle=obstacle,
        re_encrypts=policy.auto_reencrypt or single,
        values=sum(number for each, number in audit.by_version.items() if each != version),
        by_version=audit.by_version,
        undecryptable=audit.undecryptable,
        retirements=_retirements(policy, settings, keyring, history, audit, version),
        reload_command=policy.reload_command[0] if policy.reload_command else None,
        next=_next(policy, decision, now),
        steps=CUTOVER_STEPS if single else VERSIONED_STEPS,
        missing=_missing(settings, environ, keyring),
    )


def _missing(settings: Settings, environ: Mapping[str, str], keyring: Keyring) -> tuple[str, ...]:
    """Why `rotation run` would be refused, but for the new key."""
    try:
        refuse_unsuited(settings)
    except ConfigurationError as error:
        return (error.message if error.hint is None else joined(error.message, ". ", error.hint),)
    if not settings.encryption.is_single:
        return ()
    control = ServerControl(settings.encryption.server, settings.database, environ)
    findings = examine_server(control, keyring.server_key)
    return tuple(each.sentence for each in findings if each.status is CheckStatus.REFUSE)


def _next_step(store: RotationStore, rotation: RotationRecord) -> RotationStep | None:
    done = store.steps(rotation.id)
    if RotationStep.RETURN in done:
        return RotationStep.RETURN
    steps = CUTOVER_STEPS if RotationStep.CHECK in done else VERSIONED_STEPS
    return next((step for step in steps if step not in done or done[step].finished_at is None), None)


def _retirements(  # noqa: PLR0913, PLR0917  # everything that is known at this point
    policy: Policy,
    settings: Settings,
    keyring: Keyring,
    history: KeyHistory,
    audit: AuditReport,
    version: int | None,
) -> tuple[PlannedRetirement, ...]:
    """The keys beyond retention when the new version is active. If no new key can be made, those beyond it now."""
    beyond = beyond_retention(
        keyring, history, settings, active=version or keyring.active, retain=policy.retain_old_keys
    )
    return tuple(
        PlannedRetirement(
            each.version, each.fingerprint, each.action, each.not_before, audit.by_version.get(each.version, 0)
        )
        for each in beyond
    )


def _next(policy: Policy, decision: DueDecision, now: datetime) -> datetime | None:
    if not policy.enabled or policy.schedule is None:
        return None
    return decision.next or policy.schedule.next_after(now)
