"""Processing rows without a database: which key sealed a value, what it becomes, and what is reported."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxbase_cli.catalogue.locations import CATALOGUE
from fluxbase_cli.counts import Counts
from fluxbase_cli.engine.goal import Goal
from fluxbase_cli.engine.run.json_strings import strings
from fluxbase_cli.engine.run.resealer import EMPTY, NO_KEY, NOT_A_SEAL, TOO_DEEP, ResealResult, RowResealer
from fluxbase_cli.keyring import Key, Keyring, Layer, Opener, ReopenError
from fluxbase_cli.seal import Sealer, derive_user_key
from fluxbase_cli.store.documents import leaves
from fluxbase_cli.store.records import QuarantineEntry
from fluxbase_cli.store.relation import Relation
from fluxbase_cli.store.rows import RowList

OLD, NEW, THIRD, STRANGER = (bytes([number]) * 32 for number in (1, 2, 3, 9))
RING = Keyring((Key(1, OLD), Key(2, NEW), Key(3, THIRD)))
GOAL = Goal(2, source=1)
USER = UUID(int=77)
TOTP = b"JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
TABLES = {table.qualified: table for table in CATALOGUE}


def shape_of(name: str) -> Relation:
    table = TABLES[name]
    return Relation(table, table.schema, table.name, table.columns, table.user_column, table.flag_column)


def row_of(number: int, *fields: Any) -> tuple[Any, ...]:
    return (bytes([0, 0, 0, 0, 0, number]), UUID(int=number).bytes, *fields)


def resealer(name: str, *rows: tuple[Any, ...], goal: Goal | None = GOAL) -> ResealResult:
    return RowResealer(shape_of(name), Opener(RING), goal).process(RowList(rows))


def seal(key: bytes, plaintext: bytes = b"text") -> bytes:
    return Sealer(key).seal(plaintext)


def counts(result: ResealResult, column: int = 0) -> Counts:
    return result.tallies[column].counts(GOAL, written=True)


def reasons(result: ResealResult) -> list[str]:
    return [entry.reason for entry in result.quarantine]


def test_a_value_under_the_old_key_is_edited_and_opens_under_the_new_one() -> None:
    result = resealer("functions.secrets", row_of(1, seal(OLD)), row_of(2, seal(NEW)), row_of(3, seal(THIRD)))
    ((row, (new,)),) = result.edits
    assert row[1] == UUID(int=1).bytes
    assert Sealer(NEW).open_text(new) == b"text"
    assert counts(result) == Counts(scanned=3, re_encrypted=1, updated=1, already_current=1, other_versions=1)
    assert result.quarantine == []


def test_without_a_goal_nothing_is_edited() -> None:
    result = resealer("functions.secrets", row_of(1, seal(OLD)), goal=None)
    assert result.edits == []
    assert result.tallies[0].by_version() == {1: 1}


def test_an_undecryptable_value_is_reported_with_its_location_and_left() -> None:
    result = resealer("functions.secrets", row_of(5, seal(STRANGER)))
    assert result.edits == []
    assert result.quarantine == [QuarantineEntry("functions.secrets.encrypted_value", UUID(int=5), (), NO_KEY)]
    assert counts(result) == Counts(scanned=1, undecryptable=1)


@pytest.mark.parametrize(
    ("stored", "reason"),
    [(b"", EMPTY), (b"   ", NOT_A_SEAL), (b"plain", NOT_A_SEAL), (b" " + seal(OLD), NOT_A_SEAL)],
    ids=["empty", "blanks", "plaintext", "a blank before a seal"],
)
def test_where_the_server_always_seals_every_other_text_is_damage(stored: bytes, reason: str) -> None:
    for table in ("functions.secrets", "functions.secret_versions"):
        result = resealer(table, row_of(1, stored))
        assert reasons(result) == [reason]
        assert result.edits == []


@pytest.mark.parametrize(
    "name", ["app.settings", "platform.oauth_providers", "auth.users", "branching.github_config", "auth.oauth_tokens"]
)
def test_in_other_columns_null_and_the_empty_text_are_no_values(name: str) -> None:
    table = TABLES[name]
    helpers = [None] * (table.user_column is not None) + [True] * (table.flag_column is not None)
    rows = [row_of(n, *[text] * len(table.columns), *helpers) for n, text in enumerate((None, b""))]
    result = resealer(name, *rows)
    assert result.edits == []
    assert result.quarantine == []
    assert all(counts(result, column) == Counts() for column in range(len(table.columns)))


def test_blanks_are_damage_where_every_value_is_sealed() -> None:
    assert reasons(resealer("app.settings", row_of(1, b"  ", None))) == [NOT_A_SEAL]


@pytest.mark.parametrize("stored", [TOTP, b"JBSWY3DPEHPK3PXP", b"  ", b"no base64!"])
def test_a_legacy_plaintext_is_counted_and_neither_touched_nor_reported(stored: bytes) -> None:
    result = resealer("auth.users", row_of(1, stored))
    assert result.edits == []
    assert result.quarantine == []
    assert counts(result) == Counts(plaintext=1)


def test_a_text_with_the_form_of_a_seal_is_reported_even_where_plaintext_is_allowed() -> None:
    result = resealer("auth.users", row_of(1, seal(STRANGER)))
    assert reasons(result) == [NO_KEY]
    assert counts(result) == Counts(scanned=1, undecryptable=1)


def test_each_token_of_a_row_is_processed_separately_and_the_row_is_edited_once() -> None:
    result = resealer(
        "auth.oauth_tokens",
        row_of(1, seal(OLD, b"a"), b"ya29.legacy", seal(NEW)),
        row_of(2, seal(NEW), None, seal(OLD, b"b")),
        row_of(3, seal(STRANGER), seal(THIRD), b""),
    )
    (_, (access, refresh, identity)), (_, (same, nothing, moved)) = result.edits
    assert (Sealer(NEW).open_text(access), refresh, identity) == (b"a", None, None)
    assert (same, nothing, Sealer(NEW).open_text(moved)) == (None, None, b"b")
    assert counts(result, 0) == Counts(scanned=3, re_encrypted=1, updated=1, already_current=1, undecryptable=1)
    assert counts(result, 1) == Counts(scanned=1, plaintext=1, other_versions=1)
    assert counts(result, 2) == Counts(scanned=2, re_encrypted=1, updated=1, already_current=1)
    assert [(entry.location, entry.id) for entry in result.quarantine] == [
        ("auth.oauth_tokens.access_token", UUID(int=3))
    ]


@pytest.mark.parametrize("flag", [True, False, None])
def test_a_provider_is_resealed_if_a_key_opens_it_even_if_its_flag_says_plaintext(flag: bool | None) -> None:  # noqa: FBT001
    result = resealer("platform.oauth_providers", row_of(1, seal(OLD), flag))
    assert len(result.edits) == 1
    assert counts(result) == Counts(scanned=1, re_encrypted=1, updated=1)


@pytest.mark.parametrize("stored", [b"GOCSPX-plain", seal(STRANGER)], ids=["plaintext", "a stranger's seal"])
def test_an_unflagged_provider_that_no_key_opens_is_plaintext_and_a_flagged_one_is_reported(stored: bytes) -> None:
    for flag in (False, None):
        result = resealer("platform.oauth_providers", row_of(1, stored, flag))
        assert counts(result) == Counts(plaintext=1)
        assert result.quarantine == []
    flagged = True
    result = resealer("platform.oauth_providers", row_of(1, stored, flagged))
    assert counts(result) == Counts(scanned=1, undecryptable=1)
    assert len(result.quarantine) == 1


def test_a_users_setting_is_opened_and_sealed_with_that_users_key() -> None:
    theirs = Sealer(derive_user_key(OLD, USER)).seal(b"text")
    result = resealer("app.settings", row_of(1, theirs, USER.bytes), row_of(2, seal(OLD), None))
    (_, (user_new,)), (_, (master_new,)) = result.edits
    assert Sealer(derive_user_key(NEW, USER)).open_text(user_new) == b"text"
    assert Sealer(NEW).open_text(master_new) == b"text"


def test_neighbouring_users_do_not_get_each_others_keys() -> None:
    users = [UUID(int=number) for number in (3, 4, 3, 5)]
    rows = [row_of(n, Sealer(derive_user_key(OLD, user)).seal(b"%d" % n), user.bytes) for n, user in enumerate(users)]
    result = resealer("app.settings", *rows)
    opened = [
        Sealer(derive_user_key(NEW, user)).open_text(new) for user, (_, (new,)) in zip(users, result.edits, strict=True)
    ]
    assert opened == [b"0", b"1", b"2", b"3"]


def test_a_users_setting_without_its_user_is_reported() -> None:
    theirs = Sealer(derive_user_key(OLD, USER)).seal(b"text")
    assert reasons(resealer("app.settings", row_of(1, theirs, None))) == [NO_KEY]


def test_both_layers_of_a_value_sealed_twice_move_to_the_new_key() -> None:
    result = resealer("functions.secrets", row_of(1, seal(NEW, seal(OLD))), row_of(2, seal(OLD, seal(NEW))))
    for _, (new,) in result.edits:
        assert Sealer(NEW).open_text(Sealer(NEW).open_text(new)) == b"text"
    assert len(result.edits) == 2
    assert counts(result) == Counts(scanned=2, re_encrypted=2, updated=2)


def test_a_value_that_does_not_reopen_stops_the_processing(monkeypatch: pytest.MonkeyPatch) -> None:
    original = Sealer.seal
    stored = seal(OLD)
    monkeypatch.setattr(Sealer, "seal", lambda self, plaintext: original(self, plaintext + b"!"))
    with pytest.raises(ReopenError):
        resealer("functions.secrets", row_of(1, stored))


def test_one_value_among_many_that_does_not_reopen_stops_the_processing(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [row_of(number, seal(OLD, b"%d" % number)) for number in range(5)]
    its = RowResealer(shape_of("functions.secrets"), Opener(RING, first=1), GOAL)
    assert len(its.process(RowList(rows)).edits) == 5
    target = its._opener.sealers((Layer(2, derived=False),), None)[0]
    encrypt = target._encrypt
    monkeypatch.setattr(target, "_encrypt", lambda nonce, text, _: encrypt(nonce, text + b"!" * (text == b"4"), None))
    with pytest.raises(ReopenError):
        its.process(RowList(rows))


@pytest.mark.parametrize("first", [1, 2, 3])
def test_for_every_likely_key_each_row_gets_its_own_result(first: int) -> None:
    stored = [seal(OLD, b"1"), seal(NEW, b"2"), seal(STRANGER), seal(OLD, b"3"), b"", seal(THIRD), seal(OLD, seal(OLD))]
    rows = [row_of(number, text) for number, text in enumerate(stored * 3)]
    result = RowResealer(shape_of("functions.secrets"), Opener(RING, first=first), GOAL).process(RowList(rows))
    opened = {row[1][-1]: Sealer(NEW).open_text(new) for row, (new,) in result.edits}
    doubles = [opened.pop(number) for number in (6, 13, 20)]
    assert opened == {number: b"1" if number % 7 == 0 else b"3" for number in (0, 3, 7, 10, 14, 17)}
    assert [Sealer(NEW).open_text(text) for text in doubles] == [b"text"] * 3
    assert {entry.id.int % 7 for entry in result.quarantine} == {2, 4}
    assert counts(result) == Counts(
        scanned=21, re_encrypted=9, updated=9, already_current=3, undecryptable=6, other_versions=3
    )


def document(root: object) -> bytes:
    return json.dumps(root).encode()


def paths(result: ResealResult) -> list[tuple[str, ...]]:
    """The paths of the strings that are edited. Every one holds the plaintext of `seal` under the new key."""
    found = []
    for row, (new,) in result.edits:
        before, after = (dict(strings(text)) for text in (row[2], new))
        assert before.keys() == after.keys()
        changed = [path for path, text in after.items() if text != before[path]]
        assert all(Sealer(NEW).open_text(after[path].encode()) == b"text" for path in changed)
        found += changed
    return found


def test_seals_at_any_depth_of_a_document_are_found_and_only_they_are_edited() -> None:
    old = seal(OLD).decode()
    root = {
        "email": {"smtp_password": old, "smtp_port": 587, "from": "a@b"},
        "odd": [[{"0": old}, 1.10, None, True], old],
        'a.b"c\\': {"": old},
        "new": seal(NEW).decode(),
        "third": seal(THIRD).decode(),
    }
    result = resealer("platform.instance_settings", row_of(1, document(root)))
    assert sorted(paths(result)) == [('a.b"c\\', ""), ("email", "smtp_password"), ("odd", "0", "0", "0"), ("odd", "1")]
    assert counts(result) == Counts(scanned=6, re_encrypted=4, updated=4, already_current=1, other_versions=1)


def test_a_document_that_is_a_single_seal_is_edited_at_its_root() -> None:
    assert paths(resealer("platform.instance_settings", row_of(1, document(seal(OLD).decode())))) == [()]


def test_an_undecryptable_text_in_a_document_is_reported_only_if_its_path_names_a_secret() -> None:
    strange = seal(STRANGER).decode()
    root = {"email": {"smtp_password": strange, "logo": strange}, "api_keys": [strange], "x": [strange], "key": "short"}
    result = resealer("platform.instance_settings", row_of(1, document(root)))
    assert sorted(entry.path for entry in result.quarantine) == [("api_keys", "0"), ("email", "smtp_password")]
    assert {entry.reason for entry in result.quarantine} == {NO_KEY}
    assert counts(result) == Counts(scanned=2, undecryptable=2)


def deep(leaf: bytes) -> bytes:
    return b"[" * 200_000 + b'"' + leaf + b'"' + b"]" * 200_000


def test_a_document_too_deep_to_walk_is_edited_like_any_other() -> None:
    result = resealer("platform.instance_settings", row_of(1, deep(seal(OLD))))
    ((_, (new,)),) = result.edits
    (leaf,) = leaves(new)
    assert new == deep(leaf.text)
    assert Sealer(NEW).open_text(leaf.text) == b"text"


def test_a_document_too_deep_to_walk_is_reported_if_no_key_opens_a_string_and_the_others_are_processed() -> None:
    result = resealer(
        "platform.instance_settings", row_of(1, deep(seal(STRANGER))), row_of(2, document([seal(OLD).decode()]))
    )
    assert [(entry.id, entry.reason) for entry in result.quarantine] == [(UUID(int=1), TOO_DEEP)]
    assert len(result.edits) == 1


def test_the_resealer_recognizes_what_it_wrote_and_not_what_others_wrote() -> None:
    rows = [row_of(n, seal(OLD)) for n in range(3)]
    its = RowResealer(shape_of("functions.secrets"), Opener(RING), GOAL)
    edits = its.process(RowList(rows)).edits
    now = {
        rows[0][1]: row_of(0, edits[0][1][0]),
        rows[1][1]: row_of(1, seal(NEW)),
    }
    assert its.written(edits, now) == {rows[0][1]}


def test_the_resealer_recognizes_its_document_and_not_one_that_another_writer_changed() -> None:
    its = RowResealer(shape_of("platform.instance_settings"), Opener(RING), GOAL)
    edits = its.process(RowList([row_of(n, document({"a": seal(OLD).decode()})) for n in range(3)])).edits
    now = {
        edits[0][0][1]: row_of(0, edits[0][1][0]),
        edits[1][0][1]: row_of(1, document({"a": seal(NEW).decode()})),
        edits[2][0][1]: row_of(2, document(["a"])),
    }
    assert its.written(edits, now) == {edits[0][0][1]}


json_trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=4), children, max_size=4),
    max_leaves=25,
)


def look_up(root: Any, path: tuple[str, ...]) -> Any:
    for segment in path:
        root = root[int(segment)] if isinstance(root, list) else root[segment]
    return root


def count_strings(root: object) -> int:
    if isinstance(root, dict):
        return sum(count_strings(child) for child in root.values())
    if isinstance(root, list):
        return sum(count_strings(child) for child in root)
    return int(isinstance(root, str))


@given(root=json_trees, ascii_only=st.booleans())
def test_the_walk_finds_every_string_once_and_with_its_path(root: object, ascii_only: bool) -> None:  # noqa: FBT001
    found = list(strings(json.dumps(root, ensure_ascii=ascii_only).encode()))
    assert len(found) == count_strings(root)
    assert len({path for path, _ in found}) == len(found)
    assert all(look_up(root, path) == text for path, text in found)


def test_the_walk_does_not_convert_numbers() -> None:
    digits = b"9" * 100_000
    assert list(strings(b'[%s, 1e400, -%s.5, "x"]' % (digits, digits))) == [(("3",), "x")]


def test_the_walk_reaches_deep_levels() -> None:
    assert [text for _, text in strings(b"[" * 150 + b'"x"' + b"]" * 150)] == ["x"]


@given(root=json_trees, seals=st.lists(st.sampled_from([OLD, NEW, THIRD]), max_size=4))
def test_in_any_document_exactly_the_old_seals_are_edited(root: object, seals: list[bytes]) -> None:
    tree = {"rest": root, "sealed": [seal(key).decode() for key in seals]}
    result = resealer("platform.instance_settings", row_of(1, document(tree)))
    assert sorted(paths(result)) == [("sealed", str(n)) for n, key in enumerate(seals) if key == OLD]
    assert counts(result).scanned == len(seals)
