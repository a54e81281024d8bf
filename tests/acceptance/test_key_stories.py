"""The rotation of the runbook, from the new key to the destroyed old key, with keys in Vault and in AWS KMS."""

from __future__ import annotations

import json
import re
from contextlib import suppress

import pytest

from fluxbase_cli.seal import fingerprint
from tests.faults.reader import read
from tests.fixtures.command import NEW_KEY, OLD_KEY, Command, Outcome, Rotation
from tests.fixtures.kms import Kms, StandIn
from tests.fixtures.openbao import KeyValues, Refused

_PATH = "fluxbase/keys"


def done(outcome: Outcome) -> Outcome:
    assert outcome.code == 0, outcome.all
    return outcome


@pytest.fixture
def vault(command: Command, openbao: KeyValues, fluxbase_database: str) -> Rotation:
    """Version 1 is in Vault, and version 2 has an entry and no key yet."""
    openbao.put(f"{_PATH}/v1", key=OLD_KEY.hex())
    keys = "".join(
        f'      - version: {version}\n        key: "{{{{ vault `{openbao.mount}/{_PATH}/v{version}` }}}}"\n'
        for version in (1, 2)
    )
    command.write("fluxbase.yaml", f"security:\n  encryption:\n    active_key_version: 2\n    keys:\n{keys}")
    return Rotation(
        command.having(FLUXBASE_DATABASE_URL=fluxbase_database, **openbao.server.environ()), fluxbase_database
    )


def test_a_rotation_with_keys_in_vault_ends_with_the_old_key_destroyed(vault: Rotation, openbao: KeyValues) -> None:
    vault.seed(100, new_share=0.0)
    before = read(vault.url)

    stored = done(vault.command("keys", "generate", "--store", "-o", "json")).json
    assert (stored["version"], stored["provider"]) == (2, "vault")
    new_key = bytes.fromhex(openbao.get(f"{_PATH}/v2")["key"])
    assert stored["fingerprint"] == fingerprint(new_key)
    again = vault.command("keys", "generate", "--store", "--key-version", "2")
    assert again.code == 2
    assert "nothing was written" in again.stderr
    assert openbao.get(f"{_PATH}/v2")["key"] == new_key.hex()

    assert done(vault.command("keys", "verify", "-o", "json")).json["ok"]
    done(vault.command("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2", "--yes"))
    assert done(vault.command("secrets", "audit", "--key-version", "1")).stdout == (
        "No secrets found encrypted with key version 1\n"
    )
    after = read(vault.url, keys={1: OLD_KEY, 2: new_key})
    assert (after.versions, after.lost) == ({2: 100}, ())
    assert after.plaintexts == before.plaintexts

    openbao.put(f"{_PATH}/v1", key=OLD_KEY.hex())  # several versions of the secret, as after some years
    done(vault.command("keys", "destroy", "--key-version", "1"))
    assert openbao.has(f"{_PATH}/v1")
    refused = vault.command("keys", "destroy", "--key-version", "1", "--confirm", fingerprint(OLD_KEY))
    assert refused.code == 3
    destroyed = done(
        vault.command("keys", "destroy", "--key-version", "1", "--now", "--yes", "--reason", "test", "-o", "json")
    ).json
    assert (destroyed["state"], destroyed["gone"]) == ("destroyed", True)
    assert f"{openbao.mount}/{_PATH}/v1" in destroyed["source"]

    assert not openbao.has(f"{_PATH}/v1")
    with suppress(Refused):
        openbao.server.ask("POST", f"{openbao.mount}/undelete/{_PATH}/v1", {"versions": [1, 2]})
    with pytest.raises(Refused) as gone:
        openbao.get(f"{_PATH}/v1")
    assert gone.value.status == 404
    assert "destroyed already" in done(vault.command("keys", "destroy", "--key-version", "1")).stdout
    # Its entry is still in the configuration. That gives a warning and nothing else.
    for line in (("keys", "list"), ("secrets", "audit"), ("keys", "verify"), ("config", "check")):
        outcome = done(vault.command(*line))
        assert "destroyed" in outcome.all, line
    states = {key["version"]: key for key in vault.command("keys", "list", "-o", "json").json["keys"]}
    assert (states[1]["state"], states[2]["state"]) == ("destroyed", "enabled")
    assert "created_at" in states[2]
    next_one = done(vault.command("keys", "generate", "--store", "-o", "json")).json
    assert next_one["version"] == 3
    assert next_one["setting"] == {"key": f"{{{{ vault `{openbao.mount}/{_PATH}/v3` }}}}"}
    assert vault.command("keys", "generate", "--store", "--key-version", "1").code == 2


