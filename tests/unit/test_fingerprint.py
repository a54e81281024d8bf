"""Keys that people choose have slow fingerprints. Those of random keys, and those of earlier releases, are known."""

from __future__ import annotations

import hashlib
import secrets
import time
from typing import Any

import pytest

from fluxbase_cli import seal
from fluxbase_cli.keyring import Key
from fluxbase_cli.seal import compute_fingerprints, fingerprint, former_fingerprint, is_fingerprint, is_text

TEXT = b"CHANGEME-exactly-32-bytes-random"
RANDOM = bytes(range(200, 232))


def test_the_fingerprint_of_a_text_key_is_scrypt_with_a_setting_of_owasp() -> None:
    digest = hashlib.scrypt(TEXT, salt=b"fluxbase-cli key fingerprint v2", n=2**14, r=8, p=5, maxmem=2**26)

    assert fingerprint(TEXT) == digest.hex()[:16]
    assert fingerprint(TEXT) != former_fingerprint(TEXT)


def test_the_fingerprint_of_a_random_key_stays_what_it_was() -> None:
    former = hashlib.sha256(b"fluxbase-cli key fingerprint v1\x00" + RANDOM).hexdigest()[:16]

    assert fingerprint(RANDOM) == former_fingerprint(RANDOM) == former
    assert Key(1, RANDOM).former_fingerprint is None


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (TEXT, True),
        (b" " * 32, True),
        (b"two lines\nand a tab\there, 32 byte", True),
        ("ein Schlüssel f. den Server: äö".encode().ljust(32), True),
        (b"a" * 31 + b"\x00", False),
        (b"\x11" * 32, False),
        (b"\xff" * 32, False),
    ],
)
def test_what_counts_as_text(key: bytes, *, text: bool) -> None:
    assert is_text(key) is text


def test_a_random_key_is_never_taken_for_text() -> None:
    assert not any(is_text(secrets.token_bytes(32)) for _ in range(20_000))


def test_both_forms_are_recognised_and_no_other_text() -> None:
    assert is_fingerprint(former_fingerprint(TEXT), TEXT)
    assert is_fingerprint(fingerprint(TEXT), TEXT)
    assert is_fingerprint(fingerprint(RANDOM), RANDOM)
    for wrong in ("", "é" * 16, fingerprint(RANDOM), former_fingerprint(TEXT).upper()):
        assert not is_fingerprint(wrong, TEXT)


def test_a_process_computes_each_fingerprint_once(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [f"a key of text, its number is {number:3}".encode() for number in (1, 2)]
    assert all(len(key) == 32 for key in keys)
    calls: list[bytes] = []
    compute = hashlib.scrypt

    def counted(key: bytes, **options: Any) -> bytes:
        calls.append(key)
        return compute(key, **options)

    monkeypatch.setattr(hashlib, "scrypt", counted)

    compute_fingerprints([*keys, *keys, RANDOM])
    began = time.process_time()
    for key in keys:
        assert Key(1, key).fingerprint == fingerprint(key)
    assert len(calls) == 2
    assert time.process_time() - began < 0.05


def test_a_guess_costs_a_million_times_more_than_a_hash() -> None:
    """Measured on one processor of a laptop: 0.2 s, and 0.3 µs for a SHA-256."""
    began = time.process_time()
    seal._slow_digest.__wrapped__(TEXT)
    assert time.process_time() - began > 0.02
