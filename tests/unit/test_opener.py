"""Opening values with the keys of a key ring, layer by layer, and resealing them in the same layers."""

from __future__ import annotations

import os
from itertools import count, pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxbase_cli.keyring import Key, Keyring, Layer, Opener, ReopenError, reseal
from fluxbase_cli.seal import NotASealError, NotMyKeyError, Sealer, derive_user_key

KEYS = {version: bytes([version]) * 32 for version in (1, 2, 3)}
RING = Keyring(tuple(Key(version, secret) for version, secret in KEYS.items()))
STRANGER = b"s" * 32
USER, OTHER_USER = UUID(int=7), UUID(int=8)


def key_of(layer: Layer, user: UUID) -> bytes:
    master = KEYS[layer.version]
    return derive_user_key(master, user) if layer.derived else master


def seal_in(layers: tuple[Layer, ...], plaintext: bytes, user: UUID = USER) -> bytes:
    text = plaintext
    for layer in reversed(layers):
        text = Sealer(key_of(layer, user)).seal(text)
    return text


def masters(*versions: int) -> tuple[Layer, ...]:
    return tuple(Layer(version, derived=False) for version in versions)


@pytest.mark.parametrize("version", KEYS)
@pytest.mark.parametrize("first", [None, 1, 2, 3])
def test_every_key_of_the_ring_opens_what_it_sealed_in_any_order_of_trying(version: int, first: int | None) -> None:
    opener = Opener(RING, first=first)
    assert opener.open(Sealer(KEYS[version]).seal(b"text")) == (masters(version), b"text")