def test_a_destroy_that_was_killed_before_it_was_recorded_can_be_completed(vault: Rotation, openbao: KeyValues) -> None:
    """Vault has destroyed the key. The process died before it could record that."""
    vault.seed(30, new_share=0.0)
    done(vault.command("keys", "generate", "--store"))
    done(vault.command("secrets", "re-encrypt", "--yes"))
    done(vault.command("keys", "destroy", "--key-version", "1"))
    vault.rows(
        "INSERT INTO fluxbase_keys.event (key, os_user, host, what, detail)"
        " SELECT key, os_user, host, 'key-destroying', detail FROM fluxbase_keys.event WHERE what = 'key-disabled'"
    )
    openbao.server.ask("DELETE", f"{openbao.mount}/metadata/{_PATH}/v1")

    done(vault.command("secrets", "audit"))
    outcome = done(
        vault.command("keys", "destroy", "--key-version", "1", "--now", "--yes", "--reason", "test", "-o", "json")
    )

    assert (outcome.json["state"], outcome.json["already"]) == ("destroyed", False)


def test_a_key_that_is_missing_and_was_never_destroyed_is_an_error(vault: Rotation) -> None:
    outcome = vault.command("secrets", "audit")

    assert outcome.code == 2
    assert "keys[1].key" in outcome.stderr


@pytest.fixture
def kms_rotation(
    command: Command, kms_stand_in: StandIn, kms_environment: dict[str, str], fluxbase_database: str
) -> Rotation:
    """Version 1 is a variable. KMS wraps new keys."""
    wrapping = Kms(kms_environment["AWS_ENDPOINT_URL_KMS"]).key()
    command.write(
        "fluxbase.yaml",
        f'security:\n  encryption:\n    kms_key_id: "{wrapping}"\n    keys:\n'
        '      - version: 1\n        key: "${OLD_SECRET_KEY}"\n',
    )
    return Rotation(
        command.having(
            **{**kms_environment, "AWS_ENDPOINT_URL_KMS": kms_stand_in.url},
            FLUXBASE_DATABASE_URL=fluxbase_database,
            OLD_SECRET_KEY=OLD_KEY.hex(),
        ),
        fluxbase_database,
    )


def test_a_rotation_with_keys_wrapped_by_kms_keeps_no_key_in_plain_text(
    kms_rotation: Rotation, kms_stand_in: StandIn, kms_environment: dict[str, str]
) -> None:
    rotation = kms_rotation
    rotation.seed(100, new_share=0.0)
    before = read(rotation.url)

    stored = done(rotation.command("keys", "generate", "--store", "-o", "json")).json
    assert (stored["version"], stored["provider"]) == (2, "aws_kms")
    assert "fluxbase_keys.wrapped_key" in stored["source"]
    kms_stand_in.calls.clear()
    done(rotation.command("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2", "--yes"))
    # One call for each key version, and one more when the job begins. The number of values does not matter.
    assert dict(kms_stand_in.calls) == {"Decrypt": 2}
    assert done(rotation.command("secrets", "audit", "-o", "json")).json["by_version"] == {"1": 0, "2": 100}

    ciphertext = bytes(rotation.value("SELECT ciphertext FROM fluxbase_keys.wrapped_key WHERE version = 2"))
    plaintext = (
        Kms(kms_environment["AWS_ENDPOINT_URL_KMS"])
        .client()
        .decrypt(CiphertextBlob=ciphertext, EncryptionContext={"app": "fluxbase", "key_version": "2"})["Plaintext"]
    )
    assert read(rotation.url, keys={2: plaintext}).plaintexts == before.plaintexts
    everything = "\n".join(
        str(row)
        for table in (
            "fluxbase_rotation.event",
            "fluxbase_rotation.job",
            "fluxbase_rotation.shard",
            "fluxbase_keys.event",
            "fluxbase_keys.key",
            "fluxbase_keys.wrapped_key",
        )
        for row in rotation.rows(f"SELECT t::text FROM {table} AS t")
    )
    files = "\n".join(path.read_text() for path in rotation.command.directory.rglob("*") if path.is_file())
    assert plaintext.hex() not in everything + files

    # Back, then forward again: a variable and a wrapped key in one key ring, in both directions.
    done(rotation.command("secrets", "rollback", "--to-version", "1", "--reason", "test", "--yes"))
    assert read(rotation.url).plaintexts == before.plaintexts
    done(rotation.command("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2", "--yes"))
    outcome = done(rotation.command("keys", "destroy", "--key-version", "1", "--now", "--yes", "--reason", "test"))
    assert "${OLD_SECRET_KEY}" in outcome.stderr


