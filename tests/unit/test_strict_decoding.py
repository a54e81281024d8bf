"""Decoding is exactly as strict as the server, also on the fast path that processes many values together.

What the server can't read is damage and must be reported. A fast path that is less strict would repair it silently,
and nobody would learn of it.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fluxbase_cli.seal import NotASealError, Sealer, decode

OLD, NEW = bytes(range(32)), bytes(range(32, 64))
#: With the 28 bytes of the seal and this many more, the base64 form ends in no, one and two `=`.
PLAINTEXTS = {0: b"xx", 1: b"x", 2: b""}


def sealed(padding: int) -> bytes:
    """A seal whose text ends in so many `=`."""
    text = Sealer(OLD).seal(PLAINTEXTS[padding])
    assert len(text) - len(text.rstrip(b"=")) == padding
    return text


DAMAGED = [
    *(pytest.param(lambda text, n=n: text + b"=" * n, id=f"{n} = more") for n in (1, 2, 3, 4, 8)),
    pytest.param(lambda text: text + b"A", id="another character"),
    pytest.param(lambda text: text[:8] + b"=" + text[8:], id="= in its midst"),
    pytest.param(lambda text: text[:8] + b"====" + text[8:], id="a group of = in its midst"),
    pytest.param(lambda text: b"=" + text, id="= before it"),
    pytest.param(lambda text: b"====" + text, id="a group of = before it"),
    pytest.param(lambda text: text[:-1], id="cut by one"),
    pytest.param(lambda text: text + b" ", id="a space behind it"),
    pytest.param(lambda text: text[:4] + b" " + text[4:], id="a space in its midst"),
    pytest.param(lambda text: text + b"\0", id="NUL behind it"),
    pytest.param(lambda text: text[:4] + b"-_" + text[6:], id="the URL-safe alphabet"),
]


@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("damage", DAMAGED)
def test_every_path_leaves_a_text_that_the_server_can_not_decode(
    damage: Callable[[bytes], bytes], padding: int
) -> None:
    text = damage(sealed(padding))

    with pytest.raises(NotASealError):
        decode(text)
    assert Sealer(OLD).open_each([text]) == [0]
    assert Sealer(OLD).reseal_each(Sealer(NEW), [text], 1) == [None]


@given(st.integers(0, 2), st.integers(0, 48), st.integers(1, 8))
@example(padding=0, at=48, number=4)
@example(padding=0, at=48, number=2)
@example(padding=1, at=48, number=4)
@example(padding=2, at=48, number=4)
@example(padding=2, at=48, number=1)
def test_surplus_padding_at_any_place_is_damage(padding: int, at: int, number: int) -> None:
    text = sealed(padding)
    damaged = text[:at] + b"=" * number + text[at:]

    with pytest.raises(NotASealError):
        decode(damaged)
    assert Sealer(OLD).open_each([damaged, text]) == [0]
    (left, new) = Sealer(OLD).reseal_each(Sealer(NEW), [damaged, text], 2)
    assert left is None
    assert new is not None
