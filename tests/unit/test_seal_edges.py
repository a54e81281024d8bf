"""Edge cases of the seal: the randomness of nonces, and plaintexts as long as the shortest seal."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from fluxbase_cli.seal import MIN_TEXT_BYTES, Sealer, decode, nonces

KEY, OTHER_KEY = bytes(range(32)), bytes(range(1, 33))
#: More than one read of the system's randomness is enough for.
MANY = 1_000


@pytest.fixture
def handed_out(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The bytes that the system's randomness returned, in order."""
    real: Callable[[int], bytes] = os.urandom
    blocks: list[bytes] = []

    def urandom(size: int) -> bytes:
        blocks.append(real(size))
        return blocks[-1]

    monkeypatch.setattr(os, "urandom", urandom)
    return blocks


def test_no_random_byte_is_used_for_two_nonces(handed_out: list[bytes]) -> None:
    source = nonces()
    taken = b"".join(next(source) for _ in range(MANY))
    assert len(taken) == 12 * MANY
    assert b"".join(handed_out).startswith(taken)


def test_one_read_of_the_systems_randomness_gives_many_nonces(handed_out: list[bytes]) -> None:
    source = nonces()
    for _ in range(MANY):
        next(source)
    assert len(handed_out) <= MANY // 100


def test_a_sealer_takes_its_nonces_from_the_source_that_it_was_given() -> None:
    given = [b"a" * 12, b"b" * 12, b"c" * 12]
    sealer = Sealer(KEY, iter(given))
    assert [decode(sealer.seal(b"text"))[:12] for _ in given] == given


@pytest.mark.parametrize(
    ("plaintext", "left"),
    [
        pytest.param(Sealer(OTHER_KEY).seal(b""), True, id="the shortest seal"),
        pytest.param(Sealer(OTHER_KEY).seal(b"a longer text"), True, id="a longer seal"),
        pytest.param(b"A" * (MIN_TEXT_BYTES - 1), False, id="one character too few"),
        pytest.param(b"!" * MIN_TEXT_BYTES, False, id="long enough, with characters that no seal has"),
        pytest.param(b"a sentence that is longer than forty characters.", False, id="a sentence"),
    ],
)
def test_of_many_texts_only_plaintexts_that_may_be_seals_are_left_to_be_checked_alone(
    plaintext: bytes,
    left: bool,  # noqa: FBT001
) -> None:
    text = Sealer(KEY).seal(plaintext)
    assert Sealer(KEY).open_each([text]) == [0] * left
    (new,) = Sealer(KEY).reseal_each(Sealer(OTHER_KEY), [text], 1)
    assert (new is None) == left