def test_wrapped_keys_move_to_another_kms_key_and_are_destroyed_with_their_wrapped_form(
    kms_rotation: Rotation, kms_environment: dict[str, str]
) -> None:
    rotation, kms = kms_rotation, Kms(kms_environment["AWS_ENDPOINT_URL_KMS"])
    rotation.seed(20, new_share=0.0)
    second = done(rotation.command("keys", "generate", "--store", "-o", "json")).json
    done(rotation.command("secrets", "re-encrypt", "--yes"))
    sealed = rotation.rows("SELECT encrypted_value FROM functions.secrets ORDER BY id")

    other = kms.key()
    outcome = done(rotation.command("keys", "rewrap", "--kms-key-id", other, "-o", "json"))
    rewrapped = outcome.json["keys"]
    assert f"kms_key_id: {other}" in outcome.stderr
    assert [(key["version"], key["fingerprint"], key["kms_key_id"]) for key in rewrapped] == [
        (2, second["fingerprint"], other)
    ]
    assert rotation.rows("SELECT encrypted_value FROM functions.secrets ORDER BY id") == sealed
    assert rotation.value("SELECT kms_key_id FROM fluxbase_keys.wrapped_key") == other
    # After an interruption it is run again, before the configuration names the new KMS key.
    again = done(rotation.command("keys", "rewrap", "--kms-key-id", other, "-o", "json")).json["keys"]
    assert [key["fingerprint"] for key in again] == [second["fingerprint"]]
    refused = rotation.command("secrets", "audit")
    assert (refused.code, f"the KMS key {other} wraps it" in refused.stderr) == (2, True)
    yaml = (rotation.command.directory / "fluxbase.yaml").read_text()
    rotation.command.write("fluxbase.yaml", re.sub('kms_key_id: ".*"', f'kms_key_id: "{other}"', yaml))
    assert done(rotation.command("secrets", "audit", "-o", "json")).json["by_version"] == {"1": 0, "2": 20}
    assert rotation.command("keys", "generate", "--store", "--key-version", "2").code == 2

    third = done(rotation.command("keys", "generate", "--store", "-o", "json")).json
    assert third["version"] == 3
    done(rotation.command("secrets", "re-encrypt", "--to-version", "3", "--yes"))
    destroyed = done(
        rotation.command("keys", "destroy", "--key-version", "2", "--now", "--yes", "--reason", "test", "-o", "json")
    ).json
    assert destroyed["state"] == "destroyed"
    assert rotation.rows("SELECT version FROM fluxbase_keys.wrapped_key") == [(3,)]
    listed = json.loads(done(rotation.command("keys", "list", "-o", "json")).stdout)["keys"]
    assert [(key["version"], key["state"]) for key in listed] == [(1, "enabled"), (2, "destroyed"), (3, "enabled")]
    assert "destroyed already" in done(rotation.command("keys", "destroy", "--key-version", "2")).stdout


def test_the_database_is_needed_for_keys_that_may_be_wrapped(kms_rotation: Rotation, closed_port: str) -> None:
    outcome = kms_rotation.command.having(FLUXBASE_DATABASE_URL=closed_port)("keys", "list")

    assert outcome.code == 1
    assert "can't connect" in outcome.stderr
    assert NEW_KEY.hex() not in outcome.all
