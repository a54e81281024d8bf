"""The forms in which keys are written, the key ring that holds them, and the providers that read them."""

from __future__ import annotations

import base64
import string
from importlib.metadata import EntryPoint
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxbase_cli.config import EncryptionSettings, KeyEntry, Secret
from fluxbase_cli.encoding import Encoding
from fluxbase_cli.errors import ConfigurationError, ExitCode
from fluxbase_cli.keyring import (
    Key,
    Keyring,
    ProviderContext,
    generate_key,
    load_keyring,
    parse_key,
)
from fluxbase_cli.keyring.file import FileKeyProvider
from fluxbase_cli.keyring.provider import load_provider

FIRST = bytes(range(32))
SECOND = bytes(range(100, 132))
PLACE = "fluxbase.yaml:7"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        pytest.param(FIRST.hex(), FIRST, id="hex"),
        pytest.param(FIRST.hex().upper(), FIRST, id="hex in capitals"),
        pytest.param(base64.b64encode(SECOND).decode(), SECOND, id="base64"),
        pytest.param(
            "0123456789abcdef0123456789abcdef", b"0123456789abcdef0123456789abcdef", id="32 hex digits are raw"
        ),
        pytest.param("鍵鍵鍵鍵鍵鍵鍵鍵鍵鍵ab", "鍵鍵鍵鍵鍵鍵鍵鍵鍵鍵ab".encode(), id="32 bytes in 12 characters"),
        pytest.param("🔑" * 8, ("🔑" * 8).encode(), id="32 bytes in 8 characters"),
        pytest.param(" leading and trailing blanks ok ", b" leading and trailing blanks ok ", id="blanks count"),
        pytest.param("\udcff" * 32, b"\xff" * 32, id="bytes that are no UTF-8"),
    ],
)
def test_a_key_is_hex_or_base64_or_32_bytes_of_text(text: str, key: bytes) -> None:
    assert parse_key(text, PLACE) == key


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("hunter2-hunter2-hunter2-hunter2"[:31], id="31 bytes"),
        pytest.param("hunter2-hunter2-hunter2-hunter2-h"[:33], id="33 bytes"),
        pytest.param("", id="nothing"),
        pytest.param("é" * 32, id="32 characters that are 64 bytes"),
        pytest.param("hunter2z" * 8, id="64 characters that are no hex"),
        pytest.param("+" + FIRST.hex()[1:], id="a sign"),
        pytest.param(FIRST.hex()[:62], id="62 hex digits"),
        pytest.param(FIRST.hex()[:62] + "\r\n", id="62 hex digits and a line break"),
        pytest.param("  " + FIRST.hex()[:62], id="62 hex digits behind blanks"),
        pytest.param(" ".join(FIRST.hex()[at : at + 2] for at in range(0, 42, 2)) + " ", id="hex digits with blanks"),
        pytest.param(FIRST.hex() + "\n", id="hex with a line break"),
        pytest.param(base64.b64encode(FIRST[:31]).decode(), id="base64 of 31 bytes"),
        pytest.param(base64.b64encode(FIRST + b"x").decode(), id="base64 of 33 bytes"),
        pytest.param(base64.urlsafe_b64encode(b"\xff" * 32).decode(), id="URL-safe base64"),
        pytest.param(base64.b64encode(FIRST).decode() + "\n", id="base64 with a line break"),
    ],
)
def test_any_other_text_is_refused_with_its_place_and_never_quoted(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_key(text, PLACE)
    assert caught.value.exit_code is ExitCode.USAGE
    assert PLACE in caught.value.message
    shown = f"{caught.value!r} {caught.value.message} {caught.value.hint}"
    assert not text.strip() or text.strip()[:12] not in shown
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@given(st.text(max_size=80))
def test_a_key_without_exactly_32_bytes_is_refused_and_not_shown(rest: str) -> None:
    shown = ""
    try:
        assert len(parse_key(f"\N{SNOWMAN}{rest}", PLACE)) == 32
    except ConfigurationError as error:
        shown = f"{error} {error.hint}"
    assert "\N{SNOWMAN}" not in shown


@given(st.text(alphabet=string.hexdigits + " \t\r\n", min_size=64, max_size=64))
def test_64_characters_are_a_key_only_if_each_is_a_hex_digit(text: str) -> None:
    if all(character in string.hexdigits for character in text):
        assert parse_key(text, PLACE).hex() == text.lower()
    else:
        with pytest.raises(ConfigurationError):
            parse_key(text, PLACE)


def test_white_space_around_a_key_causes_a_warning() -> None:
    with pytest.raises(ConfigurationError, match="white space"):
        parse_key(FIRST.hex() + "\n", PLACE)


@pytest.mark.parametrize("encoding", Encoding)
def test_a_generated_key_can_be_read_and_is_never_the_same(encoding: Encoding) -> None:
    made = {generate_key(encoding) for _ in range(50)}
    assert len(made) == 50
    assert {len(parse_key(text, PLACE)) for text in made} == {32}
    assert {len(text) for text in made} == {{"hex": 64, "base64": 44, "raw": 32}[encoding.value]}


def test_a_raw_key_has_the_form_that_todays_server_reads_from_any_file() -> None:
    allowed = set(string.ascii_letters + string.digits + "-_")
    assert all(set(generate_key(Encoding.RAW)) <= allowed for _ in range(50))


def test_the_rings_order_is_newest_first() -> None:
    ring = Keyring((Key(2, SECOND), Key(10, b"k" * 32), Key(1, FIRST)))
    assert ring.versions == (10, 2, 1)
    assert [key.version for key in ring.keys] == [10, 2, 1]
    assert ring.active == 10
    assert Keyring((Key(2, SECOND), Key(1, FIRST)), active=1).active == 1
    assert ring.key(2).secret == SECOND


def test_a_version_without_a_key_is_named_with_those_that_have_one() -> None:
    ring = Keyring((Key(1, FIRST), Key(3, SECOND)))
    with pytest.raises(ConfigurationError, match=r"version 2 is not configured \(configured: 1, 3\)"):
        ring.key(2)
    with pytest.raises(ConfigurationError, match="version 4 is not configured"):
        Keyring((Key(1, FIRST),), active=4)


def test_no_key_at_all_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no key"):
        Keyring(())


def test_a_version_that_stands_twice_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="twice"):
        Keyring((Key(1, FIRST), Key(1, SECOND)))


