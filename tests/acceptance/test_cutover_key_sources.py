"""Cutovers whose keys are in Vault or wrapped by AWS KMS, and a key that a command installs."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from tests.fixtures.kms import Kms
from tests.fixtures.openbao import KeyValues
from tests.fixtures.served import SERVER_KEY, Served

_INSTALL = """\
#!/bin/sh
# Reads the new key from standard input, as a script for a Kubernetes Secret does.
cd "{directory}"
key=$(cat)
[ "$key" = "$(cat installed 2> /dev/null)" ] && exit 9
env | grep -q "AWS_SECRET\\|FLUXBASE_\\|VAULT_TOKEN" && echo "a secret is in the environment" && exit 8
printf '%s' "$key" > installed
echo "FLUXBASE_ENCRYPTION_KEY=$key" > .env.new && mv .env.new .env
echo "installed $key"
"""


def _serve(served: Served, **environment: str) -> Served:
    command = served.command.having(**environment)
    return replace(served, rotation=replace(served.rotation, command=command))


def _has_moved(served: Served, before: object) -> None:
    assert served.server_key != SERVER_KEY
    assert re.fullmatch("[A-Za-z0-9_-]{32}", served.server_key)
    assert served.is_healthy()
    served.works_on()
    assert served.failed_reads() == 0
    assert served.plaintexts(served.server_key) == before


def test_keys_in_vault(served: Served, openbao: KeyValues) -> None:
    before = served.plaintexts(SERVER_KEY)
    served = _serve(served, VAULT_ADDR=openbao.server.address, VAULT_TOKEN=openbao.server.token)
    keys = f"""\
    provider: vault
    keys:
      - version: 1
        key: "{{{{ vault `{openbao.mount}/keys/v1` }}}}"
    server:
"""
    served.change("    server:\n", keys)
    refused = served.command("rotation", "run", "--force")
    assert refused.code == 2, refused.all
    assert served.calls() == ["start"]

    openbao.put("keys/v1", key=SERVER_KEY)
    done = served.command("rotation", "run", "--force", "-o", "json")

    assert done.code == 0, done.all
    _has_moved(served, before)
    assert openbao.get("keys/v2")["key"] == served.server_key
    assert "FLUXBASE_SECRET_KEY" not in (served.directory / ".env").read_text()
    # The next run finds the new key by the entry that was added, and the server's key is that version.
    listed = served.command("keys", "list", "-o", "json").json["keys"]
    assert [(key["version"], key.get("server", False), key["active"]) for key in listed] == [
        (1, False, False),
        (2, True, True),
    ]
    again = served.command("rotation", "run", "--force", "-o", "json")
    assert (again.code, again.json["to_version"]) == (0, 3), again.all
    _has_moved(served, before)
    assert openbao.get("keys/v3")["key"] == served.server_key


def test_keys_wrapped_by_aws_kms(served: Served, kms_environment: dict[str, str]) -> None:
    before = served.plaintexts(SERVER_KEY)
    served = _serve(served, **kms_environment)
    wrapping = Kms(kms_environment["AWS_ENDPOINT_URL_KMS"]).key()
    served.change("    server:\n", f'    provider: aws_kms\n    kms_key_id: "{wrapping}"\n    server:\n')

    done = served.command("rotation", "run", "--force", "-o", "json")

    assert done.code == 0, done.all
    _has_moved(served, before)
    wrapped = served.rotation.rows("SELECT version FROM fluxbase_keys.wrapped_key ORDER BY 1")
    assert wrapped == [(2,)]
    assert served.env["FLUXBASE_SECRET_KEY_1"] == SERVER_KEY
    verified = served.command("keys", "verify", "-o", "json")
    assert [(key["version"], key.get("server", False)) for key in verified.json["keys"]] == [(1, False), (2, True)], (
        verified.all
    )


def test_a_key_that_a_command_installs(served: Served, kms_environment: dict[str, str], tmp_path: Path) -> None:
    """As in a cluster: the tool gets the server's key in its environment, and a script changes the Secret."""
    before = served.plaintexts(SERVER_KEY)
    wrapping = Kms(kms_environment["AWS_ENDPOINT_URL_KMS"]).key()
    script = served.directory / "install.sh"
    script.write_text(_INSTALL.format(directory=served.directory))
    script.chmod(0o755)
    served.change(
        "    server:\n      env_file: .env\n",
        f'    provider: aws_kms\n    kms_key_id: "{wrapping}"\n    server:\n      install_key_command: ["{script}"]\n',
    )
    work = tmp_path / "elsewhere"
    work.mkdir()
    command = replace(
        served.command.having(
            **kms_environment, FLUXBASE_ENCRYPTION_KEY=SERVER_KEY, FLUXBASE_CLI_CONFIG="../fluxbase.yaml"
        ),
        directory=work,
    )

    done = command("rotation", "run", "--force", "-o", "json")

    assert done.code == 0, done.all
    _has_moved(served, before)
    new = served.server_key
    assert new not in done.all
    # The old key is kept too, because the server's was its only place.
    assert served.rotation.rows("SELECT version FROM fluxbase_keys.wrapped_key ORDER BY 1") == [(1,), (2,)]
    listed = command.having(FLUXBASE_ENCRYPTION_KEY=new)("keys", "list", "-o", "json").json["keys"]
    assert [(key["version"], key.get("server", False)) for key in listed] == [(1, False), (2, True)]


def test_a_key_that_would_be_lost_is_told_before_anything_is_touched(served: Served) -> None:
    served.change("      env_file: .env\n", "      install_key_command: [cat]\n")
    refused = served.command("rotation", "run", "--force")
    assert refused.code == 2, refused.all
    assert "can't make a key" in refused.stderr
    prepared = served.command("rotation", "run", "--force", FLUXBASE_SECRET_KEY_2="Qr7vK1mZ-x0_pLw9TtYc3NbG5sHdJ2fe")
    assert prepared.code == 2, prepared.all
    assert "the old key, version 1, is only at .env: FLUXBASE_ENCRYPTION_KEY" in prepared.stderr
    assert served.calls() == ["start"]
