"""A job begins at the same time as a destroy of its target key. One of the two wins, and the other is refused.

The independent reader checks the result: no value may be under a destroyed key.
"""

from __future__ import annotations

import os
import secrets
from contextlib import ExitStack

import pytest

from fluxbase_cli.seal import fingerprint
from tests.faults.reader import read
from tests.fixtures.command import NEW_KEY, OLD_KEY, Outcome, Rotation, until
from tests.fixtures.openbao import KeyValues

_DESTROY = ("keys", "destroy", "--key-version", "1")
_ROLLBACK = ("secrets", "rollback", "--to-version", "1", "--reason", "test")
_BACKWARD = ("secrets", "re-encrypt", "--from-version", "2", "--to-version", "1")
_ROUNDS = int(os.environ.get("FLUXBASE_TEST_FAULT_ROUNDS", "4"))


@pytest.fixture
def rotated(rotation: Rotation) -> Rotation:
    """Every value is under version 2."""
    rotation.seed(60, new_share=1.0)
    return rotation


def state(rotation: Rotation) -> str:
    keys = rotation.command("keys", "list", "-o", "json").json["keys"]
    return str(next(key["state"] for key in keys if key["version"] == 1))


@pytest.mark.parametrize("job", [_ROLLBACK, _BACKWARD], ids=["rollback", "re-encrypt"])
@pytest.mark.parametrize(("step", "word"), [(("--now", "--yes", "--reason", "test"), "destroyed"), ((), "disabled")])
def test_a_job_that_waits_at_its_question_does_not_seal_under_a_key_that_was_destroyed_meanwhile(
    rotated: Rotation, job: tuple[str, ...], step: tuple[str, ...], word: str
) -> None:
    """One terminal shows the question. The key is destroyed in another terminal. Then the operator types y."""
    destroyed: list[Outcome] = []

    def destroy_and_say_yes() -> str:
        destroyed.append(rotated.command(*_DESTROY, *step))
        return "y"

    outcome = rotated.command.on_terminal(*job, answers=[("Go ahead?", destroy_and_say_yes)])

    assert [each.code for each in destroyed] == [0], destroyed[0].all
    assert outcome.code == 2, outcome.all
    assert f"is {word}: nothing is sealed under it any more" in " ".join(outcome.stdout.split())
    assert read(rotated.url).versions == {2: 60}
    assert state(rotated) == word
    assert rotated.value("SELECT count(*) FROM fluxbase_rotation.job") == 0


@pytest.mark.parametrize("change", ["another key", "no key"])
def test_a_job_does_not_seal_under_a_key_that_changed_in_its_key_source(
    rotated: Rotation, openbao: KeyValues, change: str
) -> None:
    """Nothing about it is recorded: the key in Vault was changed or deleted while the question was open."""
    openbao.put("keys/v1", key=OLD_KEY.hex())
    openbao.put("keys/v2", key=NEW_KEY.hex())
    keys = "".join(
        f'      - {{version: {version}, key: "{{{{ vault `{openbao.mount}/keys/v{version}` }}}}"}}\n'
        for version in (1, 2)
    )
    rotated.command.write("fluxbase.yaml", f"security:\n  encryption:\n    active_key_version: 2\n    keys:\n{keys}")
    command = rotated.command.lacking("FLUXBASE_SECRET_KEY_1", "FLUXBASE_SECRET_KEY_2").having(
        **openbao.server.environ()
    )

    def change_and_say_yes() -> str:
        if change == "another key":
            openbao.put("keys/v1", key="ab" * 32)
        else:
            openbao.server.ask("DELETE", f"{openbao.mount}/metadata/keys/v1")
        return "y"

    outcome = command.on_terminal(*_ROLLBACK, answers=[("Go ahead?", change_and_say_yes)])

    assert outcome.code == 2, outcome.all
    assert read(rotated.url).versions == {2: 60}
    assert rotated.value("SELECT count(*) FROM fluxbase_rotation.job") == 0


def test_when_a_job_and_a_destroy_start_at_the_same_moment_one_wins(rotation: Rotation) -> None:
    rotation.seed(60, new_share=1.0)
    winners = []
    for number in range(_ROUNDS):
        # A different key for each round, because a destroyed key stays destroyed; so the pin of the last round goes.
        if rotation.value("SELECT to_regclass('fluxbase_keys.key')"):
            rotation.rows("UPDATE fluxbase_keys.key SET pinned_at = NULL WHERE version = 1")
        key = secrets.token_bytes(32)
        command = rotation.command.having(FLUXBASE_SECRET_KEY_1=key.hex())
        lines = [_ROLLBACK, (*_DESTROY, "--now", "--yes", "--reason", "test", "-o", "json")]
        with ExitStack() as stack:
            started = [stack.enter_context(command.start(*line)) for line in lines[:: -1 if number % 2 else 1]]
            outcomes = [each.finish() for each in started][:: -1 if number % 2 else 1]
        job, destroy = outcomes
        left = read(rotation.url, keys={1: key, 2: NEW_KEY})
        assert left.lost == ()
        if destroy.code == 0:
            assert job.code == 2, job.all
            assert "nothing is sealed under it any more" in job.stderr
            assert left.versions == {2: 60}
        else:
            assert (job.code, destroy.code) == (0, 3), job.all + destroy.all
            assert left.versions == {1: 60}
            assert command("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2").code == 0
        winners.append("destroy" if destroy.code == 0 else "job")
    print(winners)  # noqa: T201  # which of the two is first depends on the machine


@pytest.mark.parametrize("joins", [False, True], ids=["resumed", "joined"])
def test_an_interrupted_job_is_not_resumed_to_a_key_that_was_disabled(rotation: Rotation, joins: bool) -> None:  # noqa: FBT001
    """An earlier version of the command, or a person, has disabled the key while the job was unfinished."""
    rotation.seed(2000, new_share=1.0)
    slow = (*_ROLLBACK, "--batch-size", "10", "--concurrency", "1", "--max-rate", "100")
    with rotation.command.start(*slow) as running:
        until(lambda: rotation.rows_done() > 20 or running.ended, "the job is at work")
        if not joins:
            running.kill()

        def disable_and_say_yes() -> str:
            rotation.rows(
                "WITH key AS (INSERT INTO fluxbase_keys.key (version, fingerprint) VALUES (1, %s)"
                " ON CONFLICT (version, fingerprint) DO UPDATE SET version = excluded.version RETURNING id)"
                " INSERT INTO fluxbase_keys.event (key, os_user, host, what)"
                " SELECT id, 'x', 'y', 'key-disabled' FROM key",
                fingerprint(OLD_KEY),
            )
            return "y"

        more = ("--join",) if joins else ()
        outcome = rotation.command.on_terminal(*_ROLLBACK, *more, answers=[("Go ahead?", disable_and_say_yes)])

    assert outcome.code == 2, outcome.all
    assert "is disabled: nothing is sealed under it any more" in " ".join(outcome.stdout.split())
    assert rotation.value("SELECT count(*) FROM fluxbase_rotation.event WHERE what IN ('resumed', 'joined')") == 0
