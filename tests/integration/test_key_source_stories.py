"""A whole rotation with the keys of each source that needs no code: made, used, proven, destroyed where that can be."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest

from fluxbase_cli.demo.seed import seed
from fluxbase_cli.seal import fingerprint
from tests.faults.reader import read
from tests.fixtures.aws_secrets import SecretStore
from tests.fixtures.command import NEW_KEY, OLD_KEY, Outcome
from tests.fixtures.in_process import InProcess
from tests.fixtures.transit import TransitMount

_DESTROY = ("keys", "destroy", "--key-version", "1", "--now", "--yes", "--reason", "test", "-o", "json")
_COUNT = 24
#: For a rotation by schedule.
_SCHEDULED = (
    "    server: {keyring: versioned}\n    key_rotation: {enabled: true, schedule: '0 2 1 * *', auto_reencrypt: true, "
    "retain_old_keys: 2, reload_command: ['true']}\n"
)


def done(outcome: Outcome) -> Outcome:
    assert outcome.code == 0, outcome.all
    return outcome


@pytest.fixture
def installed(tmp_path: Path, fluxbase_database: str) -> InProcess:
    """The command, and a database with values under the old key."""
    with psycopg.connect(fluxbase_database) as connection:
        seed(connection, count=_COUNT, old_key=OLD_KEY, new_key=NEW_KEY, new_share=0.0, rng_seed=1)
    return InProcess(tmp_path, {"FLUXBASE_DATABASE_URL": fluxbase_database})


def rotate(command: InProcess, new_key: bytes) -> None:
    """Move all values from version 1 to version 2, prove it, and read them without the product's code."""
    url = command.environment["FLUXBASE_DATABASE_URL"]
    before = read(url).plaintexts
    moved = done(command("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2", "--yes", "-o", "json"))
    assert (moved.json["re_encrypted"], moved.json["remaining"]) == (_COUNT, 0)
    audit = done(command("secrets", "audit", "--key-version", "1"))
    assert audit.stdout == "No secrets found encrypted with key version 1\n"
    after = read(url, keys={2: new_key})
    assert (after.versions, after.lost, after.plaintexts) == ({2: _COUNT}, (), before)


def test_keys_in_files_are_made_rotated_and_destroyed(installed: InProcess) -> None:
    installed.write("keys/v1", f"{OLD_KEY.hex()}\r\n")
    installed.write("keys/v1.bak", OLD_KEY.hex())
    installed.write(
        "fluxbase.yaml",
        "security:\n  encryption:\n    active_key_version: 2\n    keys:\n"
        "      - {version: 1, key_file: keys/v1}\n      - {version: 2, key_file: '${THE_FOLDER}/v2'}\n" + _SCHEDULED,
    )
    folder = installed.directory / "keys"
    command = installed.having(THE_FOLDER=str(folder))

    stored = done(command("keys", "generate", "--store", "-o", "json")).json
    new_key = bytes.fromhex((folder / "v2").read_text())
    assert (stored["version"], stored["provider"], stored["fingerprint"]) == (2, "file", fingerprint(new_key))
    assert (folder / "v2").stat().st_mode & 0o777 == 0o600
    again = command("keys", "generate", "--store", "--key-version", "2")
    assert (again.code, "nothing was written" in again.stderr) == (2, True)
    assert bytes.fromhex((folder / "v2").read_text()) == new_key

    rotate(command, new_key)
    listed = done(command("keys", "list", "-o", "json")).json["keys"]
    assert listed[0]["source"] == f"{folder}/v1 (fluxbase.yaml: security.encryption.keys[0].key_file)"
    assert "created_at" in listed[0]
    assert done(command("keys", "verify", "-o", "json")).json["ok"]

    destroyed = done(command(*_DESTROY)).json
    assert (destroyed["state"], destroyed["gone"]) == ("destroyed", True)
    assert sorted(path.name for path in folder.iterdir()) == ["v1.bak", "v2"]
    assert f"remove the key from {folder}/v1.bak, or the file: it still holds the key" in destroyed["left_to_do"]
    # Its entry is still in the configuration. That gives a warning and nothing else.
    assert "version 1 was destroyed" in done(command("secrets", "audit")).stderr
    # The next one by schedule: the key is made beside the others, and the file names it.
    rotated = done(command("rotation", "run", "--force", "-o", "json"))
    assert f"version: 3, key_file: {json.dumps(f'{folder}/v3')}" in (command.directory / "fluxbase.yaml").read_text()
    third = bytes.fromhex((folder / "v3").read_text())
    assert read(command.environment["FLUXBASE_DATABASE_URL"], keys={3: third}).versions == {3: _COUNT}, rotated.all


