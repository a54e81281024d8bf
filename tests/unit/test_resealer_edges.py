"""Edge cases of the resealer: row blocks, tokens, strings next to seals, and recognizing what it wrote."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fluxbase_cli.catalogue.locations import Form, SealedColumn, SealedTable
from fluxbase_cli.catalogue.plaintext import is_no_seal
from fluxbase_cli.counts import Counts
from fluxbase_cli.engine.run.json_strings import strings
from fluxbase_cli.engine.run.resealer import EMPTY, NO_KEY, TOO_DEEP, RowResealer
from fluxbase_cli.keyring import Opener
from fluxbase_cli.seal import Sealer, may_be_seal
from fluxbase_cli.store.relation import Relation
from fluxbase_cli.store.rows import RowBlockEdits, RowList
from tests.unit.test_resealer import (
    GOAL,
    NEW,
    OLD,
    RING,
    STRANGER,
    THIRD,
    counts,
    document,
    paths,
    reasons,
    resealer,
    row_of,
    seal,
    shape_of,
)
from tests.unit.test_row_block import packed

#: Letters and digits, as providers make tokens; each one alone could be a seal.
TOKEN = b"Qz7Lk2Vb9Xn4Rt6Ym1Pc8Wd3Hs5Jf0Ga7Ue2Zi9Bo4Kx6TQz"
SECRETS = shape_of("functions.secrets")


# --- row blocks -------------------------------------------------------------------------------------------------------


def test_a_row_block_in_which_all_values_move_is_returned_as_a_row_block() -> None:
    whole, rows = packed([seal(OLD, b"%d" % number) for number in range(5)])
    result = RowResealer(SECRETS, Opener(RING, first=1), GOAL).process(whole)

    assert isinstance(result.edits, RowBlockEdits)
    assert result.edits.rows is whole
    assert [row for row, _ in result.edits] == rows
    assert [Sealer(NEW).open_text(new) for _, (new,) in result.edits] == [b"0", b"1", b"2", b"3", b"4"]
    assert counts(result) == Counts(scanned=5, re_encrypted=5, updated=5)


def test_a_row_block_in_which_no_value_moves_is_not_written() -> None:
    whole, _ = packed([seal(NEW)] * 3)
    for goal in (GOAL, None):
        result = RowResealer(SECRETS, Opener(RING, first=2), goal).process(whole)
        assert list(result.edits) == []
        assert result.tallies[0].by_version() == {2: 3}
        assert result.quarantine == []


@pytest.mark.parametrize("first", [1, 2, 3])
def test_in_a_row_block_each_value_that_differs_gets_its_own_result(first: int) -> None:
    stored = [seal(OLD, b"0"), b"", seal(THIRD), seal(NEW, seal(OLD, b"3")), seal(STRANGER), seal(OLD, b"5"), seal(NEW)]
    whole, rows = packed(stored)
    result = RowResealer(SECRETS, Opener(RING, first=first), GOAL).process(whole)

    new = {row: Opener(RING).open(text)[1] for row, (text,) in result.edits}
    assert new == {rows[0]: b"0", rows[3]: b"3", rows[5]: b"5"}
    assert [(entry.location, entry.id.int, entry.path, entry.reason) for entry in result.quarantine] == [
        ("functions.secrets.encrypted_value", 1, (), EMPTY),
        ("functions.secrets.encrypted_value", 4, (), NO_KEY),
    ]
    assert counts(result) == Counts(
        scanned=7, re_encrypted=3, updated=3, already_current=1, other_versions=1, undecryptable=2
    )


def test_a_version_that_sealed_no_value_is_not_counted() -> None:
    whole, rows = packed([seal(STRANGER)] * 2)
    for first in (1, 2):
        for stored in (whole, RowList(rows)):
            result = RowResealer(SECRETS, Opener(RING, first=first), GOAL).process(stored)
            assert result.tallies[0].by_version() == {}


def test_a_text_next_to_a_document_that_moves_stays_unchanged() -> None:
    columns = (SealedColumn("document", Form.JSON), SealedColumn("text"))
    table = SealedTable("app", "further", columns)
    its = RowResealer(Relation(table, "app", "further", columns, None, None), Opener(RING), GOAL)
    row = row_of(1, document([seal(OLD).decode()]), seal(NEW))
    ((_, (new, text)),) = its.process(RowList([row])).edits
    assert (paths_of(row[2], new), text) == ([("0",)], None)


def test_values_under_the_likely_key_are_processed_together_in_every_column(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_value_alone(*_arguments: object) -> None:
        raise AssertionError

    monkeypatch.setattr(Opener, "open", no_value_alone)
    old = [row_of(n, *[seal(OLD, b"%d" % column) for column in range(3)]) for n in range(3)]
    result = RowResealer(shape_of("auth.oauth_tokens"), Opener(RING, first=1), GOAL).process(RowList(old))

    assert [[Sealer(NEW).open_text(text) for text in new] for _, new in result.edits] == [[b"0", b"1", b"2"]] * 3
    assert [counts(result, column).updated for column in range(3)] == [3, 3, 3]


# --- plaintext --------------------------------------------------------------------------------------------------------


def test_values_that_the_sample_shows_to_be_tokens_are_plaintext_only_in_that_column() -> None:
    assert not is_no_seal(TOKEN)
    shown = frozenset({"auth.oauth_tokens.access_token"})
    its = RowResealer(shape_of("auth.oauth_tokens"), Opener(RING), GOAL, shown)
    result = its.process(RowList([row_of(1, TOKEN, TOKEN, None)]))

    assert counts(result, 0) == Counts(plaintext=1)
    assert counts(result, 1) == Counts(scanned=1, undecryptable=1)
    assert [entry.location for entry in result.quarantine] == ["auth.oauth_tokens.refresh_token"]


def test_among_tokens_of_letters_and_digits_one_with_a_symbol_may_still_be_a_seal() -> None:
    its = RowResealer(shape_of("auth.users"), Opener(RING), GOAL, frozenset({"auth.users.totp_secret"}))
    result = its.process(RowList([row_of(1, TOKEN[:-1] + b"+"), row_of(2, TOKEN[:-1] + b"/"), row_of(3, TOKEN)]))

    assert [(entry.id.int, entry.reason) for entry in result.quarantine] == [(1, NO_KEY), (2, NO_KEY)]
    assert counts(result) == Counts(scanned=2, undecryptable=2, plaintext=1)


def test_tokens_are_damage_where_the_server_always_seals() -> None:
    its = RowResealer(SECRETS, Opener(RING), GOAL, frozenset({"functions.secrets.encrypted_value"}))
    assert reasons(its.process(RowList([row_of(1, TOKEN)]))) == [NO_KEY]


def test_a_seal_of_fewer_bytes_than_the_columns_secrets_have_is_plaintext() -> None:
    short, long = seal(STRANGER, b"1234567"), seal(STRANGER, b"12345678")
    result = resealer("branching.github_config", row_of(1, short), row_of(2, long), row_of(3, short))
    assert [entry.id.int for entry in result.quarantine] == [2]
    assert counts(result) == Counts(scanned=1, undecryptable=1, plaintext=2)
    # Without a known minimum length, both may be seals.
    assert reasons(resealer("auth.users", row_of(1, short), row_of(2, long))) == [NO_KEY, NO_KEY]


# --- several columns --------------------------------------------------------------------------------------------------


def test_both_of_two_columns_are_processed() -> None:
    relation = replace(shape_of("auth.oauth_tokens"), columns=shape_of("auth.oauth_tokens").columns[:2])
    rows = [row_of(1, seal(NEW), seal(OLD, b"b")), row_of(2, seal(OLD, b"a"), None)]
    result = RowResealer(relation, Opener(RING), GOAL).process(RowList(rows))

    (_, (same, moved)), (_, (first, nothing)) = result.edits
    assert (same, Sealer(NEW).open_text(moved)) == (None, b"b")
    assert (Sealer(NEW).open_text(first), nothing) == (b"a", None)
    assert counts(result, 0) == Counts(scanned=2, re_encrypted=1, updated=1, already_current=1)
    assert counts(result, 1) == Counts(scanned=1, re_encrypted=1, updated=1)


def paths_of(before: bytes, after: bytes) -> list[tuple[str, ...]]:
    """Where two documents differ."""
    return [path for (path, old), (_, new) in zip(strings(before), strings(after), strict=True) if old != new]


def test_each_of_two_documents_is_processed_and_recognized_separately() -> None:
    columns = (SealedColumn("first", Form.JSON), SealedColumn("second", Form.JSON))
    table = SealedTable("app", "further", columns)
    its = RowResealer(Relation(table, "app", "further", columns, None, None), Opener(RING), GOAL)
    old = seal(OLD).decode()
    first, second = document({"logo": "x"}), document({"b": old, "api_key": seal(STRANGER).decode()})
    result = its.process(RowList([row_of(1, first, second)]))

    # The document that stays the same is not written.
    ((row, (nothing, new)),) = result.edits
    assert (nothing, paths_of(row[3], new)) == (None, [("b",)])
    assert its.written(result.edits, {row[1]: row_of(1, first, new)}) == {row[1]}
    assert its.written(result.edits, {row[1]: row_of(1, None, second)}) == set()
    assert [(entry.location, entry.path) for entry in result.quarantine] == [("app.further.second", ("api_key",))]
    assert counts(result, 0) == Counts()
    assert counts(result, 1) == Counts(scanned=2, re_encrypted=1, updated=1, undecryptable=1)
    # Neither is a document that is missing.
    ((_, (nothing, new)),) = its.process(RowList([row_of(2, None, second)])).edits
    assert (nothing, paths_of(second, new)) == (None, [("b",)])


# --- documents --------------------------------------------------------------------------------------------------------


OTHER_STRINGS = {
    "a short one": "x",
    "a sentence": "a sentence that is longer than the shortest seal there is",
    "letters that are no base64": "A" * 41,
    "a stranger's seal": seal(STRANGER).decode(),
    "a current seal": seal(NEW).decode(),
    "hexadecimal digits": "0123456789abcdef" * 4,
}


@pytest.mark.parametrize("other", OTHER_STRINGS.values(), ids=OTHER_STRINGS.keys())
@pytest.mark.parametrize("name", ["logo", "api_key"])
def test_no_other_string_hides_the_seals_before_and_after_it(name: str, other: str) -> None:
    old = seal(OLD).decode()
    tree = {"first": old, name: other, "last": old}
    assert sorted(paths(resealer("platform.instance_settings", row_of(1, document(tree))))) == [("first",), ("last",)]


def test_a_secret_that_clearly_is_no_seal_is_not_reported_in_a_document() -> None:
    tree = {"api_key": "0123456789abcdef" * 4, "client_secret": "A" * 41}
    assert may_be_seal(b"A" * 41)
    result = resealer("platform.instance_settings", row_of(1, document(tree)))
    assert result.quarantine == []
    assert counts(result) == Counts()


def test_a_missing_document_is_no_value_and_the_next_one_is_processed() -> None:
    result = resealer("platform.instance_settings", row_of(1, None), row_of(2, document([seal(OLD).decode()])))
    assert [row[1][-1] for row, _ in result.edits] == [2]
    assert result.quarantine == []
    assert counts(result) == Counts(scanned=1, re_encrypted=1, updated=1)


def test_a_document_too_deep_to_walk_is_counted_and_reported_as_a_whole() -> None:
    deep = b"[" * 200_000 + b'"%s"' % seal(STRANGER) + b"]" * 200_000
    result = resealer("platform.instance_settings", *[row_of(n, deep) for n in (1, 2)])
    assert [(entry.id.int, entry.path, entry.reason) for entry in result.quarantine] == [
        (1, (), TOO_DEEP),
        (2, (), TOO_DEEP),
    ]
    assert counts(result) == Counts(scanned=2, undecryptable=2)


# --- what was written -------------------------------------------------------------------------------------------------


def test_a_row_with_several_columns_is_recognized_only_if_all_columns_are() -> None:
    its = RowResealer(shape_of("auth.oauth_tokens"), Opener(RING), GOAL)
    rows = [row_of(n, seal(OLD), seal(NEW), seal(OLD)) for n in range(4)]
    edits = its.process(RowList(rows)).edits
    # The column that keeps its value is not written.
    assert [new[1] for _, new in edits] == [None] * 4
    written = [(first, row[3], last) for row, (first, _, last) in edits]
    now = [
        row_of(0, *written[0]),
        row_of(1, seal(NEW), *written[1][1:]),
        row_of(2, *written[2][:2], None),
        row_of(3, written[3][0], seal(NEW), written[3][2]),
    ]
    assert its.written(edits, {row[1]: row for row in now}) == {rows[0][1]}
    assert its.written(edits, {}) == set()


def test_a_document_is_recognized_only_if_all_its_leaves_are() -> None:
    its = RowResealer(shape_of("platform.instance_settings"), Opener(RING), GOAL)
    old = seal(OLD).decode()
    rows = [row_of(n, document({"a": old, "b": [old]})) for n in range(4)]
    edits = its.process(RowList(rows)).edits
    (first, (written,)), (_, (partly,)) = edits[:2]
    values = dict(strings(partly))
    now = [
        row_of(0, written),
        row_of(1, document({"a": values[("a",)], "b": [old]})),
        row_of(2, document({"a": old, "b": [old]})),
        row_of(3, None),
    ]
    assert first[1] == rows[0][1]
    assert its.written(edits, {row[1]: row for row in now}) == {rows[0][1]}
