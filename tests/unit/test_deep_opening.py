"""Trying keys on texts with the form of a seal: the keys of the key ring, and those of users that the row names."""

from __future__ import annotations

import json
import os
import secrets
import string
from base64 import b64decode, b64encode, urlsafe_b64encode
from uuid import uuid4

import pytest

from fluxbase_cli.keyring import Key, Keyring, Layer
from fluxbase_cli.proof.opening import MOST_DOUBTS, MOST_USERS, OpenResult, ValueOpener
from fluxbase_cli.store.deep_reading import MAX_RAW_BYTES
from tests.fixtures.fluxbase import NEW, OLD, STRANGER, seal

MASTER_1, USER_1, MASTER_2 = Layer(1, derived=False), Layer(1, derived=True), Layer(2, derived=False)


@pytest.fixture
def opener() -> ValueOpener:
    return ValueOpener(Keyring((Key(1, OLD), Key(2, NEW))))


def look(opener: ValueOpener, value: str | bytes, row: str = "") -> list[tuple[Layer, ...]]:
    data = value.encode() if isinstance(value, str) else value
    looked = opener.look(data, is_bytes=isinstance(value, bytes), most_raw=MAX_RAW_BYTES)
    if looked is None:
        return []
    opener.try_users(looked, row.encode())
    return list(looked.opened.values())


def test_each_key_of_the_ring_is_tried_and_no_other_one(opener: ValueOpener) -> None:
    assert look(opener, seal(OLD, "x")) == [(MASTER_1,)]
    assert look(opener, seal(NEW, "x")) == [(MASTER_2,)]
    assert look(opener, seal(STRANGER, "x")) == []


def test_a_value_sealed_twice_counts_for_both_keys(opener: ValueOpener) -> None:
    user = uuid4()
    assert look(opener, seal(NEW, seal(OLD, "x"))) == [(MASTER_2, MASTER_1)]
    assert look(opener, seal(NEW, seal(OLD, "x", user)), str(user)) == [(MASTER_2, USER_1)]
    assert look(opener, seal(OLD, seal(NEW, "x"), user), str(user)) == [(USER_1, MASTER_2)]
    assert look(opener, seal(NEW, seal(STRANGER, "x")), str(user)) == [(MASTER_2,)]


@pytest.mark.parametrize("form", [str, lambda user: str(user).upper(), lambda user: f'{{"user_id":"{user}"}}'])
def test_the_key_of_a_user_that_the_row_names_is_tried(opener: ValueOpener, form: object) -> None:
    user = uuid4()
    row = form(user)  # type: ignore[operator]  # one of the parameters
    assert look(opener, seal(OLD, "x", user), f"{uuid4()} {row} {uuid4()}") == [(USER_1,)]
    assert look(opener, seal(OLD, "x", user), f"{uuid4()}") == []


def test_the_user_may_be_named_in_the_value_itself(opener: ValueOpener) -> None:
    user = uuid4()
    assert look(opener, json.dumps({"user_id": str(user), "token": seal(OLD, "x", user)})) == [(USER_1,)]


def test_of_many_users_in_a_value_the_nearest_are_tried(opener: ValueOpener) -> None:
    users = [uuid4() for _ in range(20 * MOST_USERS)]
    rows = [{"user": str(user), "token": seal(OLD, f"of {user}", user)} for user in users]
    assert look(opener, json.dumps(rows)) == [(USER_1,)] * len(users)


def test_a_decoded_seal_is_opened_with_a_users_key_too(opener: ValueOpener) -> None:
    user = uuid4()
    assert look(opener, b64decode(seal(OLD, "x", user)), str(user)) == [(USER_1,)]


def test_a_seal_that_stands_twice_in_a_value_counts_once(opener: ValueOpener) -> None:
    text = seal(OLD, "x")
    assert look(opener, f"{text} {text} {seal(OLD, 'y')}") == [(MASTER_1,)] * 2


def test_what_a_value_holds_beyond_the_limit_is_reported(opener: ValueOpener) -> None:
    texts = " ".join(b64encode(os.urandom(45)).decode() for _ in range(MOST_DOUBTS + 1))
    looked = opener.look(texts.encode(), is_bytes=False, most_raw=MAX_RAW_BYTES)
    assert isinstance(looked, OpenResult)
    assert looked.overflowed
    assert len(looked.doubts) == MOST_DOUBTS


def test_no_random_text_opens(opener: ValueOpener) -> None:
    row = f"{uuid4()} {uuid4()}"
    alphabet = string.ascii_letters + string.digits + "+/"
    for number in range(3_000):
        kind = number % 6
        if kind == 0:
            value: str | bytes = b64encode(os.urandom(28 + number % 50)).decode()
        elif kind == 1:
            value = os.urandom(28 + number % 50)
        elif kind == 2:
            value = os.urandom(32).hex()
        elif kind == 3:
            value = "".join(secrets.choice(alphabet) for _ in range(40 + number % 60))
        elif kind == 4:
            value = ".".join(urlsafe_b64encode(os.urandom(32)).decode() for _ in range(3))
        else:
            value = json.dumps({"data": b64encode(os.urandom(60)).decode(), "id": str(uuid4())})
        assert look(opener, value, row) == [], value
