"""Values of many users in one go: each under its user's key, and with the same result as one value at a time."""

from __future__ import annotations

from itertools import count
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from fluxbase_cli import seal
from fluxbase_cli.catalogue.locations import CATALOGUE
from fluxbase_cli.engine.goal import Goal
from fluxbase_cli.engine.run.resealer import RowResealer
from fluxbase_cli.keyring import Key, Keyring, Layer, Opener, ReopenError
from fluxbase_cli.seal import Sealer, derive_user_key, open_each_of_users, reseal_each_of_users, user_salt
from fluxbase_cli.store.relation import Relation
from fluxbase_cli.store.rows import RowList

OLD, NEW, STRANGER = (bytes([number]) * 32 for number in (1, 2, 9))
RING = Keyring((Key(1, OLD), Key(2, NEW)))
USERS = [UUID(int=number) for number in (3, 4, 3, 5, 2**127 + 11)]


def of_user(master: bytes, user: UUID, plaintext: bytes = b"text!") -> bytes:
    return Sealer(derive_user_key(master, user)).seal(plaintext)


@given(st.uuids())
def test_the_salt_is_the_lowercase_hyphenated_text(user: UUID) -> None:
    assert user_salt(user.bytes) == str(user).encode()


def test_each_value_opens_under_its_own_users_key_only() -> None:
    salts = [user_salt(user.bytes) for user in USERS]
    texts = [of_user(OLD, user) for user in USERS]
    assert open_each_of_users(OLD, salts, texts) == []
    # Users 0 and 2 are the same one.
    assert open_each_of_users(OLD, [salts[2], salts[1], salts[0], salts[4], salts[3]], texts) == [3, 4]
    assert open_each_of_users(NEW, salts, texts) == [0, 1, 2, 3, 4]


def test_what_the_fast_way_does_not_open_is_left_to_the_caller() -> None:
    inner = of_user(OLD, USERS[0])
    texts = [None, b"plain", Sealer(OLD).seal(b"text"), of_user(OLD, USERS[0], inner), of_user(OLD, USERS[0]), inner]
    salts = [*[user_salt(USERS[0].bytes)] * 5, None]
    assert open_each_of_users(OLD, salts, texts) == [0, 1, 2, 3, 5]
    new = reseal_each_of_users(OLD, NEW, salts, texts)
    assert [text is None for text in new] == [True, True, True, True, False, True]


def test_each_value_is_resealed_under_its_own_users_new_key() -> None:
    salts = [user_salt(user.bytes) for user in USERS]
    plaintexts = [b"text %d" % number for number in range(len(USERS))]
    texts = [of_user(OLD, user, text) for user, text in zip(USERS, plaintexts, strict=True)]
    new = reseal_each_of_users(OLD, NEW, salts, texts)
    opened = [
        text and Sealer(derive_user_key(NEW, user)).open_text(text) for user, text in zip(USERS, new, strict=True)
    ]
    assert opened == plaintexts
    assert len({seal.decode(text or b"")[:12] for text in new}) == len(USERS)


def test_many_users_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    made = count()

    def counted(key: bytes) -> AESGCM:
        next(made)
        return AESGCM(key)

    users = [UUID(int=number) for number in range(600)]
    salts = [user_salt(user.bytes) for user in users]
    texts = [of_user(OLD, user) for user in users]
    monkeypatch.setattr(seal, "AESGCM", counted)
    # The first user again at the end: its cipher was dropped. The last one twice: its cipher was kept.
    salts, texts = [*salts, salts[-1], salts[0]], [*texts, texts[-1], texts[0]]
    assert open_each_of_users(OLD, salts, texts) == []
    assert next(made) == len(users) + 1


def test_when_one_users_value_does_not_reopen_none_is_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    class Faulty:
        def __init__(self, key: bytes) -> None:
            self._aead = AESGCM(key)

        def encrypt(self, nonce: bytes, data: bytes, _associated: None) -> bytes:
            return self._aead.encrypt(nonce, data + b"!", None)

        def decrypt(self, nonce: bytes, data: bytes, _associated: None) -> bytes:
            return self._aead.decrypt(nonce, data, None)

    text = of_user(OLD, USERS[0])
    monkeypatch.setattr(seal, "AESGCM", Faulty)
    with pytest.raises(ReopenError):
        reseal_each_of_users(OLD, NEW, [user_salt(USERS[0].bytes)], [text])


def test_the_version_that_opens_most_users_values_is_tried_first() -> None:
    opener = Opener(RING)
    salts = [user_salt(USERS[0].bytes)] * 3
    old, new = of_user(OLD, USERS[0]), of_user(NEW, USERS[0])
    assert opener.likely_of_users == (Layer(2, derived=True),)
    assert opener.open_each_of_users(salts, [old, old, new], 3) == [0, 1]
    opener.open(old, USERS[0])
    assert opener.likely_of_users == (Layer(1, derived=True),)
    # Half of them do not change it.
    assert opener.open_each_of_users(salts[:2], [old, new], 2) == [1]
    opener.open(new, USERS[0])
    assert opener.likely_of_users == (Layer(1, derived=True),)
    assert opener.reseal_each_of_users(2, salts, [new, new, old])[:2] == [None, None]
    opener.open(new, USERS[0])
    assert opener.likely_of_users == (Layer(2, derived=True),)


values = st.lists(
    st.tuples(
        st.none() | st.sampled_from(USERS),
        st.none() | st.sampled_from([b"", b"plain", b"twice"]) | st.sampled_from([OLD, NEW, STRANGER]),
        st.booleans(),
    ),
    max_size=12,
)


@given(values, st.sampled_from([None, Goal(2), Goal(2, source=1)]))
def test_rows_of_users_are_processed_like_each_alone(
    drawn: list[tuple[UUID | None, bytes | None, bool]], goal: Goal | None
) -> None:
    table = next(table for table in CATALOGUE if table.qualified == "app.settings")
    relation = Relation(table, table.schema, table.name, table.columns, table.user_column, table.flag_column)

    def stored(user: UUID | None, what: bytes | None, derived: bool) -> bytes | None:  # noqa: FBT001
        if what == b"twice":
            return Sealer(OLD).seal(Sealer(NEW).seal(b"text!"))
        if what is None or len(what) < len(OLD):
            return what
        return of_user(what, user) if derived and user is not None else Sealer(what).seal(b"text!")

    rows = [
        (bytes([0, 0, 0, 0, 0, number]), UUID(int=number).bytes, stored(user, what, derived), user and user.bytes, 1)
        for number, (user, what, derived) in enumerate(drawn)
    ]
    together = RowResealer(relation, Opener(RING), goal).process(RowList(rows))
    alone = [RowResealer(relation, Opener(RING), goal).process(RowList([row])) for row in rows]
    assert +together.tallies[0].opened == sum(
        (each.tallies[0].opened for each in alone), type(together.tallies[0].opened)()
    )
    assert [row for row, _ in together.edits] == [row for each in alone for row, _ in each.edits]
    assert together.quarantine == [entry for each in alone for entry in each.quarantine]
    for (row, (new,)), (_, (other,)) in zip(
        together.edits, (edit for each in alone for edit in each.edits), strict=True
    ):
        user = row[3] and UUID(bytes=row[3])
        assert Opener(RING).open(new, user) == Opener(RING).open(other, user)