def test_one_key_under_two_versions_is_refused_with_both_places() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Keyring((Key(3, FIRST, source="place three"), Key(2, SECOND), Key(1, FIRST, source="place one")))
    assert "versions 1 and 3 are the same key" in caught.value.message
    assert "place one" in caught.value.message
    assert "place three" in caught.value.message
    assert FIRST.hex() not in f"{caught.value} {caught.value.hint}"


def encryption(*keys: KeyEntry, active: int | None = None) -> EncryptionSettings:
    return EncryptionSettings(active_key_version=active, keys=keys)


def entry(version: int, text: str, name: str = "env") -> KeyEntry:
    return KeyEntry(version, name, f"place {version}", Secret(text))


def test_the_ring_is_loaded_from_the_configuration() -> None:
    ring = load_keyring(encryption(entry(1, FIRST.hex()), entry(2, SECOND.hex()), active=1), {})
    assert ring.active == 1
    assert {key.version: key.secret for key in ring.keys} == {1: FIRST, 2: SECOND}
    assert {key.source for key in ring.keys} == {"place 1", "place 2"}
    assert {key.provider for key in ring.keys} == {"env"}


def test_a_key_that_cannot_be_read_is_named_by_its_place() -> None:
    with pytest.raises(ConfigurationError, match="place 2") as caught:
        load_keyring(encryption(entry(1, FIRST.hex()), entry(2, "hunter2")), {})
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"


def test_an_unknown_provider_is_refused_with_a_list_of_the_installed_ones() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_keyring(encryption(entry(1, FIRST.hex(), "teapot")), {})
    assert "'teapot'" in caught.value.message
    assert "env" in caught.value.message
    assert caught.value.hint is not None


class Counting:
    """A provider from another author's package."""

    made: list[ProviderContext]
    fetched: list[int]

    def __init__(self, context: ProviderContext) -> None:
        self.made.append(context)

    def fetch(self, entry: KeyEntry) -> bytes:
        self.fetched.append(entry.version)
        return bytes([entry.version]) * 32


@pytest.fixture
def somebody_elses_package(monkeypatch: pytest.MonkeyPatch) -> type[Counting]:
    Counting.made, Counting.fetched = [], []

    def points(*, group: str) -> list[EntryPoint]:
        assert group == "fluxbase_cli.key_providers"
        return [EntryPoint("counting", f"{__name__}:Counting", group), EntryPoint("broken", "no.such:thing", group)]

    monkeypatch.setattr(EntryPoint, "load", lambda point: {"counting": Counting}[point.name])
    monkeypatch.setattr("importlib.metadata.entry_points", points)
    return Counting


def test_a_provider_of_another_package_is_created_once_and_asked_once_for_each_key(
    somebody_elses_package: type[Counting],
) -> None:
    settings = encryption(entry(1, "", "counting"), entry(2, "", "counting"))
    environ = {"TOKEN": "t"}
    ring = load_keyring(settings, environ)
    assert {key.version: key.secret for key in ring.keys} == {1: b"\x01" * 32, 2: b"\x02" * 32}
    assert somebody_elses_package.made == [ProviderContext(settings, environ)]
    assert somebody_elses_package.fetched == [1, 2]


def test_a_provider_of_this_package_is_found_by_its_entry_point() -> None:
    made: Any = load_provider("file", ProviderContext(encryption(), {}))
    assert isinstance(made, FileKeyProvider)


def test_for_keys_in_the_environment_nobody_looks_for_installed_providers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: pytest.fail("looked for"))
    made: Any = load_provider("env", ProviderContext(encryption(), {}))
    assert made.fetch(entry(1, SECOND.hex())) == SECOND
