"""Row blocks: decoding what `array_send` returns, and processing a block with the same result as its rows alone."""

from __future__ import annotations

import os
from collections.abc import Sequence
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxbase_cli.catalogue.locations import CATALOGUE
from fluxbase_cli.engine.goal import Goal
from fluxbase_cli.engine.run.resealer import RowResealer
from fluxbase_cli.keyring import Key, Keyring, Opener
from fluxbase_cli.seal import ReopenError, Sealer
from fluxbase_cli.store.ctid import Ctid
from fluxbase_cli.store.limits import Limits
from fluxbase_cli.store.relation import FIRST, ID, TID, WRITER, Relation, Row
from fluxbase_cli.store.row_block import RowBlock
from fluxbase_cli.store.rows import RowList

OLD, NEW, FOREIGN = (bytes([n]) * 32 for n in (1, 2, 3))
RING = Keyring((Key(1, OLD), Key(2, NEW)))
SECRETS = next(table for table in CATALOGUE if table.qualified == "functions.secrets")
SHAPE = Relation(SECRETS, "functions", "secrets", SECRETS.columns, None, None)

plaintexts = st.one_of(st.binary(max_size=60), st.text(alphabet="AZaz09+/=", min_size=38, max_size=44).map(str.encode))
texts = st.one_of(
    plaintexts.map(lambda plaintext: Sealer(OLD).seal(plaintext)),
    plaintexts.map(lambda plaintext: Sealer(NEW).seal(plaintext)),
    plaintexts.map(lambda plaintext: Sealer(NEW).seal(Sealer(OLD).seal(plaintext))),
    plaintexts.map(lambda plaintext: Sealer(FOREIGN).seal(plaintext)),
    st.binary(max_size=50).map(lambda data: data.replace(b"\0", b"")),
    st.just(Sealer(OLD).seal(b"broken over lines")[:40] + b"\n"),
)


def sent(elements: Sequence[bytes]) -> bytes:
    """An array in its binary form, as PostgreSQL documents it. Nothing in its header is looked at."""
    return bytes(20) + b"".join(len(element).to_bytes(4, "big") + element for element in elements)


def packed(stored: Sequence[bytes]) -> tuple[RowBlock, list[Row]]:
    rows = [
        (Ctid(7 + n // 40, 1 + n % 40).tid, UUID(int=n).bytes, text, (n + 700).to_bytes(4, "big"), len(text))
        for n, text in enumerate(stored)
    ]
    equal = len({len(text) for text in stored}) == 1
    columns = [sent([bytes(row[index]) for row in rows]) for index in (TID, ID, WRITER, FIRST)]
    return RowBlock.of(*columns, equal=equal), rows


@given(st.lists(texts, min_size=1, max_size=30), st.integers(0, 30), st.integers(0, 30))
def test_a_row_block_gives_its_rows_completely_or_in_part(stored: list[bytes], first: int, end: int) -> None:
    whole, rows = packed(stored)
    assert [whole.row(index) for index in range(len(whole))] == rows
    part = whole[first:end]
    assert [part.row(index) for index in range(len(part))] == rows[first:end]
    assert list(part.each_text()) == stored[first:end]
    assert bytes(20) + part.elements == sent(stored[first:end])
    if rows[first:end]:
        assert part.last_ctid == RowList(rows[first:end]).last_ctid


@given(st.lists(st.lists(texts, min_size=1, max_size=10), min_size=1, max_size=5))
def test_joined_parts_hold_the_rows_of_all_parts(parts: list[list[bytes]]) -> None:
    whole = RowBlock.joined([packed(part)[0] for part in parts])
    rows = [row for part in parts for row in packed(part)[1]]
    assert [whole.row(index) for index in range(len(whole))] == rows
    assert list(whole.each_text()) == [text for part in parts for text in part]
    assert list(whole[1:].each_text()) == [text for part in parts for text in part][1:]


@given(st.lists(texts, min_size=1, max_size=30), st.sampled_from([None, Goal(2, source=1), Goal(2)]))
def test_a_row_block_is_processed_like_its_rows_one_by_one(stored: list[bytes], goal: Goal | None) -> None:
    whole, rows = packed(stored)
    together = RowResealer(SHAPE, Opener(RING, first=1), goal).process(whole)
    alone = [RowResealer(SHAPE, Opener(RING, first=1), goal).process(RowList([row])) for row in rows]
    assert together.tallies[0].by_version() == {
        version: sum(each.tallies[0].by_version().get(version, 0) for each in alone)
        for version in together.tallies[0].by_version()
    }
    assert together.tallies[0].scanned == sum(each.tallies[0].scanned for each in alone)
    assert together.quarantine == [entry for each in alone for entry in each.quarantine]
    opened = {row: Opener(RING).open(new) for row, (new,) in together.edits}
    assert opened == {row: Opener(RING).open(new) for each in alone for row, (new,) in each.edits}


def test_each_value_gets_its_own_nonce() -> None:
    whole, _ = packed([Sealer(OLD).seal(b"the same")] * 500)
    edits = RowResealer(SHAPE, Opener(RING, first=1), Goal(2, source=1)).process(whole).edits
    assert len({new for _, (new,) in edits}) == len(edits) == 500


def test_a_value_that_does_not_open_again_is_not_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _ = packed([Sealer(OLD).seal(b"text")] * 3)
    target = Sealer(NEW)
    monkeypatch.setattr(target, "_decrypt", Sealer(OLD)._decrypt)
    with pytest.raises(ReopenError):
        Sealer(OLD).reseal_each(target, whole.each_text(), len(whole))


def test_the_text_form_of_a_row_block_shows_no_value() -> None:
    secret = Sealer(OLD).seal(os.urandom(20))
    assert secret.decode() not in repr(packed([secret])[0])


@given(st.lists(st.integers(1, 400), max_size=40), st.integers(1, 20), st.integers(1, 2_000))
def test_the_part_that_fits_is_limited_by_rows_and_by_bytes(sizes: list[int], rows: int, size: int) -> None:
    listed: list[Row] = [(Ctid(0, n).tid, UUID(int=n).bytes, None, each) for n, each in enumerate(sizes)]
    fit = RowList(listed).fitting(Limits(rows, size))
    assert fit.tuples() == listed[: len(fit)]
    assert len(fit) <= rows
    assert sum(sizes[: len(fit)]) <= size or len(fit) == 1
    if len(fit) < min(rows, len(sizes)):
        assert sum(sizes[: len(fit) + 1]) > size
    assert RowList(listed).incomplete == any(each > 256 for each in sizes)
