"""The active version is kept in Vault: `active_key_version` says where. So a rotation changes no file."""

from __future__ import annotations

import pytest

from tests.faults.reader import read
from tests.fixtures.openbao import KeyValues
from tests.fixtures.rotating import Rotating

_RUN = ("rotation", "run", "--force")


@pytest.fixture
def pointing(rotating: Rotating, openbao: KeyValues) -> Rotating:
    """Versions 1 to 3 have entries, version 1 has a key, and Vault says that version 1 is active."""
    openbao.put("state", active=1, owner="the platform team")
    rotating.change("active_key_version: 1 ", f'active_key_version: "{{{{ vault `{openbao.mount}/state#active` }}}}" ')
    first = f'key: "{{{{ vault `{openbao.mount}/keys/v1` }}}}"   # the first\n'
    more = "".join(
        f'      - version: {version}\n        key: "{{{{ vault `{openbao.mount}/keys/v{version}` }}}}"\n'
        for version in (2, 3)
    )
    rotating.change(first, first + more)
    return rotating


def test_a_rotation_moves_the_pointer_and_changes_no_file(pointing: Rotating, openbao: KeyValues) -> None:
    before = read(pointing.rotation.url, keys=pointing.keys())
    text = pointing.file
    (pointing.directory / "fluxbase.yaml").chmod(0o400)

    done = pointing.command(*_RUN)

    assert done.code == 0, done.all
    assert pointing.file == text
    assert openbao.get("state") == {"active": "2", "owner": "the platform team"}
    after = read(pointing.rotation.url, keys=pointing.keys())
    assert after.plaintexts == before.plaintexts
    assert set(after.versions) == {2}
    listed = pointing.command("config", "check", "-o", "json").json["keys"]
    assert [key["version"] for key in listed if key["active"]] == [2]

    verified = pointing.command("keys", "verify")
    assert (verified.code, "has no key yet" in verified.stdout) == (0, True)
    early = pointing.command("secrets", "re-encrypt", "--to-version", "3")
    assert (early.code, "version 3 is configured and has no key yet" in early.stderr) == (2, True)

    assert pointing.command(*_RUN).code == 0
    assert openbao.get("state")["active"] == "3"
    # Going back needs no change of a file either: the pointer decides which version is active.
    assert pointing.command("secrets", "rollback", "--to-version", "2", "--reason", "test").code == 0


def test_without_an_entry_for_the_next_version_only_the_entry_is_added(rotating: Rotating, openbao: KeyValues) -> None:
    openbao.put("state", active="1")
    pointer = f'active_key_version: "{{{{ vault `{openbao.mount}/state#active` }}}}"'
    rotating.change("active_key_version: 1 ", f"{pointer} ")

    done = rotating.command(*_RUN)

    assert done.code == 0, done.all
    assert f"{pointer} " in rotating.file
    assert "- version: 2" in rotating.file
    assert openbao.get("state")["active"] == "2"


@pytest.mark.parametrize("stands_there", ["soon", None])
def test_a_pointer_without_a_number_gives_one_clear_line(
    rotating: Rotating, openbao: KeyValues, stands_there: str | None
) -> None:
    if stands_there is not None:
        openbao.put("state", active=stands_there)
    rotating.change("active_key_version: 1 ", f'active_key_version: "{{{{ vault `{openbao.mount}/state#active` }}}}" ')

    outcome = rotating.command("secrets", "audit")

    assert outcome.code == 2
    assert "security.encryption.active_key_version" in outcome.stderr
    # A command that needs no active version does not ask Vault for it.
    assert rotating.command.having(VAULT_ADDR="http://127.0.0.1:1")("secrets", "status").code == 0
