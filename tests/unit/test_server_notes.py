"""What the operator of a server with one key is told after a job: versions, since "new" is wrong after a rollback."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from fluxbase_cli.report.server_key import ServerNotes


@pytest.mark.parametrize(
    ("has", "old", "target", "place", "runs"),
    [
        (1, 1, 2, "version 1", "key version 1"),
        (3, None, 1, "version 3", "key version 3"),
        (None, None, 1, "the key that it has", "another key"),
    ],
    ids=["forward", "rollback", "unknown"],
)
def test_the_steps_name_the_versions(has: int | None, old: int | None, target: int, place: str, runs: str) -> None:
    single: Any = SimpleNamespace(is_single=True, server=SimpleNamespace(keyring=None), server_key=None)
    ring: Any = SimpleNamespace(server_version=has)
    key: Any = SimpleNamespace(version=target, fingerprint="f8075360a1815c90")

    told = list(ServerNotes(single, None, ring, key, old).after())

    assert told[0] == f"Now give the server key version {target}. Until then it can't read its secrets:"
    assert told[2] == f"  1. Put key version {target} (fingerprint f8075360a1815c90) in place of {place}:"
    assert any(line.startswith(f"A server that still runs with {runs} goes on") for line in told)
