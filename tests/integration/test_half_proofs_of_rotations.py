"""What a rotation must not accept as a proof: half an audit, or a key of the new version that is not the new key."""

from __future__ import annotations

import pytest

from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.rotation.context import Moment
from fluxbase_cli.rotation.outcome import RotationReport
from fluxbase_cli.store.rotations import RotationStep
from tests.fixtures.fluxbase import Fluxbase
from tests.fixtures.rotating import Calendar, Rotating


def versions(rotating: Rotating) -> set[tuple[int, ...]]:
    opened = Fluxbase(rotating.rotation.url).everything(rotating.keys())
    return {each.versions for each in opened.values() if each.versions}


def stop_when(calendar: Calendar, step: RotationStep) -> RotationReport:
    """A run that is asked to stop when a step has begun."""
    stop = Stop()

    def listen(begun: RotationStep, moment: Moment) -> None:
        if (begun, moment) == (step, Moment.BEGUN):
            stop.request(15)

    return calendar.rotator(stop=stop, listener=listen).run()


def test_an_audit_that_was_stopped_proves_nothing_and_is_done_again(rotating: Rotating) -> None:
    """Half an audit looks like a whole audit with fewer values."""
    calendar = Calendar(rotating)

    stopped = stop_when(calendar, RotationStep.AUDIT)

    assert (stopped.state, stopped.exit_code) == ("interrupted", 143)
    audit_step = "SELECT finished_at IS NULL FROM fluxbase_rotation.rotation_step WHERE step = 'census'"
    assert rotating.rows(audit_step) == [(True,)]
    assert "rotation.finished" not in rotating.endpoint.kinds

    done = calendar.run()

    assert (done.state, done.rotation, done.by_version) == ("finished", stopped.rotation, {1: 0, 2: 40})


def test_a_job_that_was_stopped_is_resumed_before_anything_is_proven(rotating: Rotating) -> None:
    calendar = Calendar(rotating)

    stopped = stop_when(calendar, RotationStep.RE_ENCRYPT)

    assert stopped.state == "interrupted"
    assert rotating.rows("SELECT count(*) FROM fluxbase_rotation.rotation_step WHERE step = 'census'") == [(0,)]
    done = calendar.run()
    assert (done.state, done.by_version) == ("finished", {1: 0, 2: 40})
    assert versions(rotating) == {(2,)}


def test_a_manual_entry_that_leads_to_another_key_is_refused(rotating: Rotating) -> None:
    """The file is read-only, so a person adds the entry and uses the wrong secret: it is a key, but not the new key."""
    calendar = Calendar(rotating)
    path = rotating.directory / "fluxbase.yaml"
    path.chmod(0o444)
    assert calendar.run().state == "waiting"
    rotating.vault.put("keys/other", key="ab" * 32)
    path.chmod(0o644)
    rotating.change("active_key_version: 1 ", "active_key_version: 2 ")
    entry = f'      - {{version: 2, key: "{{{{ vault `{rotating.vault.mount}/keys/%s` }}}}"}}\n'
    rotating.change("    key_destruction:", f"{entry % 'other'}    key_destruction:")

    with pytest.raises(ConfigurationError, match="and the new key has") as caught:
        calendar.run()

    assert caught.value.hint == "Correct its entry in security.encryption.keys."
    assert versions(rotating) == {(1,)}
    assert not (rotating.directory / "reloads").exists()

    rotating.change("keys/other", "keys/v2")
    assert calendar.run().state == "finished"
    assert versions(rotating) == {(2,)}
