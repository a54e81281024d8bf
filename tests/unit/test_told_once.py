"""What stands in a message stands there once."""

from __future__ import annotations

import pytest

from fluxbase_cli.keys.verify import Verification, Verified
from fluxbase_cli.report.keys import verification_lines

_PLACE = "fluxbase.yaml: security.encryption.keys[1].key"


@pytest.mark.parametrize(
    ("problem", "line"),
    [
        (
            f"{_PLACE}: there is no secret at s/v2 in Vault",
            f"✗ key version 2: {_PLACE}: there is no secret at s/v2 in Vault",
        ),
        ("it is 31 bytes long and not 32", f"✗ key version 2 (Vault: s/v2 ({_PLACE})): it is 31 bytes long and not 32"),
    ],
)
def test_a_lost_key_is_told_with_its_place_once(problem: str, line: str) -> None:
    key = Verified(2, "vault", f"Vault: s/v2 ({_PLACE})", None, problem)
    assert list(verification_lines(Verification((key,)))) == [line]
