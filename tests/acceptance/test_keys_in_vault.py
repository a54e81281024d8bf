"""A move to Vault, as a user does it: the old key is still a variable, the new one is in Vault already."""

from __future__ import annotations

import pytest

from fluxbase_cli.seal import fingerprint
from tests.fixtures.command import NEW_KEY, OLD_KEY, Command, Rotation
from tests.fixtures.front import Front
from tests.fixtures.openbao import KeyValues

_RE_ENCRYPT = ("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2", "-o", "json")


@pytest.fixture
def moving(command: Command, openbao: KeyValues) -> Command:
    """The command with both keys, and a token that may read one of them and nothing else."""
    openbao.put("fluxbase/v2", key=NEW_KEY.hex())
    rule = f'path "{openbao.mount}/data/fluxbase/v2" {{ capabilities = ["read"] }}'
    command.write(
        "fluxbase.yaml",
        "security:\n  encryption:\n    provider: vault\n    keys:\n"
        "      - version: 1\n        key: '${THE_OLD_KEY}'\n"
        f"      - version: 2\n        key: '{{{{ vault `{openbao.mount}/fluxbase/v2` }}}}'\n",
    )
    return command.having(
        THE_OLD_KEY=OLD_KEY.hex(), VAULT_ADDR=openbao.server.address, VAULT_TOKEN=openbao.server.token_for(rule)
    )


def test_a_run_reads_a_key_from_vault_twice_no_matter_how_many_values_there_are(
    moving: Command, rotation: Rotation, openbao: KeyValues, front: Front
) -> None:
    """Once when it loads the key, and once when the job begins. The second time it compares the keys.

    Between the two, a question may have waited for its answer for an hour.
    """
    rotation.seed(400)
    command = moving.having(VAULT_ADDR=front.address, FLUXBASE_DATABASE_URL=rotation.url, FLUXBASE_CLI_BATCH_SIZE="20")

    outcome = command(*_RE_ENCRYPT, "--concurrency", "3")

    assert outcome.code == 0, outcome.stderr
    assert (outcome.json["scanned"], outcome.json["re_encrypted"]) == (400, 340)
    one_reading = [
        f"GET sys/internal/ui/mounts/{openbao.mount}/fluxbase/v2",
        f"GET {openbao.mount}/data/fluxbase/v2",
    ]
    assert front.questions == one_reading * 2


def test_keys_list_shows_where_each_key_is(moving: Command) -> None:
    outcome = moving("keys", "list", "-o", "json")

    assert outcome.code == 0, outcome.stderr
    assert [(key["version"], key["provider"], key["fingerprint"]) for key in outcome.json["keys"]] == [
        (1, "env", fingerprint(OLD_KEY)),
        (2, "vault", fingerprint(NEW_KEY)),
    ]


def test_a_refusal_of_vault_is_one_clear_line_without_the_token(moving: Command, closed_port: str) -> None:
    token = "s.token-marker-that-must-not-be-seen"
    wrong = moving.having(FLUXBASE_DATABASE_URL=closed_port, VAULT_TOKEN=token)
    for arguments in (_RE_ENCRYPT, (*_RE_ENCRYPT, "--debug")):
        outcome = wrong(*arguments)

        assert outcome.code == 2
        assert "does not accept the token (environment: VAULT_TOKEN)" in outcome.stderr
        assert token not in outcome.all
        assert OLD_KEY.hex() not in outcome.all
        assert ("client.py" in outcome.stderr) is ("--debug" in arguments)
