"""AES-256-GCM seal and open, user-derived keys and fingerprints. This module knows nothing of versions or databases.

The stored form is standard base64 of ``nonce(12) || ciphertext || tag(16)`` (docs/developers/format.md, "The seal";
NIST SP 800-38D, which allows at most 2**32 random nonces for one key). Nothing in it names the key. If a value opens
under a key, that is the only proof that the key sealed it.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from hashlib import sha256
from itertools import repeat
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fluxbase_cli.large_base64 import LARGE_TEXT_BYTES, decode_large, encode_large

KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16
OVERHEAD_BYTES = NONCE_BYTES + TAG_BYTES
#: The length of the shortest seal as stored text: the seal of the empty string.
MIN_TEXT_BYTES = 40

_NONCES_A_READ = 256
# Stops at the first character that does not match. In most plaintexts that is one of the first few.
_STORED_FORM = re.compile(rb"[A-Za-z0-9+/=\r\n]{%d,}" % MIN_TEXT_BYTES).fullmatch
_PADDING = ord("=")
# No text, not base64, too short, not sealed under this key.
_UNOPENED = (TypeError, ValueError, InvalidTag)
_USER_KEY_INFO = b"fluxbase-user-settings-v1"
#: HMAC's padding, for a key that is shorter than a block of the hash (RFC 2104, section 2).
_HASH_BLOCK = 64
_INNER_PAD = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD = bytes(byte ^ 0x5C for byte in range(256))
#: How many ciphers of users are kept while values are opened. A cipher takes about a kilobyte.
_USER_CIPHERS_KEPT = 256
# nonce, ciphertext with its tag or plaintext, associated data
_Decrypt = Callable[[bytes, bytes, None], bytes]
_Encrypt = Callable[[bytes, bytes, None], bytes]
_FINGERPRINT_PREFIX = b"fluxbase-cli key fingerprint v1\x00"
_FINGERPRINT_SALT = b"fluxbase-cli key fingerprint v2"
FINGERPRINT_DIGITS = 16
#: One of the settings of scrypt in OWASP's Password Storage Cheat Sheet; of those the one with the least memory that is
#: still 16 MiB (128 * N * r bytes), because a job of many processes must stay small.
_SCRYPT_N, _SCRYPT_R, _SCRYPT_P = 2**14, 8, 5
#: In bytes: twice what it needs. The default of OpenSSL is too little for some settings.
_SCRYPT_MAXMEM = 32 * 2**20
#: More keys than a key ring has.
_MOST_FINGERPRINTS = 256


class SealError(Exception):
    """A stored value can't be opened; the subclasses say why."""


class NotASealError(SealError):
    """The text isn't strict base64 of at least 28 bytes, so no key has sealed it."""


class NotMyKeyError(SealError):
    """The value has the form of a seal, but this key did not seal it, or it is damaged: GCM can't distinguish these."""


class ReopenError(Exception):
    """A new seal did not open to the same plaintext. It must not be written."""


def decode(text: bytes) -> bytes:
    """Decode a stored value as Go's ``base64.StdEncoding`` does.

    CR and LF are ignored everywhere, and non-canonical trailing bits are accepted. Spaces, missing padding and the
    URL-safe alphabet are not accepted.

    Args:
        text: the stored value, as bytes of the database's text.

    Returns:
        ``nonce || ciphertext || tag``, at least 28 bytes.

    Raises:
        NotASealError: the text has another form.
    """
    if b"\n" in text or b"\r" in text:
        text = text.translate(None, b"\r\n")
    # Python's strict mode still accepts padding after a complete group.
    if len(text) % 4 or text.endswith(b"==="):
        raise NotASealError
    try:
        raw = decode_large(text) if len(text) >= LARGE_TEXT_BYTES else a2b_base64(text, strict_mode=True)
    except ValueError:
        raise NotASealError from None
    if len(raw) < OVERHEAD_BYTES:
        raise NotASealError
    return raw


