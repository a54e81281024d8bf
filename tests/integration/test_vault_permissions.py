"""What do the permissions in Vault allow, and does the message for a missing permission show what helps?"""

from __future__ import annotations

from fluxbase_cli.config import VaultSettings
from tests.fixtures.command import until
from tests.fixtures.openbao import KeyValues, OpenBao, Refused
from tests.fixtures.vault import KEY, entry, provider, refused


def test_the_message_for_a_missing_policy_shows_the_policy_that_helps(openbao: KeyValues) -> None:
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


def test_the_message_for_an_expired_or_invalid_token_says_where_it_came_from(openbao: KeyValues) -> None:
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
    """Whether a token exists, or still exists."""
    try:
        server.ask("POST", "auth/token/lookup", {"token": token})
    except Refused:
        return False
    return True


def test_namespaces_are_separate(openbao_server: OpenBao) -> None:
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
