"""Keys that nobody should seal under, and random keys, none of which may be taken for one of them."""

from __future__ import annotations

import base64
import random
import string
import subprocess
import sys
import time
import uuid
from collections.abc import Callable

import pytest

from fluxbase_cli.encoding import Encoding
from fluxbase_cli.keyring import SAMPLE_KEYS, Key, generate_key, parse_key, weakness_of
from fluxbase_cli.keyring.weakness import refusal_of
from tests.fixtures.sealing import PUBLIC_KEYS

SAMPLE = "it is a sample key from public documentation"
REFERENCE = "it is a path or a reference to a key, not a key"
REPEATS = "it repeats a short pattern"
UP, DOWN = "it counts up", "it counts down"
FEW = "it has only a few different characters"
WORDS = "it is made of words or common passwords"


@pytest.mark.parametrize("sample", PUBLIC_KEYS)
def test_the_sample_keys_of_documentation_are_known(sample: str) -> None:
    assert sample.encode() in SAMPLE_KEYS
    assert weakness_of(sample.encode()) == SAMPLE
    # The same 32 bytes, in the other two forms of a key.
    assert weakness_of(parse_key(sample.encode().hex(), "")) == SAMPLE
    assert weakness_of(parse_key(base64.b64encode(sample.encode()).decode(), "")) == SAMPLE


@pytest.mark.parametrize(
    ("key", "weakness"),
    [
        ("00" * 32, "it is one byte repeated"),
        ("ff" * 32, "it is one byte repeated"),
        ("a" * 32, "it is one character repeated"),
        ("deadbeef" * 8, REPEATS),
        ("deadbeef" * 4, REPEATS),
        ("abcd" * 8, REPEATS),
        ("password-password-password-12345", REPEATS),
        ("FluxbaseFluxbaseFluxbaseFluxbase", REPEATS),
        ("0123456789abcdef" * 2, UP),
        ("00112233445566778899aabbccddeeff", UP),
        ("0f1e2d3c4b5a69788796a5b4c3d2e1f0", UP),
        ("b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6q7", UP),
        ("zyxwvutsrqponmlkjihgfedcba987654", DOWN),
        ("09876543210987654321098765432109", DOWN),
        ("01100010111010010001011110100110", FEW),
        ("abbaaababbbabaabaaabbbababaabbab", FEW),
    ],
)
def test_a_pattern_is_found(key: str, weakness: str) -> None:
    assert weakness_of(parse_key(key, "the test")) == weakness


@pytest.mark.parametrize(
    ("key", "refused"),
    [
        ("00" * 32, True),
        ("3" * 64, True),
        ("a" * 32, True),
        ("abab" * 8, True),
        ("password-password-password-12345", True),
        ("your-32-byte-encryption-key-here", True),
        ("file:///run/secrets/fluxbase-key", True),
        ("correct-horse-battery-staple-12\x21", True),
        # Only told.
        ("cd" * 32, False),
        ("deadbeef" * 8, False),
        ("0123456789abcdef" * 2, False),
        ("zyxwvutsrqponmlkjihgfedcba987654", False),
    ],
)
def test_which_weak_keys_are_refused_as_targets(key: str, refused: bool) -> None:  # noqa: FBT001  # a parameter
    secret = parse_key(key, "the test")
    assert weakness_of(secret) is not None
    assert (refusal_of(secret) is not None) is refused


@pytest.mark.parametrize(
    "key",
    [
        "0f1e2d3c4b5a69788796a5b4c3d2e1f0" + "00112233445566778899aabbccddeeff",
        "a1b2c3d4e5f60718293a4b5c6d7e8f90" + "ffeeddccbbaa99887766554433221100",
        bytes(range(32)).hex(),
    ],
)
def test_bytes_that_somebody_has_chosen_for_a_test_are_accepted(key: str) -> None:
    assert weakness_of(parse_key(key, "the test")) is None


@pytest.mark.parametrize(
    "text",
    [
        "file:///run/secrets/fluxbase-key",
        "/run/secrets/fluxbase-master-key",
        "/run/secrets/fluxbase/master/key",
        "/etc/fluxbase/encryption-key.txt",
        "/Users/fluxbase/Library/key.text",
        "./secrets/fluxbase-encryption.key",
        "../config/secrets/fluxbase-1.key",
        "~/.config/fluxbase/encryption.key",
        "C:\\ProgramData\\Fluxbase\\secret.key",
        "ssm:/production/fluxbase/db-key1",
        "vault:secret/data/fluxbase#value",
        "op://Production/fluxbase/keys/v1",
        "arn:aws:kms:eu-west-1:123:key/ab",
        "env:FLUXBASE_ENCRYPTION_KEY_PROD",
        "gcp-sm:projects/p1/secrets/fb/v1",
        "https://keys.example.com/v1/main",
        "${FLUXBASE_ENCRYPTION_KEY_PROD1}",
        "${ENCRYPTION_KEY:-not-set-so-far}",
        "{{ vault `secret/fluxbase/v1` }}",
        "$(cat /run/secrets/fluxbase-key)",
        "$FLUXBASE_ENCRYPTION_KEY_VERSION",
        "%FLUXBASE_ENCRYPTION_KEY_PROD_1%",
        "<your 32 character key goes here>",
        " /run/secrets/fluxbase-mainkey  ",
    ],
)
def test_the_name_of_a_key_is_not_taken_for_a_key(text: str) -> None:
    assert weakness_of(text.encode()) == REFERENCE


