"""Joined row blocks with values of different lengths: cases that random data hits too rarely."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fluxbase_cli.store.row_block import RowBlock
from tests.unit.test_row_block import packed

#: Texts of three lengths. Each differs from all others in its content.
SHORT = [b"s%02d" % number for number in range(4)]
LONG = [b"l%06d" % number for number in range(4)]
EMPTY = [b""] * 4

Parts = Sequence[Sequence[bytes]]

PINNED = [
    pytest.param([SHORT, LONG], id="equal within, unlike each other"),
    pytest.param([LONG, SHORT], id="the other way round"),
    pytest.param([SHORT, SHORT[:1], LONG[:1]], id="one row of another length at the end"),
    pytest.param([SHORT, LONG, SHORT], id="the same length again behind another"),
    pytest.param([[*SHORT, *LONG], SHORT], id="unlike within, then equal"),
    pytest.param([SHORT, [*SHORT, *LONG]], id="equal, then unlike within"),
    pytest.param([[*SHORT, *LONG], [*LONG, *SHORT]], id="unlike within, both"),
    pytest.param([SHORT, SHORT], id="all alike"),
    pytest.param([EMPTY, SHORT], id="empty ones first"),
    pytest.param([SHORT, EMPTY], id="empty ones last"),
    pytest.param([EMPTY, EMPTY], id="all empty"),
    pytest.param([[b"s"], [b"l" * 300]], id="single rows"),
]


def assert_joined(parts: Parts, *, first: int = 0, end: int = 99) -> None:
    """The joined block holds all rows in order, also where each block is a part of a listed one."""
    cut = [[*part][first:end] for part in parts]
    whole = RowBlock.joined([packed(part)[0][first:end] for part in parts])
    rows = [row for part in parts for row in packed(part)[1][first:end]]
    texts = [text for part in cut for text in part]
    assert len(whole) == len(texts)
    assert list(whole.each_text()) == texts
    assert [whole.row(index) for index in range(len(whole))] == rows
    for start in range(len(texts)):
        assert list(whole[start:].each_text()) == texts[start:]
        assert list(whole[:start].each_text()) == texts[:start]


@pytest.mark.parametrize("parts", PINNED)
def test_complete_blocks_are_joined(parts: Parts) -> None:
    assert_joined(parts)


@pytest.mark.parametrize("parts", PINNED)
@pytest.mark.parametrize(("first", "end"), [(1, 99), (0, 1), (1, 3)])
def test_parts_of_parts_are_joined(parts: Parts, first: int, end: int) -> None:
    left = [part for part in parts if part[first:end]]
    if left:
        assert_joined(left, first=first, end=end)


@given(st.lists(st.sampled_from([SHORT, LONG, EMPTY, [*SHORT, *LONG]]), min_size=1, max_size=4), st.integers(0, 3))
@example(parts=[SHORT, LONG], first=0)
@example(parts=[SHORT, LONG, SHORT], first=1)
def test_parts_of_any_size_are_joined(parts: Parts, first: int) -> None:
    assert_joined(parts, first=first)
