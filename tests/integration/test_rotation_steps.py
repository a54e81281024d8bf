"""Rotations that need a person, fail, or are not as the schedule expected; in this process, with real servers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from fluxbase_cli.errors import ConfigurationError, JobFailedError
from fluxbase_cli.report.rotation import rotation_lines
from fluxbase_cli.rotation.context import Moment
from fluxbase_cli.rotation.figures import JobFigures
from fluxbase_cli.seal import fingerprint
from fluxbase_cli.store.rotations import RotationState, RotationStep
from tests.fixtures.fluxbase import Fluxbase, seal
from tests.fixtures.kms import Kms
from tests.fixtures.rotating import FIRST_KEY, Calendar, Rotating


@pytest.fixture
def calendar(rotating: Rotating) -> Calendar:
    return Calendar(rotating)


@pytest.fixture
def state(rotating: Rotating) -> Callable[[], str]:
    return lambda: str(rotating.rows("SELECT state FROM fluxbase_rotation.rotation ORDER BY id DESC LIMIT 1")[0][0])


def versions(rotating: Rotating) -> set[tuple[int, ...]]:
    opened = Fluxbase(rotating.rotation.url).everything(rotating.keys())
    return {each.versions for each in opened.values() if each.versions}


def test_a_person_changes_a_file_that_the_tool_cannot_write_and_the_rotation_continues(
    rotating: Rotating, calendar: Calendar
) -> None:
    path = rotating.directory / "fluxbase.yaml"
    path.chmod(0o444)

    waiting = calendar.run()
    assert calendar.run().state == "waiting"

    assert (waiting.state, waiting.exit_code) == ("waiting", 1)
    assert versions(rotating) == {(1,)}
    told = "\n".join(calendar.warnings)
    assert f"key version 2 must be made active by hand in {path}: it is read-only" in told
    assert "        active_key_version: 2" in told
    assert f'        - version: 2\n            key: "{{{{ vault `{rotating.vault.mount}/keys/v2` }}}}"' in told
    assert rotating.endpoint.kinds == ["rotation.started", "rotation.waiting"]

    path.chmod(0o644)
    rotating.change("active_key_version: 1 ", "active_key_version: 2 ")
    rotating.change(
        "    key_destruction:",
        f'      - {{version: 2, key: "{{{{ vault `{rotating.vault.mount}/keys/v2` }}}}"}}\n    key_destruction:',
    )
    path.chmod(0o444)
    done = calendar.run()

    assert (done.state, done.rotation, done.to_version) == ("finished", 1, 2)
    assert versions(rotating) == {(2,)}
    assert set(rotating.keys()) == {1, 2}


def test_a_reload_command_that_fails_stops_the_rotation_before_the_first_value_and_is_run_again(
    rotating: Rotating, calendar: Calendar
) -> None:
    rotating.change("/reloads", "/reloads; exit 7")

    with pytest.raises(JobFailedError, match="reload_command sh ended with exit code 7"):
        calendar.run()

    assert versions(rotating) == {(1,)}
    rotator = calendar.rotator()
    with pytest.raises(JobFailedError):
        rotator.run()
    failed = rotator.figures
    assert (failed.succeeded, failed.known, failed.job) == (False, True, JobFigures())
    ((due_at,),) = rotating.rows("SELECT due_at FROM fluxbase_rotation.rotation")
    assert failed.due_since == due_at
    rotating.change("; exit 7", "")

    last = calendar.rotator()
    done = last.run()

    assert (last.figures.succeeded, last.figures.due_since) == (True, None)

    assert (done.state, done.rotation) == ("finished", 1)
    assert rotating.endpoint.kinds == ["rotation.started", "rotation.failed", "rotation.failed", "rotation.finished"]
    assert (rotating.directory / "reloads").read_text() == "x\n" * 3


def test_a_rotation_that_was_rolled_back_is_abandoned_and_its_key_is_never_used_again(
    rotating: Rotating, calendar: Calendar, state: Callable[[], str]
) -> None:
    rotating.change("/reloads", "/reloads; exit 7")
    with pytest.raises(JobFailedError):
        calendar.run()
    rolled = rotating.command("secrets", "rollback", "--to-version", "1", "--reason", "New key compromised")
    assert rolled.code == 0, rolled.all
    rotating.change("active_key_version: 2 ", "active_key_version: 1 ")
    rotating.change("; exit 7", "")

    report = calendar.run()

    assert report.state == "not-due"
    assert state() == RotationState.ABANDONED
    assert "rotation 1 to version 2 is given up: job 1 rolled back from it" in calendar.warnings
    forced = calendar.run(force=True)
    assert (forced.state, forced.from_version, forced.to_version) == ("finished", 1, 3)
    assert versions(rotating) == {(3,)}


def test_a_new_key_that_is_disabled_before_the_values_move_is_not_used_to_seal(
    rotating: Rotating, calendar: Calendar
) -> None:
    """A person disables it at the moment when the servers are reloaded."""

    def disable(step: RotationStep, moment: Moment) -> None:
        if (step, moment) == (RotationStep.RELOAD, Moment.DONE):
            rotating.rows(
                "WITH key AS (INSERT INTO fluxbase_keys.key (version, fingerprint) VALUES (2, %s)"
                " ON CONFLICT (version, fingerprint) DO UPDATE SET version = excluded.version RETURNING id)"
                " INSERT INTO fluxbase_keys.event (key, os_user, host, what)"
                " SELECT id, 'x', 'y', 'key-disabled' FROM key",
                fingerprint(rotating.keys()[2]),
            )

    rotator = calendar.rotator(listener=disable)

    with pytest.raises(ConfigurationError, match=r"key version 2 .* is disabled: nothing is sealed under it any more"):
        rotator.run()

    assert versions(rotating) == {(1,)}
    assert rotating.command("keys", "enable", "--key-version", "2").code == 0
    assert calendar.run().state == "finished"
    assert versions(rotating) == {(2,)}


def test_a_version_that_was_set_back_by_hand_causes_a_question_and_is_not_overruled(
    rotating: Rotating, calendar: Calendar
) -> None:
    rotating.change("/reloads", "/reloads; exit 7")
    with pytest.raises(JobFailedError):
        calendar.run()
    rotating.change("active_key_version: 2 ", "active_key_version: 1 ")
    rotating.change("; exit 7", "")

    report = calendar.run()

    assert report.state == "waiting"
    assert any("version 1 is active, and this rotation had made version 2 active" in each for each in calendar.warnings)
    assert versions(rotating) == {(1,)}


def test_undecryptable_values_are_reported_with_their_location_and_keep_old_keys_alive(
    rotating: Rotating, calendar: Calendar
) -> None:
    rotating.configure(retain=0)
    flux = Fluxbase(rotating.rotation.url)
    bad = flux.secret(seal(b"\x99" * 32, "sealed by a stranger"))
    flux.close()

    report = calendar.run()

    assert (report.state, report.undecryptable, report.exit_code) == ("finished", 1, 4)
    (told,) = (data for request in rotating.endpoint.requests if (data := request.verify())["type"].endswith("able"))
    (value,) = told["data"]["values"]
    assert (value["location"], value["id"]) == ("functions.secrets.encrypted_value", str(bad))
    assert [each.refusals != () for each in report.retired] == [True]
    assert any("key version 1 is kept: 1 value opens under no key" in each for each in calendar.warnings)
    assert any(each.startswith("undecryptable secrets that were left as they are: 1") for each in calendar.warnings)
    assert set(rotating.keys()) == {1, 2}


def test_a_key_source_that_refuses_to_destroy_a_key_does_not_stop_the_rotation(
    rotating: Rotating, calendar: Calendar
) -> None:
    rotating.configure(retain=0, cooling_off="0")
    calendar.now += timedelta(hours=1)
    mount = rotating.vault.mount
    calendar.environ["VAULT_TOKEN"] = rotating.vault.server.token_for(
        f'path "{mount}/data/*" {{ capabilities = ["create", "read"] }} '
        f'path "{mount}/metadata/*" {{ capabilities = ["read"] }} '
        f'path "sys/internal/ui/mounts/{mount}" {{ capabilities = ["read"] }}'
    )

    refused = calendar.run()
    del calendar.environ["VAULT_TOKEN"]
    granted = calendar.run()

    assert (refused.state, [each.refusals != () for each in refused.retired]) == ("finished", [False, True])
    assert (granted.state, [each.refusals for each in granted.retired]) == ("not-due", [()])
    assert set(rotating.keys()) == {2}
    assert rotating.endpoint.kinds.count("key.destroyed") == 1


def test_a_key_that_is_not_configured_does_not_count_as_the_new_key(rotating: Rotating, calendar: Calendar) -> None:
    rotating.vault.put("keys/v2", key="ab" * 32)

    with pytest.raises(ConfigurationError, match="there is a key of version 2 already"):
        calendar.run()

    assert rotating.vault.get("keys/v2") == {"key": "ab" * 32}
    assert rotating.rows("SELECT count(*) FROM fluxbase_rotation.rotation") == [(0,)]


def test_a_key_that_was_prepared_and_configured_is_the_new_one(rotating: Rotating, calendar: Calendar) -> None:
    rotating.vault.put("keys/v2", key="ab" * 32)
    rotating.change(
        "    key_destruction:",
        f'      - {{version: 2, key: "{{{{ vault `{rotating.vault.mount}/keys/v2` }}}}"}}\n    key_destruction:',
    )

    assert calendar.run().to_version == 2

    assert rotating.vault.get("keys/v2") == {"key": "ab" * 32}
    assert versions(rotating) == {(2,)}


def test_a_key_that_is_configured_and_not_made_yet_is_made_where_its_entry_says(
    rotating: Rotating, calendar: Calendar
) -> None:
    rotating.change(
        "    key_destruction:",
        f'      - {{version: 2, key: "{{{{ vault `{rotating.vault.mount}/elsewhere#new` }}}}"}}\n    key_destruction:',
    )

    assert calendar.run().to_version == 2

    new = bytes.fromhex(rotating.vault.get("elsewhere")["new"])
    opened = Fluxbase(rotating.rotation.url).everything({2: new})
    assert sum(each.versions == (2,) for each in opened.values()) == 40


def test_keys_of_the_environment_wait_until_a_person_makes_the_next_key(rotating: Rotating, calendar: Calendar) -> None:
    rotating.change("provider: vault", "provider: env")
    rotating.change(f"{{{{ vault `{rotating.vault.mount}/keys/v1` }}}}", "${KEY_1}")
    calendar.environ |= {"KEY_1": FIRST_KEY, "KEY_2": "cd" * 32}

    with pytest.raises(ConfigurationError) as caught:
        calendar.run()

    assert caught.value.message == "the provider 'env' can't make a key, and no version after 1 is configured"
    assert "`fluxbase-cli keys generate`, configure it as version 2" in (caught.value.hint or "")
    rotating.change("    key_destruction:", '      - {version: 2, key: "${KEY_2}"}\n    key_destruction:')
    report = calendar.run()
    assert (report.state, report.to_version) == ("finished", 2)
    assert "active_key_version: 2 " in rotating.file
    opened = Fluxbase(rotating.rotation.url).everything({2: bytes.fromhex("cd" * 32)})
    assert sum(each.versions == (2,) for each in opened.values()) == 40


def test_without_auto_reencrypt_the_key_changes_and_the_values_wait(rotating: Rotating, calendar: Calendar) -> None:
    rotating.change("auto_reencrypt: true", "auto_reencrypt: false")
    rotating.configure_retention(0)

    report = calendar.run()

    assert (report.state, report.job, report.by_version) == ("finished", None, {1: 40, 2: 0})
    assert any("40 values open under version 1" in each for each in calendar.warnings)
    assert set(rotating.keys()) == {1, 2}


def test_notifications_that_a_killed_run_did_not_send_are_sent_by_the_next_run(
    rotating: Rotating, calendar: Calendar
) -> None:
    rotating.endpoint.answers = [404, 404]
    assert calendar.run().undelivered == ("127.0.0.1 answered 404",) * 2
    rotating.rows("UPDATE fluxbase_rotation.rotation_notice SET ended_at = NULL, error = NULL WHERE kind LIKE '%%ed'")

    assert calendar.run().undelivered == ()

    first, second = rotating.endpoint.requests[:2], rotating.endpoint.requests[2:]
    assert [each.headers["webhook-id"] for each in first] == [each.headers["webhook-id"] for each in second]


def test_a_young_key_is_not_rotated_without_an_explicit_request(rotating: Rotating, calendar: Calendar) -> None:
    rotating.change("enabled: true", "enabled: true\n      min_age: 60d")
    calendar.run()
    calendar.now += timedelta(days=40)

    young = calendar.run()
    forced = calendar.run(force=True)

    assert young.state == "not-due"
    assert "min_age is 60d" in young.decision.why
    assert forced.to_version == 3


def test_keys_of_aws_kms_are_made_wrapped_and_destroyed_by_rotations(
    rotating: Rotating, calendar: Calendar, kms: Kms, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first key is in the environment. So this test also shows a move to KMS."""
    rotating.configure(retain=0, cooling_off="0")
    rotating.change("provider: vault", f"provider: aws_kms\n    kms_key_id: {kms.key()}")
    rotating.change(
        f'key: "{{{{ vault `{rotating.vault.mount}/keys/v1` }}}}"', 'provider: env\n        key: "${KEY_1}"'
    )
    calendar.environ["KEY_1"] = FIRST_KEY
    # After the times that the database will record.
    calendar.now += timedelta(hours=1)
    # boto3 reads the environment of the process.
    for name, value in kms.environment(rotating.directory).items():
        monkeypatch.setenv(name, value)

    first = calendar.run()
    second = calendar.run(force=True)

    assert (first.state, first.to_version, first.by_version[2]) == ("finished", 2, 40)
    assert (second.state, second.to_version, second.by_version[3]) == ("finished", 3, 40)
    assert [each.left_to_do != () for each in first.retired] == [False, True]
    # The key is a variable, which only its owner can remove. So it is not said that it was destroyed.
    assert "destroyed; only you can remove it from its source" in "\n".join(rotation_lines(first))
    assert rotating.rows("SELECT version FROM fluxbase_keys.wrapped_key") == [(3,)]
    assert "active_key_version: 3 " in rotating.file
    assert rotating.file.count("version: ") == 2


def test_a_weak_key_that_somebody_has_prepared_is_not_made_active_for_values(
    rotating: Rotating, calendar: Calendar
) -> None:
    rotating.vault.put("keys/v2", key="a" * 32)
    rotating.change(
        "    key_destruction:",
        f'      - {{version: 2, key: "{{{{ vault `{rotating.vault.mount}/keys/v2` }}}}"}}\n    key_destruction:',
    )

    with pytest.raises(ConfigurationError, match=r"key version 2 at .* is not used as a new key"):
        calendar.run()

    assert versions(rotating) == {(1,)}
    assert "active_key_version: 1 " in rotating.file
    assert rotating.rows("SELECT count(*) FROM fluxbase_rotation.rotation") == [(0,)]