@pytest.mark.parametrize(
    "text",
    [
        "my-super-secret-encryption-key!!",
        "correct-horse-battery-staple-12",
        "ThisIsMyVerySecretFluxbaseKey123",
        "Th1s1sMyV3ryS3cr3tFluxb4s3K3y123",
        "MyS3cr3tP@ssw0rdF0rFluxb@se!2024",
        "fluxbase-prod-encryption-key-v02",
        "FLUXBASE_ENCRYPTION_KEY_SECRET_1",
        "zebra.umbrella.kettle.walnut.inn",
        "ashore developments farmhouse su",
        "trailjudgedpreventsmultinational",
        "replace_me_with_a_32_byte_secret",
        "qwertyuiopasdfghjklzxcvbnm123456",
        "poiuytrewqlkjhgfdsamnbvcxz123456",
        "zaq12wsxcde34rfvbgt56yhnmju78ik,",
        "deadbeefcafebabe8badf00ddeadc0de",
    ],
)
def test_a_key_made_of_words_is_found(text: str) -> None:
    assert weakness_of(text.encode()) == WORDS


@pytest.mark.parametrize("text", ["fluxbase_7Gh2kQ9xLm4TzR8vWp1sQ2b", "prod-encryption-7Gh2kQ9xLm4TzR8v"])
def test_random_characters_after_a_name_are_enough(text: str) -> None:
    assert weakness_of(text.encode()) is None


@pytest.mark.parametrize("text", ["workcarolqerculkvubjolmclggaszui", "mgtcbrlpmuchbgbntxsefxwvtoccaral"])
def test_short_words_in_random_letters_are_no_words(text: str) -> None:
    assert weakness_of(text.encode()) is None


def _of(alphabet: str) -> Callable[[random.Random], bytes]:
    return lambda dice: "".join(dice.choices(alphabet, k=32)).encode()


_BASE64 = string.ascii_letters + string.digits + "+/"
#: Keys that need no list of words.
QUICK = {
    "32 bytes": lambda dice: dice.randbytes(32),
    "openssl rand -hex 16": lambda dice: dice.randbytes(16).hex().encode(),
    "the same in capitals": lambda dice: dice.randbytes(16).hex().upper().encode(),
    "a UUID": lambda dice: uuid.UUID(bytes=dice.randbytes(16), version=4).hex.encode(),
    "digits": _of(string.digits),
    "printable characters": _of(string.digits + string.ascii_letters + string.punctuation + " "),
}
#: Keys in which words are looked for.
TEXTS = {
    "A-Za-z0-9-_": _of(string.ascii_letters + string.digits + "-_"),
    "openssl rand -base64 24": lambda dice: base64.b64encode(dice.randbytes(24)),
    "base64 behind a slash": lambda dice: b"/" + base64.b64encode(dice.randbytes(24))[1:],
    "the beginning of base64": lambda dice: base64.b64encode(dice.randbytes(32))[:32],
    "letters": _of(string.ascii_letters),
    "lower-case letters": _of(string.ascii_lowercase),
    "capitals": _of(string.ascii_uppercase),
    "lower-case letters and digits": _of(string.ascii_lowercase + string.digits),
    "letters and few marks": _of(string.ascii_letters + string.digits + "-_.!"),
}
Kind = Callable[[random.Random], bytes]


def _dice(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311  # the same keys each time


def _taken_for_weak(kind: Kind, number: int, seed: int) -> list[tuple[bytes, str]]:
    dice = _dice(seed)
    keys = [kind(dice) for _ in range(number)]
    assert {len(key) for key in keys} == {32}
    return [(key, weakness) for key in keys if (weakness := weakness_of(key))]


@pytest.mark.parametrize("kind", QUICK.values(), ids=QUICK)
def test_no_random_key_is_taken_for_a_weak_one(kind: Kind) -> None:
    assert _taken_for_weak(kind, 3000, seed=1) == []


@pytest.mark.parametrize("kind", TEXTS.values(), ids=TEXTS)
def test_no_random_text_is_taken_for_a_weak_one(kind: Kind) -> None:
    assert _taken_for_weak(kind, 60, seed=2) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", TEXTS.values(), ids=TEXTS)
def test_none_of_many_random_keys_is_taken_for_a_weak_one(kind: Kind) -> None:
    assert _taken_for_weak(kind, 200, seed=3) == []


@pytest.mark.parametrize("encoding", Encoding)
def test_no_key_that_this_tool_makes_is_taken_for_a_weak_one(encoding: Encoding) -> None:
    keys = [parse_key(generate_key(encoding), "the test") for _ in range(100)]
    assert [weakness for key in keys if (weakness := weakness_of(key))] == []


def test_a_weak_key_is_warned_of_without_a_part_of_it() -> None:
    (warning,) = Key(1, b"my-super-secret-encryption-key!!").warnings
    assert warning == f"{WORDS}; others can guess it, and open what it seals"
    assert Key(1, _dice(4).randbytes(32)).warnings == ()


def test_a_check_is_cheap_and_a_key_in_hex_needs_no_list_of_words() -> None:
    script = (
        "import sys; from fluxbase_cli.keyring import weakness_of; "
        f"assert weakness_of({_dice(5).randbytes(32)!r}) is None; assert 'zxcvbn' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)

    began = time.process_time()
    _taken_for_weak(QUICK["32 bytes"], 100, seed=6)
    hex_keys = time.process_time()
    _taken_for_weak(TEXTS["A-Za-z0-9-_"], 20, seed=6)
    texts = time.process_time()
    # A tenth of this in fact, on a quiet machine.
    assert (hex_keys - began) / 100 < 0.005
    assert (texts - hex_keys) / 20 < 0.1
