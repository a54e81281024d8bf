"""How and how often does the provider `vault` contact its server, and what if it cannot or must not?"""

from __future__ import annotations

from pathlib import Path

import pytest

from fluxbase_cli.config import EncryptionSettings, KeyEntry, Secret, VaultSettings
from fluxbase_cli.keyring import Keyring, fetch_keys
from tests.fixtures.front import Front, Trouble
from tests.fixtures.openbao import KeyValues, OpenBao, running_openbao
from tests.fixtures.vault import KEY, OTHER, entry, provider, refused


def test_there_is_one_request_for_each_key_and_one_for_each_mount(openbao: KeyValues, front: Front) -> None:
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


def test_the_keys_of_several_providers_make_one_key_ring(openbao: KeyValues) -> None:
    openbao.put("v2", key=KEY.hex())
    entries = (KeyEntry(1, "env", "there", Secret(OTHER.hex())), entry(f"{openbao.mount}/v2", 2))
    ring = Keyring(fetch_keys(EncryptionSettings(keys=entries), openbao.server.environ()))
    assert [(key.version, key.provider, key.secret) for key in ring.keys] == [(2, "vault", KEY), (1, "env", OTHER)]


@pytest.mark.parametrize("trouble", list(Trouble))
def test_a_transient_error_is_retried(openbao: KeyValues, front: Front, trouble: Trouble) -> None:
    openbao.put("v1", key=KEY.hex())
    front.troubles.extend([trouble, trouble])
    assert provider(openbao.server, VAULT_ADDR=front.address).fetch(entry(f"{openbao.mount}/v1")) == KEY


def test_a_write_with_a_lost_answer_is_recognised_as_our_write(openbao: KeyValues, front: Front) -> None:
    made, known = provider(openbao.server, VAULT_ADDR=front.address), (entry(f"{openbao.mount}/v1"),)
    openbao.put("v1", key=KEY.hex())
    made.fetch(known[0])
    front.troubles.append(Trouble.ANSWER_LOST)
    created = made.create(2, known)
    assert [line for line in front.questions if line.startswith("POST")] == [f"POST {openbao.mount}/data/v2"] * 2
    assert openbao.get("v2") == {"key": made.fetch(created.entry).hex()}


def test_a_lasting_error_is_reported_after_a_few_attempts(front: Front, openbao_server: OpenBao) -> None:
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
def test_an_invalid_address_is_refused_before_any_request(openbao_server: OpenBao, address: str) -> None:
    with refused("is not an address of Vault", place="environment: VAULT_ADDR"):
        provider(openbao_server, VAULT_ADDR=address)
    with refused("is not an address of Vault", place="security.encryption.vault.address"):
        provider(openbao_server, VAULT_ADDR="", settings=VaultSettings(address=address))


def test_a_sealed_server_with_tls_is_trusted_only_with_its_authority(tmp_path: Path) -> None:
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
        with refused("is set", place="VAULT_CLIENT_KEY"):
            provider(server, VAULT_CLIENT_CERT="/x")
        no_authority = tmp_path / "none.pem"
        no_authority.write_text("nothing", encoding="utf-8")
        with refused("there is no certificate in the file of the authority", "Name a PEM file: VAULT_CACERT"):
            provider(server, VAULT_CACERT=str(no_authority)).fetch(key)

        server.ask("PUT", "sys/seal")
        for act in (provider(server).fetch, provider(server).exists, provider(server).destroy):
            with refused(f"Vault at {server.address} is sealed", "Unseal it"):
                act(key)


def test_a_network_without_tls_gives_a_warning_before_anything_is_sent(openbao_server: OpenBao) -> None:
    warnings: list[str] = []
    provider(openbao_server, VAULT_ADDR="http://vault.internal:8200", warn=warnings.append)
    provider(openbao_server, VAULT_ADDR="http://10.1.2.3:8200", warn=warnings.append)
    assert ["without TLS" in text for text in warnings] == [True, True]
    provider(openbao_server, VAULT_ADDR="http://localhost:8200")
    provider(openbao_server, VAULT_ADDR="http://[::1]:8200")