def nonces() -> Iterator[bytes]:
    """Endless random 96-bit nonces (NIST SP 800-38D, section 8.2.2). Do not share the iterator between threads.

    One read of the system's randomness gives many nonces, because one system call per value would cost more than the
    encryption.
    """
    while True:
        block = os.urandom(_NONCES_A_READ * NONCE_BYTES)
        for start in range(0, len(block), NONCE_BYTES):
            yield block[start : start + NONCE_BYTES]


def may_be_seal(text: bytes) -> bool:
    """Whether a text has only the characters of a stored value. This is cheap, because most plaintexts have others.

    If it is false, `decode` fails too. If it is true, the text may still be no seal.
    """
    return _STORED_FORM(text) is not None


class Sealer:
    """Seals and opens under one 32-byte key.

    Args:
        key: 32 bytes.
        nonces: the source of nonces, see `nonces`. When left out, each nonce is read from the system's randomness.

    Raises:
        ValueError: the key does not have 32 bytes.
    """

    __slots__ = ("_decrypt", "_encrypt", "_nonces")

    def __init__(self, key: bytes, nonces: Iterator[bytes] | None = None) -> None:
        if len(key) != KEY_BYTES:
            message = f"a key is {KEY_BYTES} bytes"
            raise ValueError(message)
        aead = AESGCM(key)
        self._encrypt = aead.encrypt
        self._decrypt = aead.decrypt
        self._nonces = nonces

    def open(self, raw: bytes) -> bytes:
        """Open a decoded seal (see `decode`) and return the plaintext.

        Raises:
            NotMyKeyError: another key sealed it, or it is damaged.
        """
        try:
            return self._decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], None)
        except InvalidTag:
            raise NotMyKeyError from None

    def open_text(self, text: bytes) -> bytes:
        """Decode and open: `open(decode(text))`.

        Raises:
            NotASealError, NotMyKeyError: as `decode` and `open`.
        """
        return self.open(decode(text))

    def open_each(self, texts: Iterable[bytes | None]) -> list[int]:
        """Open many stored values, only to check that they open.

        Args:
            texts: stored values.

        Returns:
            The indexes of the values that the caller must process one by one: the text is missing or has line breaks,
            `open_text` would raise an error, or the plaintext may be a seal too.
        """
        return _open_each(repeat(self._decrypt), texts)

    def reseal_each(self, target: Sealer, texts: Iterable[bytes | None], number: int) -> list[bytes | None]:
        """Reseal stored values.

        Args:
            target: seals the new values.
            texts: stored values.
            number: how many there are.

        Returns:
            The new text for each text, which was opened again to the same plaintext; None if the caller must process
            the value alone, as in `open_each`.

        Raises:
            ReopenError: a new seal did not open. Nothing may be written then.
        """
        return _reseal_each(repeat(self._decrypt), repeat((target._encrypt, target._decrypt)), texts, number)

    def seal(self, plaintext: bytes) -> bytes:
        """Seal under a fresh random nonce and return the text to store."""
        nonce = os.urandom(NONCE_BYTES) if self._nonces is None else next(self._nonces)
        raw = nonce + self._encrypt(nonce, plaintext, None)
        return encode_large(raw) if len(raw) >= LARGE_TEXT_BYTES else b2a_base64(raw, newline=False)


def derive_user_key(master: bytes, user_id: UUID) -> bytes:
    """Derive the key of one user's settings: HKDF-SHA256 (RFC 5869) with the user id as salt.

    Args:
        master: the 32-byte master key.
        user_id: the owner; the salt is its lowercase hyphenated text (docs/developers/format.md).

    Returns:
        32 bytes.
    """
    return _derive(master, str(user_id).encode("ascii"))


