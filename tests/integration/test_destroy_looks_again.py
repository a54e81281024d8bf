"""What changes while a destroy audits the values is seen under the lock, before anything is recorded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from fluxbase_cli.config import Settings, load_settings
from fluxbase_cli.engine.events import Event, NullObserver
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.keys.destroy import Destruction
from fluxbase_cli.keys.destroy_request import DestroyOutcome, DestroyRequest
from fluxbase_cli.keys.enable import CheckRefusedError, enable_key
from fluxbase_cli.seal import fingerprint
from fluxbase_cli.store.connection import connect
from fluxbase_cli.store.jobs import KEY_LOCK_CLASS
from fluxbase_cli.store.key_records import KeyEvent, KeyRecords
from fluxbase_cli.store.limits import DEFAULT_LIMITS
from tests.faults.reader import read
from tests.fixtures.command import OLD_KEY, Rotation, until

_BACK = ("secrets", "rollback", "--to-version", "1", "--reason", "test")
_FORTH = ("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2")
_DESTROY = ("keys", "destroy", "--key-version", "1")


@dataclass
class Once:
    """An observer that acts once, after the audit has read the first values. So the audit does not see what it does."""

    action: Callable[[], object]
    done: bool = field(default=False)

    def notify(self, event: Event) -> None:
        """Act at the first event."""
        if type(event).__name__ == "BatchDone" and not self.done:
            self.done = True
            self.action()


@pytest.fixture
def settings(rotation: Rotation) -> Settings:
    """The configuration. Every value is under version 2, and one job has run."""
    rotation.seed(60, new_share=0.5)
    assert rotation.command(*_FORTH).code == 0
    here = rotation.command.directory
    return load_settings(directory=here, environ=rotation.command.environment, system_directory=Path(here, "etc"))


def destroy(
    settings: Settings, rotation: Rotation, meanwhile: Callable[[], object], *, now: bool = True, confirm: bool = False
) -> DestroyOutcome:
    """Destroy version 1, and do something during the audit."""
    observer = Once(meanwhile)
    request = DestroyRequest(
        1, limits=DEFAULT_LIMITS, now=now, confirm=fingerprint(OLD_KEY) if confirm else None, workers=1
    )
    outcome = Destruction(
        settings,
        rotation.command.environment,
        request,
        stop=Stop(),
        observer=observer,
        warn=lambda _: None,
        reload=lambda: settings,
    ).run()
    assert observer.done
    return outcome


def events(rotation: Rotation) -> list[str]:
    rows = rotation.rows("SELECT what FROM fluxbase_keys.event WHERE what LIKE 'key-%%' ORDER BY id")
    return [what for (what,) in rows]


@pytest.mark.parametrize("now", [True, False], ids=["both steps", "the first step"])
def test_a_job_that_begins_and_ends_during_the_audit_keeps_the_key(
    settings: Settings,
    rotation: Rotation,
    now: bool,  # noqa: FBT001
) -> None:
    """The audit does not see any more what the job sealed under the key."""
    outcome = destroy(settings, rotation, lambda: done(rotation, *_BACK), now=now)

    assert outcome.refusals == ("a job was begun during the audit: run this again when it has ended",)
    assert (outcome.state, outcome.exit_code) == ("enabled", 3)
    assert events(rotation) == []
    assert read(rotation.url).versions == {1: 60}


def done(rotation: Rotation, *arguments: str) -> None:
    outcome = rotation.command(*arguments)
    assert outcome.code == 0, outcome.all


def test_a_key_that_is_enabled_again_during_the_audit_is_not_destroyed(settings: Settings, rotation: Rotation) -> None:
    done(rotation, *_DESTROY)
    soon = replace(
        settings.encryption.key_destruction, cooling_off=type(settings.encryption.key_destruction.cooling_off)()
    )
    hasty = replace(settings, encryption=replace(settings.encryption, key_destruction=soon))

    outcome = destroy(
        hasty, rotation, lambda: done(rotation, "keys", "enable", "--key-version", "1"), now=False, confirm=True
    )

    (reason,) = outcome.refusals
    assert "version 1 is not disabled yet" in reason
    assert events(rotation) == ["key-disabled", "key-enabled"]


def test_a_date_that_is_set_during_the_audit_counts(settings: Settings, rotation: Rotation) -> None:
    outcome = destroy(settings, rotation, lambda: done(rotation, *_DESTROY, "--keep-until", "2999-01-01"))

    (reason,) = outcome.refusals
    assert "it must be kept until 2999-01-01" in reason
    assert outcome.state == "disabled"


def test_a_key_that_becomes_active_during_the_audit_is_refused(settings: Settings, rotation: Rotation) -> None:
    active = replace(settings, encryption=replace(settings.encryption, active_key_version=1))
    request = DestroyRequest(1, limits=DEFAULT_LIMITS, now=True)
    outcome = Destruction(
        settings,
        rotation.command.environment,
        request,
        stop=Stop(),
        observer=NullObserver(),
        warn=lambda _: None,
        reload=lambda: active,
    ).run()

    (reason,) = outcome.refusals
    assert "version 1 is the active one" in reason
    assert events(rotation) == []


def test_of_two_destroys_of_the_same_key_the_second_sees_the_first(settings: Settings, rotation: Rotation) -> None:
    outcome = destroy(settings, rotation, lambda: done(rotation, *_DESTROY, "--now", "--yes", "--reason", "test"))

    assert any("it was destroyed meanwhile, by " in reason for reason in outcome.refusals)
    assert outcome.state == "destroyed"
    assert events(rotation) == ["key-disabled", "key-destroying", "key-destroyed"]


def test_no_other_process_can_destroy_or_enable_a_key_while_it_is_destroyed(
    settings: Settings, rotation: Rotation
) -> None:
    with connect(settings.database) as other, KeyRecords(other).destroying() as alone:
        assert alone
        refused = rotation.command(*_DESTROY, "--now", "--yes", "--reason", "test", "-o", "json")
        assert (refused.code, len(refused.json["refused"])) == (3, 1)
        assert "another process destroys or disables a key" in refused.json["refused"][0]
        KeyRecords(other).add(KeyEvent.DESTROYING, 1, fingerprint(OLD_KEY))
        with pytest.raises(CheckRefusedError, match="is being destroyed now"):
            enable_key(settings, rotation.command.environment, 1, warn=lambda _: None)
    # The process that began it is gone, and the key is still there.
    assert enable_key(settings, rotation.command.environment, 1, warn=lambda _: None).version == 1
    assert events(rotation) == ["key-destroying", "key-enabled"]


def test_a_destroy_waits_for_a_job_that_is_just_beginning(settings: Settings, rotation: Rotation) -> None:
    """The job has checked the key and has not committed yet."""
    with (
        rotation.command.start(*_DESTROY, "--now", "--yes", "--reason", "test", "-o", "json") as running,
        connect(settings.database) as job,
    ):
        with job.transaction():
            job.execute("SELECT pg_advisory_xact_lock_shared(%s, 0)", [KEY_LOCK_CLASS])
            until(lambda: rotation.waits_for_a_lock() or running.ended, "the destroy waits")
            job.execute("INSERT INTO fluxbase_rotation.event (os_user, host, what) VALUES ('x', 'y', 'began-beside')")
        outcome = running.finish()

    assert outcome.code == 3, outcome.all
    assert "a job was begun during the audit" in outcome.json["refused"][0]
    assert events(rotation) == []
