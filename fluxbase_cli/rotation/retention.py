"""Retires keys beyond retention: disables them, and destroys them after their cooling-off time.

The interlocks of `keys destroy` apply here too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from fluxbase_cli.catalogue.extra import ONLY_RELEASES, SearchScope
from fluxbase_cli.config import Settings
from fluxbase_cli.engine.events import NullObserver
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.keyring import Keyring
from fluxbase_cli.keys.destroy import Destruction
from fluxbase_cli.keys.destroy_request import DestroyOutcome, DestroyRequest
from fluxbase_cli.keys.history import KeyHistory, KeyState
from fluxbase_cli.notifications.message import NotificationType
from fluxbase_cli.notifications.outbox import Outbox
from fluxbase_cli.store.key_records import KeyEvent
from fluxbase_cli.store.limits import DEFAULT_LIMITS
from fluxbase_cli.store.rotations import Retirement, RotationStore

_REASON = "beyond key_rotation.retain_old_keys"


@dataclass(frozen=True, slots=True)
class RetirementCandidate:
    """A key beyond retention, and the next step of its retirement.

    Attributes:
        version, fingerprint: the key.
        action: the next step.
        not_before: the earliest time for that step; None means at once.
    """

    version: int
    fingerprint: str
    action: Retirement
    not_before: datetime | None = None

    def is_due(self, now: datetime) -> bool:
        """Whether the step may be done now."""
        return self.not_before is None or now >= self.not_before


@dataclass(frozen=True, slots=True)
class Retired:
    """The result of a step of a key's retirement.

    Attributes:
        version, fingerprint: the key.
        action: the step.
        refusals: why it was not done; empty if it was done.
        left_to_do: what only the operator can remove.
        gone: after a destruction, whether the tool has checked that the key is gone from its source.
    """

    version: int
    fingerprint: str
    action: Retirement
    refusals: tuple[str, ...] = ()
    gone: bool = True
    left_to_do: tuple[str, ...] = ()


def beyond_retention(
    keyring: Keyring, history: KeyHistory, settings: Settings, *, active: int, retain: int | None
) -> tuple[RetirementCandidate, ...]:
    """The keys beyond retention, the oldest first.

    Args:
        keyring: the keys that exist.
        history: their states.
        settings: holds the cooling-off time.
        active: the version to count from. Newer keys are never retired.
        retain: how many older versions are kept; None keeps all.
    """
    if retain is None:
        return ()
    history = history.knowing(keyring.keys)
    existing = [
        key
        for key in keyring.keys
        if key.version < active and history.state(key.version, key.fingerprint) is not KeyState.DESTROYED
    ]
    cooling_off = settings.encryption.key_destruction.cooling_off
    beyond = []
    for key in sorted(existing[retain:], key=lambda key: key.version):
        if history.state(key.version, key.fingerprint) is KeyState.ENABLED:
            beyond.append(RetirementCandidate(key.version, key.fingerprint, Retirement.DISABLE))
            continue
        disabled_at = max(
            record.at
            for record in history.records
            if (record.version, record.fingerprint, record.what) == (key.version, key.fingerprint, KeyEvent.DISABLED)
        )
        beyond.append(RetirementCandidate(key.version, key.fingerprint, Retirement.DESTROY, disabled_at + cooling_off))
    return tuple(beyond)


class KeyRetirement:
    """Retires keys. Each step is done once, even after interruptions.

    Args:
        settings: the configuration.
        environ: the environment, for providers.
        stop: ends an audit early.
        outbox: sends a notification of each step.
        warn: called with warnings for the operator.
        clock: the clock.
        reload: reads the configuration again.
        scope: where sealed values are searched, and what is left out on purpose.
    """

    def __init__(  # noqa: PLR0913  # everything that it needs
        self,
        settings: Settings,
        environ: Mapping[str, str],
        *,
        stop: Stop,
        outbox: Outbox,
        warn: Callable[[str], None],
        clock: Callable[[], datetime],
        reload: Callable[[], Settings],
        scope: SearchScope = ONLY_RELEASES,
    ) -> None:
        self._settings = settings
        self._environ = environ
        self._stop = stop
        self._outbox = outbox
        self._warn = warn
        self._clock = clock
        self._reload = reload
        self._scope = scope

    def finish_begun(self, store: RotationStore, history: KeyHistory) -> None:
        """Record the steps that an earlier run did but could not record before it ended. Forget those it did not do."""
        for version, fingerprint, action in store.open_retirements():
            state = history.state(version, fingerprint)
            done = state is KeyState.DESTROYED or (action is Retirement.DISABLE and state is KeyState.DISABLED)
            if done:
                last = history.last(version, fingerprint) if action is Retirement.DESTROY else None
                detail = {} if last is None else last.detail
                gone, left = detail.get("gone", True), detail.get("left_to_do", ())
                self._record(store, version, fingerprint, action, gone=gone, left=left)
            else:
                store.drop_retirement(version, fingerprint, action)

    def retire(self, store: RotationStore, beyond: RetirementCandidate, rotation: int | None) -> Retired:
        """Do the next step for a key, unless an interlock forbids it.

        Raises:
            DatabaseError: as for `fluxbase_cli.keys.destroy.Destruction.run`.
        """
        version, fingerprint, action = beyond.version, beyond.fingerprint, beyond.action
        store.begin_retirement(version, fingerprint, action, rotation=rotation, now=self._clock())
        try:
            outcome = self._destroy(version, fingerprint if action is Retirement.DESTROY else None)
        except ConfigurationError as error:
            # The key source refuses or can't be reached. The values are moved already, so this must not keep the
            # rotation from ending. The next run tries again.
            store.drop_retirement(version, fingerprint, action)
            return Retired(version, fingerprint, action, (error.message,))
        if outcome.refusals or outcome.interrupted is not None:
            store.drop_retirement(version, fingerprint, action)
            return Retired(version, fingerprint, action, outcome.refusals or ("interrupted",))
        self._record(store, version, fingerprint, action, gone=outcome.gone, left=outcome.left_to_do)
        return Retired(version, fingerprint, action, left_to_do=outcome.left_to_do, gone=outcome.gone)

    def _destroy(self, version: int, confirm: str | None) -> DestroyOutcome:
        request = DestroyRequest(version, limits=DEFAULT_LIMITS, confirm=confirm, reason=_REASON, scope=self._scope)
        return Destruction(
            self._settings,
            self._environ,
            request,
            stop=self._stop,
            observer=NullObserver(),
            warn=self._warn,
            clock=self._clock,
            reload=self._reload,
        ).run()

    def _record(  # noqa: PLR0913  # what the notification says
        self,
        store: RotationStore,
        version: int,
        fingerprint: str,
        action: Retirement,
        *,
        gone: bool,
        left: Sequence[str],
    ) -> None:
        """Record a step and send its notification."""
        disabled = action is Retirement.DISABLE
        what = "disabled" if disabled else "destroyed"
        if not gone:
            what = "recorded as destroyed, but only you can remove it from its source"
        with store.transaction():
            store.end_retirement(version, fingerprint, action, self._clock())
            self._outbox.enqueue(
                store,
                NotificationType.KEY_DISABLED if disabled else NotificationType.KEY_DESTROYED,
                f"Key version {version} (fingerprint {fingerprint}) was {what}",
                {"version": version, "fingerprint": fingerprint, **({"left_to_do": list(left)} if left else {})},
            )
        self._outbox.send()
