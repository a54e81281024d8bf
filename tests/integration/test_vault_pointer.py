"""The active version in Vault: what another process wrote between our read and our write stays."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fluxbase_cli.config import ActivePointer, EncryptionSettings, Secret
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.keyring import ActiveVersionStore, ProviderContext, load_provider
from fluxbase_cli.keyring.vault.client import VaultClient
from tests.fixtures.openbao import KeyValues


def write_while(
    openbao: KeyValues, monkeypatch: pytest.MonkeyPatch, version: int, action: Callable[[], object]
) -> None:
    """Make a version active, and run an action when the secret was read and is not written yet."""
    keeper = load_provider("vault", ProviderContext(EncryptionSettings(), openbao.server.environ()))
    assert isinstance(keeper, ActiveVersionStore)
    pointer = ActivePointer("vault", "the test", Secret(f"{{{{ vault `{openbao.mount}/state#active` }}}}"))
    ask, acted = VaultClient.ask, iter([action])

    def ask_and_act(client: VaultClient, question: object, doing: str) -> object:
        answer = ask(client, question, doing)  # type: ignore[arg-type]  # passed on
        if doing == "read":
            for each in acted:
                each()
        return answer

    monkeypatch.setattr(VaultClient, "ask", ask_and_act)
    keeper.write_active(pointer, version)
    assert next(acted, None) is None


def test_a_pointer_that_another_process_moved_meanwhile_stays_where_it_is(
    openbao: KeyValues, monkeypatch: pytest.MonkeyPatch
) -> None:
    openbao.put("state", active="1", owner="the platform team")

    with pytest.raises(ConfigurationError, match="somebody else wrote to"):
        write_while(openbao, monkeypatch, 2, lambda: openbao.put("state", active="7", owner="somebody else"))

    assert openbao.get("state") == {"active": "7", "owner": "somebody else"}


def test_what_was_written_next_to_the_pointer_meanwhile_stays(
    openbao: KeyValues, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number is the same, and another field of the secret has changed."""
    openbao.put("state", active="1", owner="the platform team")

    with pytest.raises(ConfigurationError, match="somebody else wrote to"):
        write_while(openbao, monkeypatch, 2, lambda: openbao.put("state", active="1", owner="somebody else"))

    assert openbao.get("state") == {"active": "1", "owner": "somebody else"}


def test_a_pointer_that_was_created_meanwhile_stays(openbao: KeyValues, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="somebody else wrote to"):
        write_while(openbao, monkeypatch, 2, lambda: openbao.put("state", active="7"))

    assert openbao.get("state") == {"active": "7"}


def test_a_pointer_that_no_other_process_moves_is_moved(openbao: KeyValues, monkeypatch: pytest.MonkeyPatch) -> None:
    openbao.put("state", active="1", owner="the platform team")

    write_while(openbao, monkeypatch, 2, lambda: None)

    assert openbao.get("state") == {"active": "2", "owner": "the platform team"}
