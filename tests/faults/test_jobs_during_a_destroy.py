"""A job begins while `keys destroy` reads all values: the job moves values to the key that will be destroyed."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from fluxbase_cli.config import load_settings
from fluxbase_cli.engine.events import Event, NullObserver
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.keys.destroy import Destruction
from fluxbase_cli.keys.destroy_request import DestroyOutcome, DestroyRequest
from fluxbase_cli.keys.history import KeyState
from fluxbase_cli.seal import fingerprint
from fluxbase_cli.store.limits import DEFAULT_LIMITS
from tests.faults.reader import read
from tests.fixtures.command import OLD_KEY, Rotation, Running, until

_ROLLBACK = ("secrets", "rollback", "--to-version", "1", "--reason", "test", "-o", "json")


class Beginner:
    """Begins a rollback to the key when the audit has opened its first values."""

    def __init__(self, rotation: Rotation, stack: ExitStack) -> None:
        self._rotation = rotation
        self._stack = stack
        self.begun: list[Running] = []

    def notify(self, _event: Event) -> None:
        """Begin the rollback. Return when it works, has ended, or waits for the process that destroys the key."""
        if self.begun:
            return
        running = self._stack.enter_context(self._rotation.command.start(*_ROLLBACK))
        self.begun.append(running)
        until(lambda: running.ended or self._at_work() or self._rotation.waits_for_a_lock(), "the rollback begins")

    def _at_work(self) -> bool:
        return bool(
            self._rotation.value("SELECT to_regclass('fluxbase_rotation.job') IS NOT NULL")
            and self._rotation.value("SELECT count(*) FROM fluxbase_rotation.job")
        )


def destroy(rotation: Rotation, request: DestroyRequest, beginner: Beginner | None = None) -> DestroyOutcome:
    """Do what `keys destroy` does, in this process."""
    environ = dict(rotation.command.environment)
    here = rotation.command.directory
    settings = load_settings(directory=here, environ=environ, system_directory=here / "etc")
    destruction = Destruction(
        settings, environ, request, stop=Stop(), observer=beginner or NullObserver(), warn=lambda _text: None
    )
    return destruction.run()


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(DestroyRequest(1, DEFAULT_LIMITS, now=True), id="both steps at once"),
        pytest.param(DestroyRequest(1, DEFAULT_LIMITS), id="first step"),
    ],
)
def test_a_key_is_not_destroyed_if_a_job_began_to_seal_under_it_during_the_audit(
    rotation: Rotation, request_: DestroyRequest
) -> None:
    """The audit has not seen one value under the key. When the audit ends, there are some."""
    rotation.seed(60, new_share=1.0)
    with ExitStack() as stack:
        beginner = Beginner(rotation, stack)
        outcome = destroy(rotation, request_, beginner)
        (running,) = beginner.begun
        running.finish()

    moved = read(rotation.url).versions[1]
    assert outcome.state is not KeyState.DESTROYED or moved == 0
    if moved:
        assert any("job" in refusal for refusal in outcome.refusals), outcome.refusals
        # The second step of the destroy does not destroy it either, at any later time.
        second = destroy(rotation, DestroyRequest(1, DEFAULT_LIMITS, now=True, confirm=fingerprint(OLD_KEY)))
        assert second.state is not KeyState.DESTROYED
        assert any("under version 1" in refusal for refusal in second.refusals)


def test_without_a_job_the_same_request_destroys_the_key(rotation: Rotation) -> None:
    """This shows that the refusals above have no other reason."""
    rotation.seed(60, new_share=1.0)

    outcome = destroy(rotation, DestroyRequest(1, DEFAULT_LIMITS, now=True))

    assert (outcome.state, outcome.refusals) == (KeyState.DESTROYED, ())
