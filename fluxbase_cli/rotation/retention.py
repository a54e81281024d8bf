"""Keys beyond retention: disabled, and destroyed after their cooling-off time, by the interlocks of `keys destroy`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
from fluxbase_cli.store.rotations import Retirement, RotationStore
from fluxbase_cli.store.rows import DEFAULT_LIMITS

_REASON = "beyond key_rotation.retain_old_keys"


@dataclass(frozen=True, slots=True)
class RetirementCandidate:
    """A key beyond retention, and what comes next for it.

    Attributes:
        version, fingerprint: the key.
        action: what is to be done.
        not_before: when that may be done; None at once.
    """

    version: int
    fingerprint: str
    action: Retirement
    not_before: datetime | None = None

    def is_due(self, now: datetime) -> bool:
        """Whether it may be done now."""
        return self.not_before is None or now >= self.not_before


@dataclass(frozen=True, slots=True)
class Retired:
    """What has become of a key beyond retention.

    Attributes:
        version, fingerprint: the key.
        action: what was to be done.
        refusals: why it was not; empty where it was.
        left_to_do: what only the operator can remove.
    """

    version: int
    fingerprint: str
    action: Retirement
    refusals: tuple[str, ...] = ()
    left_to_do: tuple[str, ...] = ()


def beyond_retention(
    keyring: Keyring, history: KeyHistory, settings: Settings, *, active: int, retain: int | None
) -> tuple[RetirementCandidate, ...]:
    """The keys that are older than those to be kept, the oldest first.

    Args:
        keyring: the keys that are there.
        history: their states.
        settings: says how long a disabled key cools off.
        active: the version to count from; newer ones are nobody's to retire.
        retain: how many older versions stay; None for all.
    """
    if retain is None:
        return ()
    there = [
        key
        for key in keyring.keys
        if key.version < active and history.state(key.version, key.fingerprint) is not KeyState.DESTROYED
    ]
    cooling_off = settings.encryption.key_destruction.cooling_off
    beyond = []
    for key in sorted(there[retain:], key=lambda key: key.version):
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
    """Retires keys, each step once, however often it is interrupted.

    Args:
        settings: what is configured.
        environ: the environment, for providers.
        stop: ends a census early.
        telling: is told what was done.
        warn: is called with what an operator should know.
        clock: what time it is.
        reload: reads the configuration again.
        places: where sealed values are looked for, and what is left out on purpose.
    """

    def __init__(  # noqa: PLR0913  # what it is told
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
        self._places = scope

    def finish_begun(self, store: RotationStore, history: KeyHistory) -> None:
        """Tell what an earlier run has done and did not live to record; forget what it did not come to."""
        for version, fingerprint, action in store.open_retirements():
            state = history.state(version, fingerprint)
            done = state is KeyState.DESTROYED or (action is Retirement.DISABLE and state is KeyState.DISABLED)
            if done:
                self._record(store, version, fingerprint, action)
            else:
                store.drop_retirement(version, fingerprint, action)

    def retire(self, store: RotationStore, beyond: RetirementCandidate, rotation: int | None) -> Retired:
        """Do the next thing for a key, unless an interlock says no.

        Raises:
            DatabaseError: as for `fluxbase_cli.keys.destroy.Destruction.run`.
        """
        version, fingerprint, action = beyond.version, beyond.fingerprint, beyond.action
        store.begin_retirement(version, fingerprint, action, rotation=rotation, now=self._clock())
        try:
            outcome = self._destroy(version, fingerprint if action is Retirement.DESTROY else None)
        except ConfigurationError as error:
            # The place refuses, or can't be reached. The values are moved all the same: that must not hold up the end
            # of the rotation, and the next run tries again.
            store.drop_retirement(version, fingerprint, action)
            return Retired(version, fingerprint, action, (error.message,))
        if outcome.refusals or outcome.interrupted is not None:
            store.drop_retirement(version, fingerprint, action)
            return Retired(version, fingerprint, action, outcome.refusals or ("interrupted",))
        self._record(store, version, fingerprint, action)
        return Retired(version, fingerprint, action, left_to_do=outcome.left_to_do)

    def _destroy(self, version: int, confirm: str | None) -> DestroyOutcome:
        request = DestroyRequest(version, limits=DEFAULT_LIMITS, confirm=confirm, reason=_REASON, scope=self._places)
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

    def _record(self, store: RotationStore, version: int, fingerprint: str, action: Retirement) -> None:
        disabled = action is Retirement.DISABLE
        with store.transaction():
            store.end_retirement(version, fingerprint, action, self._clock())
            self._outbox.enqueue(
                store,
                NotificationType.KEY_DISABLED if disabled else NotificationType.KEY_DESTROYED,
                f"Key version {version} (fingerprint {fingerprint}) was {'disabled' if disabled else 'destroyed'}",
                {"version": version, "fingerprint": fingerprint},
            )
        self._outbox.send()