def test_the_key_that_opened_the_last_value_is_tried_first(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[Sealer] = []
    for name in ("open", "open_text"):
        original = getattr(Sealer, name)

        def spy(self: Sealer, text: bytes, original: object = original) -> bytes:
            tried.append(self)
            assert callable(original)
            return bytes(original(self, text))

        monkeypatch.setattr(Sealer, name, spy)
    values = [Sealer(KEYS[1]).seal(b"text") for _ in range(20)]
    opener = Opener(RING)
    opener.open(values[0])
    assert len(tried) >= 3
    tried.clear()
    for value in values[1:]:
        assert opener.open(value)[0] == masters(1)
    assert len(tried) == 19


def test_many_values_are_opened_with_the_likely_key_and_the_others_are_left() -> None:
    opener = Opener(RING, first=1)
    likely, other, double = seal_in(masters(1), b"text"), seal_in(masters(2), b"text"), seal_in(masters(1, 1), b"text")
    stored = [likely, None, other, double, b"", likely]
    assert opener.likely == masters(1)
    assert opener.open_each(stored, len(stored)) == [1, 2, 3, 4]
    resealed = opener.reseal_each(Sealer(KEYS[2]), stored, len(stored))
    assert [new and Sealer(KEYS[2]).open_text(new) for new in resealed] == [b"text", None, None, None, None, b"text"]


def test_one_value_under_another_key_does_not_change_the_likely_key_and_a_majority_does() -> None:
    opener = Opener(RING, first=1)
    usual, rare = seal_in(masters(1), b"text"), seal_in(masters(2), b"text")
    opener.open_each([usual, usual, rare], 3)
    opener.open(rare)
    assert opener.likely == masters(1)
    assert opener.open_each([usual, rare, rare], 3) == [1, 2]
    opener.open(rare)
    assert opener.likely == masters(2)
    assert opener.open_each([usual, rare, rare], 3) == [0]


def test_values_of_all_versions_in_turn_are_opened_correctly() -> None:
    opener = Opener(RING)
    turns = [1, 2, 3, 3, 1, 2, 2, 1] * 3
    assert [opener.open(Sealer(KEYS[version]).seal(b"%d" % version)) for version in turns] == [
        (masters(version), b"%d" % version) for version in turns
    ]


def test_a_seal_that_no_key_opens_and_a_text_that_is_no_seal_give_different_errors() -> None:
    opener = Opener(RING)
    for user in (None, USER):
        with pytest.raises(NotMyKeyError):
            opener.open(Sealer(STRANGER).seal(b"text"), user)
        with pytest.raises(NotASealError):
            opener.open(b"JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", user)
        with pytest.raises(NotASealError):
            opener.open(b"", user)


def test_a_users_value_is_opened_with_the_users_key_and_no_other_users() -> None:
    opener = Opener(RING)
    stored = Sealer(derive_user_key(KEYS[2], USER)).seal(b"text")
    assert opener.open(stored, USER) == ((Layer(2, derived=True),), b"text")
    for user in (None, OTHER_USER):
        with pytest.raises(NotMyKeyError):
            opener.open(stored, user)


def test_a_users_value_under_the_master_key_is_opened_too_and_stays_under_a_master_key() -> None:
    opener = Opener(RING)
    layers, plaintext = opener.open(Sealer(KEYS[1]).seal(b"text"), USER)
    assert (layers, plaintext) == (masters(1), b"text")
    resealed = reseal(plaintext, opener.sealers(masters(2), USER))
    assert Sealer(KEYS[2]).open_text(resealed) == b"text"


@given(
    layers=st.lists(st.builds(Layer, st.sampled_from(sorted(KEYS)), st.booleans()), min_size=1, max_size=3).map(tuple),
    target=st.lists(st.sampled_from(sorted(KEYS)), min_size=3, max_size=3),
    plaintext=st.binary(max_size=60),
)
def test_a_value_with_several_layers_is_opened_completely_and_resealed_with_as_many(
    layers: tuple[Layer, ...], target: list[int], plaintext: bytes
) -> None:
    opener = Opener(RING)
    assert opener.open(seal_in(layers, plaintext), USER) == (layers, plaintext)
    wanted = tuple(Layer(version, layer.derived) for version, layer in zip(target, layers, strict=False))
    resealed = reseal(plaintext, opener.sealers(wanted, USER))
    text = resealed
    for layer in wanted:
        text = Sealer(key_of(layer, USER)).open_text(text)
    assert text == plaintext
    assert opener.open(resealed, USER) == (wanted, plaintext)


def test_a_line_break_inside_an_inner_seal_hides_no_layer() -> None:
    inner = Sealer(KEYS[1]).seal(b"text")
    stored = Sealer(KEYS[2]).seal(inner[:10] + b"\r\n" + inner[10:] + b"\n")
    assert Opener(RING).open(stored) == (masters(2, 1), b"text")


def test_a_plaintext_that_only_looks_like_a_seal_is_the_plaintext() -> None:
    looks = Sealer(STRANGER).seal(b"text")
    assert Opener(RING).open(Sealer(KEYS[1]).seal(looks)) == (masters(1), looks)
    too_short = b"QUJD" * 9
    assert Opener(RING).open(Sealer(KEYS[1]).seal(too_short)) == (masters(1), too_short)


def test_resealing_seals_with_fresh_nonces() -> None:
    opener = Opener(RING)
    sealers = opener.sealers(masters(2), None)
    made = {reseal(b"text", sealers) for _ in range(300)}
    assert len(made) == 300
    assert all(first[:16] != second[:16] for first, second in pairwise(sorted(made)))


class Forgetful(Sealer):
    """Opens to another text than the sealed one, as broken memory could do."""

    def open_text(self, text: bytes) -> bytes:
        return super().open_text(text) + b"!"


class Mangling(Sealer):
    """Seals a text so that it can't be opened again."""

    def seal(self, plaintext: bytes) -> bytes:
        sealed = super().seal(plaintext)
        return sealed[:20] + (b"A" if sealed[20:21] != b"A" else b"B") + sealed[21:]


class Truncating(Sealer):
    """Returns less than a seal."""

    def seal(self, plaintext: bytes) -> bytes:
        return super().seal(plaintext)[:30]


@pytest.mark.parametrize("broken", [Forgetful, Mangling, Truncating])
@pytest.mark.parametrize("place", ["alone", "outer", "inner"])
def test_a_seal_that_does_not_open_to_the_same_plaintext_is_never_returned(broken: type[Sealer], place: str) -> None:
    good, bad = Sealer(KEYS[1]), broken(KEYS[2])
    sealers = {"alone": (bad,), "outer": (bad, good), "inner": (good, bad)}[place]
    with pytest.raises(ReopenError) as caught:
        reseal(b"text", sealers)
    assert str(caught.value) == ""
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("place", [0, 1, 2])
def test_when_one_of_many_values_does_not_reopen_none_is_returned(place: int, monkeypatch: pytest.MonkeyPatch) -> None:
    target = Sealer(KEYS[2])
    reopen, reopened = target._decrypt, count()
    # The cipher is correct for all values but one. For that one it returns another plaintext.
    monkeypatch.setattr(target, "_decrypt", lambda *seal: reopen(*seal) + b"!" * (next(reopened) == place))
    with pytest.raises(ReopenError):
        Sealer(KEYS[1]).reseal_each(target, [Sealer(KEYS[1]).seal(b"text")] * 3, 3)


def test_each_of_many_values_is_resealed_with_its_own_text() -> None:
    plaintexts = [b"", b"text", b"text", b"longer text"]
    new = Sealer(KEYS[1]).reseal_each(Sealer(KEYS[2]), [Sealer(KEYS[1]).seal(each) for each in plaintexts], 4)
    assert [text and Sealer(KEYS[2]).open_text(text) for text in new] == plaintexts
    assert Sealer(KEYS[1]).reseal_each(Sealer(KEYS[2]), [], 0) == []


# --- edge cases -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", [Layer(2, derived=False), Layer(2, derived=True)], ids=["master", "derived"])
def test_one_read_of_the_systems_randomness_gives_the_nonces_of_many_values(
    layer: Layer, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings: list[int] = []
    real = os.urandom

    def urandom(size: int) -> bytes:
        readings.append(size)
        return real(size)

    monkeypatch.setattr(os, "urandom", urandom)
    opener = Opener(RING)
    sealers = opener.sealers((layer,), USER)
    assert len({reseal(b"text", sealers) for _ in range(200)}) == 200
    assert len(readings) == 1


@pytest.mark.parametrize("version", KEYS)
@pytest.mark.parametrize("derived", [False, True], ids=["master", "derived"])
def test_the_key_of_any_version_that_opened_the_last_value_is_tried_first(
    version: int,
    derived: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried: list[bytes] = []
    real = Sealer.open

    def spy(self: Sealer, raw: bytes) -> bytes:
        tried.append(raw)
        return real(self, raw)

    opener = Opener(RING)
    layers = (Layer(version, derived),)
    user, other = (USER, OTHER_USER) if derived else (None, None)
    assert opener.open(seal_in(layers, b"text"), user) == (layers, b"text")
    monkeypatch.setattr(Sealer, "open", spy)
    assert opener.open(seal_in(layers, b"text"), user) == (layers, b"text")
    assert len(tried) == 1
    # The opener uses what it learned from one user's value for the values of other users too.
    assert opener.open(seal_in(layers, b"text", OTHER_USER), other) == (layers, b"text")
    assert opener.open(seal_in(masters(version), b"text")) == (masters(version), b"text")
    assert len(tried) == 3


def test_a_users_key_is_derived_once_and_the_keys_of_few_users_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    derived: list[UUID] = []

    def derive(master: bytes, user_id: UUID) -> bytes:
        derived.append(user_id)
        return derive_user_key(master, user_id)

    monkeypatch.setattr("fluxbase_cli.keyring.opener.derive_user_key", derive)
    opener = Opener(RING)
    layers = (Layer(1, derived=True),)
    users = [UUID(int=number) for number in range(2_000)]
    for user in users:
        opener.sealers(layers, user)
    opener.sealers(layers, users[-1])
    assert derived == users
    # The key was dropped after many other users: memory does not grow with the number of users in a table.
    opener.sealers(layers, users[0])
    assert derived == [*users, users[0]]


def test_half_of_the_values_under_another_key_do_not_change_the_likely_key() -> None:
    opener = Opener(RING, first=1)
    usual, rare = seal_in(masters(1), b"text"), seal_in(masters(2), b"text")
    assert opener.open_each([usual, rare], 2) == [1]
    opener.open(rare)
    assert opener.likely == masters(1)
    new = opener.reseal_each(Sealer(KEYS[3]), [rare, usual], 2)
    assert new[0] is None
    opener.open(rare)
    assert opener.likely == masters(1)
    opener.reseal_each(Sealer(KEYS[3]), [rare, usual, rare], 3)
    opener.open(rare)
    assert opener.likely == masters(2)


def test_without_a_first_version_the_newest_is_the_likely_one() -> None:
    assert Opener(RING).likely == masters(3)
    assert Opener(RING, first=2).likely == masters(2)
