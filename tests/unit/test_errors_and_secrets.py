"""Keys and values are never shown. Each error says what is wrong and what to do, and has an exit code."""

from __future__ import annotations

import pickle
import traceback
from dataclasses import dataclass

import pytest

from fluxbase_cli import errors
from fluxbase_cli.config import DatabaseSettings, EncryptionSettings, KeyEntry, Secret
from fluxbase_cli.errors import ExitCode, FluxbaseCliError
from fluxbase_cli.keyring import Key, Keyring, ProviderContext, load_keyring
from fluxbase_cli.seal import Sealer, SealError
from fluxbase_cli.store.binary import TextArray
from fluxbase_cli.store.connection import connect, connect_or_explain
from fluxbase_cli.store.documents import Leaf

MARK = "hunter2-hunter2-hunter2-hunter2!"
KEY = MARK.encode()


def shown(thing: object) -> str:
    return f"{thing} {thing!r} {thing!s} {[thing]} { ({1: thing}) }"


@dataclass(frozen=True)
class Holder:
    """A data class of another author that holds an object."""

    thing: object


@pytest.mark.parametrize(
    "thing",
    [
        pytest.param(Key(3, KEY), id="a key"),
        pytest.param(Keyring((Key(1, KEY),)), id="a keyring"),
        pytest.param(Secret(MARK), id="a secret"),
        pytest.param(KeyEntry(1, "env", "a place", Secret(MARK), {"token": Secret(MARK)}), id="a configured key"),
        pytest.param(DatabaseSettings(password=Secret(MARK)), id="the database settings"),
        pytest.param(DatabaseSettings.from_url(f"postgresql://somebody:{MARK}@host/db"), id="a database URL"),
        pytest.param(
            ProviderContext(EncryptionSettings(keys=(KeyEntry(1, "env", "a place", Secret(MARK)),)), {}),
            id="what a provider is told",
        ),
        pytest.param(TextArray([KEY]), id="values for the database"),
        pytest.param(Leaf(0, 9, MARK.encode()), id="a leaf for a document"),
        pytest.param(Sealer(KEY), id="a sealer"),
    ],
)
def test_nothing_that_holds_a_secret_shows_it(thing: object) -> None:
    for text in (shown(thing), shown(Holder(thing))):
        assert MARK not in text
        assert KEY.hex() not in text
        assert MARK[:9] not in text


def test_a_key_shows_its_version_and_its_fingerprint() -> None:
    key = Key(3, KEY)
    assert repr(key) == f"Key(version=3, fingerprint={key.fingerprint})"
    assert key.fingerprint in repr(Keyring((key,)))


@pytest.mark.parametrize("text", [MARK.encode() + b"!!", Sealer(b"o" * 32).seal(KEY)], ids=["no seal", "not mine"])
def test_the_traceback_of_a_value_that_does_not_open_holds_no_part_of_it(text: bytes) -> None:
    with pytest.raises(SealError) as caught:
        Sealer(KEY).open_text(text)
    everything = "".join(traceback.format_exception(caught.value)) + repr(caught.value.args)
    assert MARK not in everything
    assert text.decode() not in everything


def test_two_equal_keys_are_refused_without_showing_them() -> None:
    entries = (KeyEntry(1, "env", "one", Secret(MARK)), KeyEntry(2, "env", "two", Secret(MARK)))
    with pytest.raises(FluxbaseCliError) as caught:
        load_keyring(EncryptionSettings(keys=entries), {})
    assert MARK not in "".join(traceback.format_exception(caught.value)) + str(caught.value.hint)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://somebody:{MARK}@127.0.0.1:1/nowhere?connect_timeout=2",
        f"host=127.0.0.1 port=1 user=somebody password='{MARK}' dbname=nowhere",
    ],
)
def test_a_server_that_does_not_answer_is_reported_without_the_password(url: str) -> None:
    with pytest.raises(errors.DatabaseError) as caught:
        connect_or_explain(DatabaseSettings.from_url(url))
    assert caught.value.exit_code is ExitCode.FAILED
    assert "127.0.0.1" in caught.value.message
    assert MARK not in f"{caught.value} {caught.value.hint}"
    assert MARK not in "".join(traceback.format_exception(caught.value))


def test_an_address_that_libpq_can_not_read_is_refused_and_not_quoted() -> None:
    settings = DatabaseSettings(url=Secret(f"postgresql://u:{MARK}@[h/d"), source="--database-url")
    with pytest.raises(errors.ConfigurationError) as caught:
        connect(settings)
    assert "--database-url" in caught.value.message
    assert MARK not in "".join(traceback.format_exception(caught.value))


ERRORS = {
    errors.FluxbaseCliError: 1,
    errors.ConfigurationError: 2,
    errors.PreflightRefusedError: 2,
    errors.UntrustedSchemaError: 2,
    errors.NothingHereError: 2,
    errors.DatabaseError: 1,
    errors.JobRunningError: 5,
    errors.RotationRunningError: 5,
    errors.JobStoppedError: 2,
    errors.WrongKeyError: 6,
    errors.JobFailedError: 1,
}


def test_every_error_is_listed_here() -> None:
    found = {each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, FluxbaseCliError)}
    assert found == set(ERRORS)


@pytest.mark.parametrize(("kind", "code"), ERRORS.items())
def test_an_error_has_a_message_a_hint_and_the_documented_exit_code(kind: type[FluxbaseCliError], code: int) -> None:
    error = kind("what is wrong", hint="what to do")
    assert (str(error), error.message, error.hint, int(error.exit_code)) == (
        "what is wrong",
        "what is wrong",
        "what to do",
        code,
    )
    assert kind("alone").hint is None


def test_the_exit_codes_are_the_documented_ones() -> None:
    assert sorted(int(code) for code in ExitCode) == [0, 1, 2, 3, 4, 5, 6, 130, 143]


def test_an_object_that_holds_a_secret_can_not_be_pickled() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(Holder(Secret(MARK)))