def _derive(master: bytes, salt: bytes) -> bytes:
    # HKDF for one block of output is two HMACs (RFC 5869), and an HMAC is two hashes (RFC 2104). Written out they take
    # 60% of the time of `hmac.digest`, which looks up the algorithm each time, and a third of a general HKDF.
    inner = sha256(salt.translate(_INNER_PAD).ljust(_HASH_BLOCK, b"\x36") + master).digest()
    key = sha256(salt.translate(_OUTER_PAD).ljust(_HASH_BLOCK, b"\x5c") + inner).digest()
    inner = sha256(key.translate(_INNER_PAD).ljust(_HASH_BLOCK, b"\x36") + _USER_KEY_INFO + b"\x01").digest()
    return sha256(key.translate(_OUTER_PAD).ljust(_HASH_BLOCK, b"\x5c") + inner).digest()


def user_salt(user_id: bytes) -> bytes:
    """The salt of one user's key: the lowercase hyphenated text of the user id.

    Args:
        user_id: its 16 bytes.
    """
    # A third of the time of `str(UUID(bytes=...))`.
    digits = user_id.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}".encode("ascii")


def open_each_of_users(master: bytes, salts: Iterable[bytes | None], texts: Iterable[bytes | None]) -> list[int]:
    """As `Sealer.open_each`, for values under keys that are derived for users.

    Args:
        master: the master key.
        salts: the salt of each value's user, see `user_salt`. None: the value has no user.
        texts: stored values.

    Returns:
        As for `Sealer.open_each`; also the values without a user.
    """
    return _open_each((None if aead is None else aead.decrypt for aead in _user_ciphers(master, salts)), texts)


def reseal_each_of_users(
    master: bytes, target: bytes, salts: Sequence[bytes | None], texts: Iterable[bytes | None]
) -> list[bytes | None]:
    """As `Sealer.reseal_each`, for values under keys that are derived for users.

    Args:
        master: the master key of the stored values.
        target: the master key of the new values.
        salts: as for `open_each_of_users`.
        texts: stored values.

    Returns, Raises:
        As for `Sealer.reseal_each`; None also for values without a user.
    """
    return _reseal_each(
        (None if aead is None else aead.decrypt for aead in _user_ciphers(master, salts)),
        (None if aead is None else (aead.encrypt, aead.decrypt) for aead in _user_ciphers(target, salts)),
        texts,
        len(salts),
    )


def _user_ciphers(master: bytes, salts: Iterable[bytes | None]) -> Iterator[AESGCM | None]:
    """The cipher of each user. A user's values are often near each other, so the last ones are kept."""
    known: dict[bytes, AESGCM] = {}
    for salt in salts:
        if salt is None:
            yield None
            continue
        aead = known.get(salt)
        if aead is None:
            if len(known) == _USER_CIPHERS_KEPT:
                known.clear()
            aead = known[salt] = AESGCM(_derive(master, salt))
        yield aead


def _open_each(decrypts: Iterable[_Decrypt | None], texts: Iterable[bytes | None]) -> list[int]:
    """See `Sealer.open_each`. A hot loop, without a call of a Python function for each value."""
    others: list[int] = []
    for number, (decrypt, text) in enumerate(zip(decrypts, texts)):  # noqa: B905  # the first one may be endless
        try:
            large = len(text) >= LARGE_TEXT_BYTES  # type: ignore[arg-type]  # None raises
            raw = decode_large(text) if large else a2b_base64(text, strict_mode=True)  # type: ignore[arg-type]
            plaintext = decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], None)  # type: ignore[misc]  # None raises
        except _UNOPENED:
            others.append(number)
            continue
        if (
            # The same checks as in `decode`.
            len(text) % 4  # type: ignore[arg-type]  # it was opened
            or text[-3] == _PADDING  # type: ignore[index]
            or (len(plaintext) >= MIN_TEXT_BYTES and _STORED_FORM(plaintext) is not None)
        ):
            others.append(number)
    return others


