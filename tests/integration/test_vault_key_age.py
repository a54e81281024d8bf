"""How old does Vault say that a key is?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.fixtures.front import Front
from tests.fixtures.openbao import KeyValues
from tests.fixtures.vault import KEY, OTHER, entry, provider


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