def test_a_file_of_kubernetes_is_read_and_the_operator_is_told_to_remove_it(installed: InProcess) -> None:
    """Each secret is a link into a folder that Kubernetes replaces as a whole."""
    mounted = installed.directory / "mounted"
    installed.write("mounted/..2026_11_27/v1", OLD_KEY.hex())
    installed.write("mounted/..2026_11_27/v2", NEW_KEY.hex())
    (mounted / "..data").symlink_to("..2026_11_27")
    for name in ("v1", "v2"):
        (mounted / name).symlink_to(f"..data/{name}")
    command = installed.having(
        FLUXBASE_SECRET_KEY_1_FILE=str(mounted / "v1"), FLUXBASE_SECRET_KEY_2_FILE=str(mounted / "v2")
    )

    rotate(command, NEW_KEY)

    destroyed = done(command(*_DESTROY)).json
    assert (destroyed["gone"], (mounted / "v1").exists()) == (False, True)
    assert destroyed["left_to_do"][0].startswith(
        f"remove the key from {mounted}/v1 (environment: FLUXBASE_SECRET_KEY_1_FILE)"
    )
    made = command("keys", "generate", "--store")
    assert (made.code, "nothing says in which file the key of version 3 goes" in made.stderr) == (2, True)


def test_keys_that_commands_print_are_rotated_and_the_operator_is_told_what_to_remove(installed: InProcess) -> None:
    store = installed.write("store", "")
    store.write_text(f"{OLD_KEY.hex()}\n{NEW_KEY.hex()}\n")
    entries = "".join(
        f'      - version: {version}\n        key_command: ["sed", "-n", "{version}p", "{store}"]\n'
        for version in (1, 2)
    )
    installed.write("fluxbase.yaml", f"security:\n  encryption:\n    keys:\n{entries}")

    rotate(installed, NEW_KEY)

    listed = done(installed("keys", "list", "-o", "json")).json["keys"]
    assert listed[0]["source"] == "command sed (fluxbase.yaml: security.encryption.keys[0].key_command)"
    assert str(store) not in done(installed("config", "check")).all
    made = installed("keys", "generate", "--store")
    assert (made.code, "the provider 'command' can't store a key of version 3" in made.stderr) == (2, True)
    destroyed = done(installed(*_DESTROY)).json
    assert destroyed["gone"] is False
    assert destroyed["left_to_do"][0].startswith("remove the key from command sed (fluxbase.yaml: ")
    for word in (OLD_KEY.hex(), NEW_KEY.hex()):
        assert word not in str(destroyed)