def _reseal_each(
    decrypts: Iterable[_Decrypt | None],
    targets: Iterable[tuple[_Encrypt, _Decrypt] | None],
    texts: Iterable[bytes | None],
    number: int,
) -> list[bytes | None]:
    """Open each text with its function, and seal it with its target. A hot loop, as `_open_each`."""
    randomness, at = os.urandom(NONCE_BYTES * number), 0
    new: list[bytes | None] = []
    for decrypt, target, text in zip(decrypts, targets, texts):  # noqa: B905  # the first ones may be endless
        try:
            large = len(text) >= LARGE_TEXT_BYTES  # type: ignore[arg-type]  # as in `_open_each`
            raw = decode_large(text) if large else a2b_base64(text, strict_mode=True)  # type: ignore[arg-type]
            plaintext = decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], None)  # type: ignore[misc]
        except _UNOPENED:
            new.append(None)
            continue
        if (
            len(text) % 4  # type: ignore[arg-type]
            or text[-3] == _PADDING  # type: ignore[index]
            or (len(plaintext) >= MIN_TEXT_BYTES and _STORED_FORM(plaintext) is not None)
        ):
            new.append(None)
            continue
        encrypt, reopen = target  # type: ignore[misc]  # a value that was opened has a target
        nonce = randomness[at : at + NONCE_BYTES]
        at += NONCE_BYTES
        raw = nonce + encrypt(nonce, plaintext, None)
        resealed = encode_large(raw) if large else b2a_base64(raw, newline=False)
        # Promise 1: a value is overwritten only with a new one that was opened to the same plaintext before.
        raw = decode_large(resealed) if large else a2b_base64(resealed, strict_mode=True)
        try:
            same = reopen(raw[:NONCE_BYTES], raw[NONCE_BYTES:], None) == plaintext
        except InvalidTag:
            same = False
        if not same:
            raise ReopenError
        new.append(resealed)
    return new


def fingerprint(key: bytes) -> str:
    """A name for a key that does not reveal it: 16 hex digits.

    People choose keys of printable text, and such a key could be guessed: a SHA-256 takes a microsecond. So the
    fingerprint of such a key is a scrypt digest (RFC 7914), which takes about 0.3 s of one processor and 16 MiB. A
    process computes it once. The other keys are random, and their fingerprint is a SHA-256.

    Args:
        key: the key, 32 bytes.
    """
    return _slow_digest(key) if is_text(key) else former_fingerprint(key)


def former_fingerprint(key: bytes) -> str:
    """The fingerprint as releases before 0.2 computed it for every key: a domain-separated SHA-256."""
    return hashlib.sha256(_FINGERPRINT_PREFIX + key).hexdigest()[:FINGERPRINT_DIGITS]


def is_fingerprint(text: str, key: bytes) -> bool:
    """Whether a text is the fingerprint of a key, in the present form or in the former one."""
    given = text.encode()
    # The former one comes first, because it is quick.
    return hmac.compare_digest(given, former_fingerprint(key).encode()) or (
        is_text(key) and hmac.compare_digest(given, fingerprint(key).encode())
    )


def compute_fingerprints(keys: Iterable[bytes]) -> None:
    """Compute the fingerprints of several keys at once, so that the slow ones do not wait for each other."""
    slow = [key for key in dict.fromkeys(keys) if is_text(key)]
    if len(slow) > 1:
        # hashlib releases the interpreter's lock meanwhile.
        with ThreadPoolExecutor(len(slow)) as pool:
            list(pool.map(_slow_digest, slow))


def is_text(key: bytes) -> bool:
    """Whether a key is printable text. A random key is that with a probability below 2**-40."""
    try:
        text = key.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return all(character.isprintable() or character.isspace() for character in text)


@lru_cache(maxsize=_MOST_FINGERPRINTS)
def _slow_digest(key: bytes) -> str:
    # The salt can't be random: everybody who has the key must get the same fingerprint.
    digest = hashlib.scrypt(key, salt=_FINGERPRINT_SALT, n=_SCRYPT_N, r=_SCRYPT_R, p=_SCRYPT_P, maxmem=_SCRYPT_MAXMEM)
    return digest.hex()[:FINGERPRINT_DIGITS]
