"""Which keys does the provider `vault` read, and what does it say about those that it cannot read?"""

from __future__ import annotations

import pytest

from fluxbase_cli.config import KeyEntry, Secret
from tests.fixtures.front import Front
from tests.fixtures.openbao import KeyValues, OpenBao, mounted
from tests.fixtures.vault import KEY, PLACE, entry, provider, refused


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("mount", ["a-mount", "teams/blue/kv"])
def test_a_key_is_read_from_either_engine_and_a_mount_with_slashes(
    openbao_server: OpenBao, version: int, mount: str
) -> None:
    with mounted(openbao_server, f"{mount}-{version}", version=version) as made:
        path = f"{made.mount}/our keys/v1?#"
        written = "our%20keys/v1%3F%23"
        api = f"{made.mount}/data/{written}" if version == 2 else f"{made.mount}/{written}"
        fields = {"key": KEY.hex(), "other": "x"}
        openbao_server.ask("POST", api, {"data": fields} if version == 2 else fields)

        assert provider(openbao_server).fetch(entry(f"{path}#key")) == KEY


def test_all_forms_of_a_key_and_all_forms_of_a_reference_are_read(openbao: KeyValues) -> None:
    openbao.put(
        "k", key=KEY.hex(), raw="0123456789abcdefghijklmnopqrstuv", b64="AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
    )
    made = provider(openbao.server)
    bare = KeyEntry(1, "vault", PLACE, Secret(f"{openbao.mount}/k"))

    assert made.fetch(bare) == made.fetch(entry(f"{openbao.mount}/k#b64")) == KEY
    assert made.fetch(entry(f"{openbao.mount}/k#raw")) == b"0123456789abcdefghijklmnopqrstuv"


def test_a_text_that_may_be_a_key_is_never_sent(front: Front, openbao_server: OpenBao) -> None:
    made = provider(openbao_server, VAULT_ADDR=front.address)
    for text in (KEY.hex(), f"{{{{ vault `{KEY.hex()}` }}}}", "", "no-path", "{{ vault 'a/b' }}"):
        with refused(PLACE):
            made.fetch(KeyEntry(1, "vault", PLACE, Secret(text)))
    assert front.questions == []


def test_each_kind_of_missing_key_has_a_different_message(openbao: KeyValues) -> None:
    server, mount = openbao.server, openbao.mount
    made = provider(server)
    openbao.put("k", key=KEY.hex(), number=7, short="abc")
    for name in ("deleted", "destroyed"):
        openbao.put(name, key=KEY.hex())
    server.ask("DELETE", f"{mount}/data/deleted")
    server.ask("POST", f"{mount}/destroy/destroyed", {"versions": [1]})

    with refused(f"there is no secret at {mount}/none", absent=True):
        made.fetch(entry(f"{mount}/none"))
    with refused(f"there is no secret at {mount}/data/k", "Leave out `data/`", absent=True):
        made.fetch(entry(f"{mount}/data/k"))
    with refused(f"version 1 of the secret at {mount}/deleted", "was deleted", "undelete -versions=1", absent=True):
        made.fetch(entry(f"{mount}/deleted"))
    with refused(f"version 1 of the secret at {mount}/destroyed", "was destroyed", absent=True):
        made.fetch(entry(f"{mount}/destroyed"))
    with refused(f"the secret at {mount}/k", "has no field hex", "Its fields: key, number, short."):
        made.fetch(entry(f"{mount}/k#hex"))
    with refused("the field number", "is not text"):
        made.fetch(entry(f"{mount}/k#number"))
    with refused(f"(Vault: {mount}/k#short) is 3 bytes long"):
        made.fetch(entry(f"{mount}/k#short"))
    with refused("names no mount and path"):
        made.fetch(entry(f"{mount}/"))


def test_a_mount_of_another_kind_or_a_missing_mount_is_reported(openbao_server: OpenBao) -> None:
    made = provider(openbao_server)
    with refused("the mount cubbyhole/", "not of the type kv"):
        made.fetch(entry("cubbyhole/k"))
    with refused("shows this token no mount for nobody/k"):
        made.fetch(entry("nobody/k"))
    with mounted(openbao_server, "with/slash") as kv, refused("names a mount", "and no secret in it"):
        made.fetch(entry(kv.mount))
