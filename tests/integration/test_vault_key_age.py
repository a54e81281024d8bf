"""Which age of a key does Vault report?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.fixtures.front import Front
from tests.fixtures.openbao import KeyValues
from tests.fixtures.vault import KEY, OTHER, entry, provider


def test_the_age_of_a_key_is_that_of_its_newest_version_and_needs_no_further_request(
    openbao: KeyValues, front: Front
) -> None:
    openbao.put("v1", key=OTHER.hex())
    openbao.put("v1", key=KEY.hex())
    versions = openbao.server.ask("GET", f"{openbao.mount}/metadata/v1")["data"]["versions"]
    made = provider(openbao.server, VAULT_ADDR=front.address)
    made.fetch(entry(f"{openbao.mount}/v1"))
    asked = len(front.questions)

    created = made.created_at(entry(f"{openbao.mount}/v1"))
    assert created == datetime.fromisoformat(versions["2"]["created_time"])
    assert created is not None
    assert abs(datetime.now(UTC) - created) < timedelta(minutes=5)
    assert len(front.questions) == asked
    assert provider(openbao.server).created_at(entry(f"{openbao.mount}/v1")) == created
    assert made.created_at(entry(f"{openbao.mount}/none")) is None
