"""Where in Vault does a new key go, and is nothing ever overwritten?"""

from __future__ import annotations

from fluxbase_cli.config import KeyEntry, Secret
from fluxbase_cli.keyring import KeyCreator, KeyDater, KeyDestroyer
from fluxbase_cli.seal import fingerprint
from tests.fixtures.front import Front
from tests.fixtures.openbao import KeyValues, OpenBao, mounted
from tests.fixtures.vault import KEY, OTHER, PLACE, entry, provider, refused


def test_a_new_key_goes_where_the_pattern_says_and_can_be_read_from_there(openbao: KeyValues) -> None:
    mount = openbao.mount
    known = (
        KeyEntry(1, "env", "environment: FLUXBASE_SECRET_KEY_1", Secret(OTHER.hex())),
        entry(f"{mount}/fluxbase/v2#hex", 2),
    )
    made = provider(openbao.server, *known)
    created = made.create(3, known)

    assert created.setting == {"key": f"{{{{ vault `{mount}/fluxbase/v3#hex` }}}}"}
    assert created.entry == KeyEntry(3, "vault", f"Vault: {mount}/fluxbase/v3#hex", Secret(created.setting["key"]))
    key = made.fetch(created.entry)
    assert openbao.get("fluxbase/v3") == {"hex": key.hex()}
    assert created.fingerprint == fingerprint(key)
    assert key.hex() not in repr(created)
    assert len({made.fetch(made.create(version, known).entry) for version in (4, 5)} | {key}) == 3


def test_a_new_key_goes_where_its_entry_says(openbao: KeyValues) -> None:
    known = (entry(f"{openbao.mount}/fluxbase/v1", 1), entry(f"{openbao.mount}/elsewhere", 2))
    created = provider(openbao.server, *known).create(2, known)
    assert created.setting == {"key": f"{{{{ vault `{openbao.mount}/elsewhere` }}}}"}
    assert openbao.has("elsewhere")


def test_without_a_path_or_a_pattern_no_key_is_made(front: Front, openbao_server: OpenBao) -> None:
    made = provider(openbao_server, VAULT_ADDR=front.address)
    plain = KeyEntry(1, "env", PLACE, Secret(OTHER.hex()))
    for known in ((), (plain,), (entry("kv/key", 1),), (KeyEntry(2, "vault", PLACE, Secret("")),)):
        with refused("nothing says where in Vault", "version 2", place="goes"):
            made.create(2, known)
    with refused("configured for the provider env"):
        made.create(1, (plain,))
    assert front.questions == []


def test_a_secret_that_exists_or_existed_is_never_overwritten(openbao: KeyValues) -> None:
    server, mount = openbao.server, openbao.mount
    for name in ("v2", "v3", "v4"):
        openbao.put(name, key=KEY.hex())
    server.ask("DELETE", f"{mount}/data/v3")
    server.ask("POST", f"{mount}/destroy/v4", {"versions": [1]})
    made, known = provider(server), (entry(f"{mount}/v1"),)

    with refused(f"there is a secret at {mount}/v2", "already; nothing was written", place="key version 2"):
        made.create(2, known)
    with refused(f"{mount}/v3", "was deleted, and its history is still there", place="key version 3"):
        made.create(3, known)
    with refused(f"{mount}/v4", "was destroyed, and its history is still there", place="key version 4"):
        made.create(4, known)
    server.ask("POST", f"{mount}/undelete/v3", {"versions": [1]})
    assert openbao.get("v2") == openbao.get("v3") == {"key": KEY.hex()}


def test_without_the_right_to_update_the_message_is_about_the_existing_secret_and_not_about_the_policy(
    openbao: KeyValues,
) -> None:
    openbao.put("v2", key=KEY.hex())
    rule = f'path "{openbao.mount}/data/*" {{ capabilities = ["create", "read"] }}'
    made = provider(openbao.server, VAULT_TOKEN=openbao.server.token_for(rule))
    known = (entry(f"{openbao.mount}/v1"),)
    with refused("already; nothing was written", place="key version 2"):
        made.create(2, known)
    assert made.fetch(made.create(3, known).entry)


def test_version_1_of_the_engine_has_no_check_and_set_so_the_provider_looks_first_and_warns(
    openbao_server: OpenBao,
) -> None:
    warnings: list[str] = []
    with mounted(openbao_server, version=1) as kv:
        openbao_server.ask("POST", f"{kv.mount}/v1", {"key": KEY.hex()})
        known = (entry(f"{kv.mount}/v1"),)
        made = provider(openbao_server, *known, warn=warnings.append)

        created = made.create(2, known)
        assert "KV version 1, without check-and-set" in warnings[0]
        assert openbao_server.ask("GET", f"{kv.mount}/v2")["data"] == {"key": made.fetch(created.entry).hex()}
        with refused("already; nothing was written", place="key version 2"):
            made.create(2, known)
        assert made.created_at(known[0]) is None
        assert made.exists(known[0])
        made.destroy(known[0])
        made.destroy(known[0])
        assert not made.exists(known[0])
        with refused(f"there is no secret at {kv.mount}/v1", absent=True):
            made.fetch(known[0])


def test_the_provider_offers_everything_that_a_key_needs_from_creation_to_destruction(openbao_server: OpenBao) -> None:
    made = provider(openbao_server)
    assert isinstance(made, KeyCreator)
    assert isinstance(made, KeyDestroyer)
    assert isinstance(made, KeyDater)