def test_keys_wrapped_by_vault_are_kept_in_no_plain_form_and_destroyed_with_their_wrapped_form(
    installed: InProcess, transit: TransitMount
) -> None:
    other = transit.make("other")
    installed.write(
        "fluxbase.yaml",
        f"security:\n  encryption:\n    kms_key_id: {transit.mount}/fluxbase\n    keys:\n"
        f"      - {{version: 1, ciphertext: '{transit.wrap('fluxbase', OLD_KEY)}', associated_data: ''}}\n"
        + _SCHEDULED,
    )
    command = installed.having(**transit.server.environ())
    url = installed.environment["FLUXBASE_DATABASE_URL"]

    stored = done(command("keys", "generate", "--store", "-o", "json")).json
    assert (stored["version"], stored["provider"]) == (2, "vault_transit")
    assert "fluxbase_keys.wrapped_key" in stored["source"]
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT provider, kms_key_id, ciphertext FROM fluxbase_keys.wrapped_key").fetchall()
        everything = connection.execute("SELECT string_agg(e::text, ' ') FROM fluxbase_keys.event AS e").fetchall()
    assert [row[:2] for row in rows] == [("vault_transit", f"{transit.mount}/fluxbase")]
    new_key = transit.unwrap("fluxbase", bytes(rows[0][2]).decode(), "app=fluxbase,key_version=2")
    assert new_key.hex() not in str(everything)
    assert done(command("config", "check", "-o", "json")).json["keys"][1]["provider"] == "vault_transit"

    rotate(command, new_key)

    rewrapped = done(command("keys", "rewrap", "--kms-key-id", other, "-o", "json")).json["keys"]
    assert [(key["version"], key["kms_key_id"]) for key in rewrapped] == [(1, other), (2, other)]
    refused = command("secrets", "audit")
    assert (refused.code, f"the key {other} of Vault wraps it" in refused.stderr) == (2, True)
    text = (command.directory / "fluxbase.yaml").read_text()
    installed.write("fluxbase.yaml", text.replace("kms_key_id: ", f"previous_kms_key_ids: [{other}]\n    kms_key_id: "))
    # The entry of version 1 still has its old form, which the old wrapping key opens.
    assert done(command("rotation", "run", "--force", "-o", "json")).json["to_version"] == 3
    words = ("keys", "destroy", "--key-version", "2", "--now", "--yes", "--reason", "test", "-o", "json")
    destroyed = done(command(*words)).json
    assert (destroyed["state"], destroyed["gone"]) == ("destroyed", True)
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT version FROM fluxbase_keys.wrapped_key").fetchall() == [(3,)]


def test_keys_in_aws_secrets_manager_are_made_rotated_and_destroyed(
    installed: InProcess, secret_store: SecretStore
) -> None:
    secret_store.put("keys/v1", OLD_KEY.hex())
    names = [f"{{{{ aws_secrets_manager `{secret_store.folder}/keys/v{version}` }}}}" for version in (1, 2)]
    entries = "".join(f'      - {{version: {n}, key: "{name}"}}\n' for n, name in enumerate(names, 1))
    installed.write(
        "fluxbase.yaml", f"security:\n  encryption:\n    keys:\n{entries}    active_key_version: 2\n{_SCHEDULED}"
    )
    command = installed.having(**secret_store.variables)

    stored = done(command("keys", "generate", "--store", "-o", "json")).json
    assert (stored["version"], stored["provider"]) == (2, "aws_secrets_manager")
    rotate(command, bytes.fromhex(secret_store.get("keys/v2")))
    listed = done(command("keys", "list", "-o", "json")).json["keys"]
    assert listed[0]["source"].startswith(f"AWS Secrets Manager: {secret_store.folder}/keys/v1 (fluxbase.yaml: ")
    assert "created_at" in listed[0]

    destroyed = done(command(*_DESTROY)).json
    assert (destroyed["state"], destroyed["gone"], secret_store.names()) == ("destroyed", True, {"keys/v2"})
    assert "version 1 was destroyed" in done(command("secrets", "audit")).stderr
    done(command("rotation", "run", "--force"))
    assert names[1].replace("/v2", "/v3") in (command.directory / "fluxbase.yaml").read_text()
    url, third = command.environment["FLUXBASE_DATABASE_URL"], bytes.fromhex(secret_store.get("keys/v3"))
    assert read(url, keys={3: third}).versions == {3: _COUNT}
