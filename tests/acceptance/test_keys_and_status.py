"""`keys generate`, `keys list` and `secrets status`."""

from __future__ import annotations

import base64

import pytest

from fluxbase_cli.seal import fingerprint
from tests.fixtures.command import NEW_KEY, OLD_KEY, Command, Rotation

_RE_ENCRYPT = ("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2")


@pytest.mark.parametrize("encoding", ["hex", "base64", "raw"])
def test_a_generated_key_can_be_used_without_changes(command: Command, encoding: str) -> None:
    outcome = command("keys", "generate", "--encoding", encoding)
    key = outcome.stdout.rstrip("\n")
    secret = {"hex": bytes.fromhex, "base64": base64.b64decode, "raw": str.encode}[encoding](key)

    assert outcome.code == 0
    assert outcome.stdout.count("\n") == 1
    assert outcome.stderr == ""
    assert len(secret) == 32
    for variables in (
        {"FLUXBASE_SECRET_KEY_3": key},
        {"FLUXBASE_ENCRYPTION_KEY": key},
    ):
        listed = command.having(**variables)("keys", "list", "-o", "json").json["keys"]
        assert [each["fingerprint"] for each in listed] == [fingerprint(secret)]
        assert listed[0]["warnings"] == []


def test_two_generated_keys_are_different(command: Command) -> None:
    assert command("keys", "generate").stdout != command("keys", "generate").stdout


def test_a_generated_key_can_be_printed_as_json(command: Command) -> None:
    data = command("keys", "generate", "-o", "json").json

    assert data["fingerprint"] == fingerprint(bytes.fromhex(data["key"]))


def test_keys_list_shows_fingerprints_and_never_the_key(command: Command) -> None:
    command = command.having(FLUXBASE_SECRET_KEY_1=OLD_KEY.hex(), FLUXBASE_SECRET_KEY_2=NEW_KEY.hex())
    for form in ("table", "json", "yaml"):
        outcome = command("keys", "list", "-o", form)

        assert outcome.code == 0
        for key in (OLD_KEY, NEW_KEY):
            assert fingerprint(key) in outcome.stdout
            assert key.hex() not in outcome.all
            assert base64.b64encode(key).decode() not in outcome.all


def test_status_works_on_a_database_without_any_job(rotation: Rotation) -> None:
    outcome = rotation.command("secrets", "status")

    assert outcome.code == 0
    assert outcome.stdout == "No job has run on this database yet.\n"
    assert rotation.command("secrets", "status", "-o", "json").json == {"jobs": []}
    assert rotation.value("SELECT to_regnamespace('fluxbase_rotation')") is None


def test_status_lists_the_newest_job_first(rotation: Rotation) -> None:
    rotation.seed(1000)
    rotation.command(*_RE_ENCRYPT)
    rotation.command("secrets", "rollback", "--to-version", "1", "--reason", "New key compromised")

    lines = rotation.command("secrets", "status").stdout.splitlines()
    jobs = rotation.command("secrets", "status", "-o", "json").json["jobs"]

    assert [line.split()[:3] for line in lines[1:]] == [
        ["2", "rollback", "completed"],
        ["1", "re-encrypt", "completed"],
    ]
    assert [(job["job"], job["re_encrypted"], job["percent"], job["alive"]) for job in jobs] == [
        (2, 1000, 100, False),
        (1, 850, 100, False),
    ]


def test_status_of_one_job_shows_its_undecryptable_values_and_who_did_what(rotation: Rotation) -> None:
    rotation.seed(1000)
    broken = rotation.value(
        "UPDATE functions.secrets SET encrypted_value = overlay(encrypted_value PLACING 'AAAA' FROM 9)"
        " WHERE id = (SELECT id FROM functions.secrets LIMIT 1) RETURNING id"
    )
    rotation.command(*_RE_ENCRYPT)

    text = rotation.command("secrets", "status", "1").stdout
    data = rotation.command("secrets", "status", "1", "-o", "json").json

    assert "Job 1: re-encrypt, version 1 to 2, completed, 100% done" in text
    assert str(broken) in text
    assert [each["id"] for each in data["quarantine"]] == [str(broken)]
    assert [event["what"] for event in data["events"]] == ["started", "completed"]
    assert data["fingerprints"] == {"1": fingerprint(OLD_KEY), "2": fingerprint(NEW_KEY)}


def test_an_unknown_job_is_a_usage_error(rotation: Rotation) -> None:
    rotation.seed(20)
    assert rotation.command("secrets", "status", "1").code == 2
    rotation.command(*_RE_ENCRYPT)

    outcome = rotation.command("secrets", "status", "99")

    assert outcome.code == 2
    assert outcome.stderr.startswith("Error: there is no job 99")


def test_status_needs_no_keys(rotation: Rotation) -> None:
    rotation.seed(20)
    rotation.command(*_RE_ENCRYPT)

    command = rotation.command.lacking("FLUXBASE_SECRET_KEY_1", "FLUXBASE_SECRET_KEY_2")

    assert command("secrets", "status", "1").code == 0
