"""`keys generate --out` and `--store`, `keys list --count`, `keys verify`: with keys from the environment."""

from __future__ import annotations

import stat

from fluxbase_cli.seal import fingerprint
from tests.fixtures.command import NEW_KEY, OLD_KEY, Command, Rotation


def test_a_key_is_written_to_a_file_for_its_owner_only_and_never_overwrites_a_file(command: Command) -> None:
    outcome = command("keys", "generate", "--out", "key")
    path = command.directory / "key"
    key = path.read_text()

    assert outcome.code == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert fingerprint(bytes.fromhex(key.strip())) in outcome.stdout
    assert key.strip() not in outcome.all

    again = command("keys", "generate", "--out", "key")
    assert again.code == 2
    assert "exists already" in again.stderr
    assert path.read_text() == key
    nowhere = command("keys", "generate", "--out", "no/such/folder")
    assert nowhere.code == 2
    assert "can't be written" in nowhere.stderr


def test_a_key_cannot_be_stored_in_the_environment(rotation: Rotation) -> None:
    outcome = rotation.command("keys", "generate", "--store")

    assert outcome.code == 2
    assert "can't store a key of version 3" in outcome.stderr
    assert "--out" in outcome.stderr
    assert rotation.command("keys", "generate", "--key-version", "3").code == 2
    assert rotation.command("keys", "generate", "--store", "--encoding", "raw").code == 2


def test_the_list_counts_what_each_key_seals(rotation: Rotation) -> None:
    rotation.seed(100)

    outcome = rotation.command("keys", "list", "--count", "-o", "json")

    assert {key["version"]: key["values"] for key in outcome.json["keys"]} == {1: 85, 2: 15}
    assert "85" in rotation.command("keys", "list", "--count").stdout


def test_the_list_shows_when_values_were_last_moved_to_a_key(rotation: Rotation) -> None:
    rotation.seed(20)
    rotation.command("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2")
    rotation.rows("UPDATE fluxbase_rotation.job SET finished_at = finished_at - interval '100 days'")

    listed = {key["version"]: key for key in rotation.command("keys", "list", "-o", "json").json["keys"]}

    assert "last_rotation" not in listed[1]
    assert "last_rotation" in listed[2]
    assert any("100 days old" in warning for warning in listed[2]["warnings"])


def test_the_list_works_without_a_database_but_says_what_is_unknown(command: Command, closed_port: str) -> None:
    outcome = command.having(FLUXBASE_SECRET_KEY_1=OLD_KEY.hex(), FLUXBASE_DATABASE_URL=closed_port)("keys", "list")

    assert outcome.code == 0
    assert fingerprint(OLD_KEY) in outcome.stdout
    assert "can't be asked which keys are disabled or destroyed" in outcome.stderr


def test_every_key_is_verified_even_if_one_is_bad(rotation: Rotation) -> None:
    good = rotation.command("keys", "verify", "-o", "json")
    assert (good.code, good.json["ok"]) == (0, True)
    assert [key["fingerprint"] for key in good.json["keys"]] == [fingerprint(OLD_KEY), fingerprint(NEW_KEY)]

    bad = rotation.command.having(FLUXBASE_SECRET_KEY_2="short", FLUXBASE_SECRET_KEY_3=OLD_KEY.hex())
    outcome = bad("keys", "verify", "-o", "json")
    assert outcome.code == 2
    problems = {key["version"]: key["problem"] for key in outcome.json["keys"]}
    assert problems[1] is None
    assert "5 bytes long" in problems[2]
    assert "same key as version 1" in problems[3]
    assert "✗ key version 2" in bad("keys", "verify").stdout
    assert rotation.command.lacking("FLUXBASE_SECRET_KEY_1", "FLUXBASE_SECRET_KEY_2")("keys", "verify").code == 2
