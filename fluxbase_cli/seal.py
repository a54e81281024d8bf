"""AES-256-GCM seal and open, user-derived keys and fingerprints. Pure: knows nothing of versions or databases.

The stored form is standard base64 of ``nonce(12) || ciphertext || tag(16)`` (docs/developers/format.md, "The seal";
NIST SP 800-38D, which allows at most 2**32 random nonces for one key). Nothing in it names the key:
that a value opens under a key is the only proof that the key sealed it.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterable, Iterator
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16
OVERHEAD_BYTES = NONCE_BYTES + TAG_BYTES
#: The shortest seal there is, that of the empty string, as stored text.
MIN_TEXT_BYTES = 40

_NONCES_A_READ = 256
# Ends at the first character that does not fit, in most plaintexts one of the first few.
_STORED_FORM = re.compile(rb"[A-Za-z0-9+/=\r\n]{%d,}" % MIN_TEXT_BYTES).fullmatch
_PADDING = ord("=")
# No text, not base64, too short, not sealed under this key.
_UNOPENED = (TypeError, ValueError, InvalidTag)
_USER_KEY_INFO = b"fluxbase-user-settings-v1"
_FINGERPRINT_PREFIX = b"fluxbase-cli key fingerprint v1\x00"


class SealError(Exception):
    """A stored value can't be opened; the subclasses say why."""


class NotASealError(SealError):
    """The text isn't strict base64 of at least 28 bytes, so no key ever sealed it."""


class NotMyKeyError(SealError):
    """The value has the form of a seal, but this key did not make it (or the value is damaged: GCM can't tell)."""


class ReopenError(Exception):
    """A value just sealed did not open to the same plaintext. It must not be written."""


def decode(text: bytes) -> bytes:
    """Decode a stored value as Go's ``base64.StdEncoding`` does.

    CR and LF are ignored wherever they stand and non-canonical trailing bits are accepted; spaces, missing padding and
    the URL-safe alphabet are not.

    Args:
        text: the stored value, as bytes of the database's text.

    Returns:
        ``nonce || ciphertext || tag``, at least 28 bytes.

    Raises:
        NotASealError: the text is not that.
    """
    if b"\n" in text or b"\r" in text:
        text = text.translate(None, b"\r\n")
    # Python's strict mode still takes padding behind a complete group.
    if len(text) % 4 or text.endswith(b"==="):
        raise NotASealError
    try:
        raw = a2b_base64(text, strict_mode=True)
    except ValueError:
        raise NotASealError from None
    if len(raw) < OVERHEAD_BYTES:
        raise NotASealError
    return raw


def nonces() -> Iterator[bytes]:
    """Random 96-bit nonces without end (NIST SP 800-38D, section 8.2.2); not to be shared between threads.

    One read of the system's randomness serves many: a system call a value would cost more than the encryption.
    """
    while True:
        block = os.urandom(_NONCES_A_READ * NONCE_BYTES)
        for start in range(0, len(block), NONCE_BYTES):
            yield block[start : start + NONCE_BYTES]


def may_be_seal(text: bytes) -> bool:
    """Whether a text has only characters that a stored value may have; cheap, for plaintexts that rarely have.

    What it refuses, `decode` refuses too; what it lets through may still be no seal.
    """
    return _STORED_FORM(text) is not None


class Sealer:
    """Seals and opens under one 32-byte key.

    Args:
        key: 32 bytes.
        nonces: where to take nonces from, see `nonces`; the system's randomness each time when left out.

    Raises:
        ValueError: the key has another length.
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
        """Decode and open in one go: `open(decode(text))`.

        Raises:
            NotASealError, NotMyKeyError: as `decode` and `open`.
        """
        return self.open(decode(text))

    def open_each(self, texts: Iterable[bytes | None]) -> list[int]:
        """Open many stored values only to see that they open: a hot loop, without a Python call of ours a value.

        Args:
            texts: stored values.

        Returns:
            The numbers, from 0, of those that are left to be looked at alone: there is no text, its lines are broken,
            `open_text` would raise, or the plaintext may be a seal itself.
        """
        decrypt = self._decrypt
        others: list[int] = []
        for number, text in enumerate(texts):
            try:
                raw = a2b_base64(text, strict_mode=True)  # type: ignore[arg-type]  # None raises
                plaintext = decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], None)
            except _UNOPENED:
                others.append(number)
                continue
            if (
                # The same strictness as in `decode`.
                len(text) % 4  # type: ignore[arg-type]  # it was opened
                or text[-3] == _PADDING  # type: ignore[index]
                or (len(plaintext) >= MIN_TEXT_BYTES and _STORED_FORM(plaintext) is not None)
            ):
                others.append(number)
        return others

    def reseal_each(self, target: Sealer, texts: Iterable[bytes | None], number: int) -> list[bytes | None]:
        """Open stored values and seal them anew, for the hot loop: all that is done for a value is done in one go.

        Args:
            target: seals them.
            texts: stored values.
            number: how many there are.

        Returns:
            A text to store for each text, opened again to the same plaintext; None where `open_each` would leave it to
            be looked at alone.

        Raises:
            ReopenError: nothing may be written then.
        """
        decrypt, encrypt, reopen = self._decrypt, target._encrypt, target._decrypt
        randomness, at = os.urandom(NONCE_BYTES * number), 0
        new: list[bytes | None] = []
        for text in texts:
            try:
                raw = a2b_base64(text, strict_mode=True)  # type: ignore[arg-type]  # as in `open_each`, to the end
                plaintext = decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], None)
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
            nonce = randomness[at : at + NONCE_BYTES]
            at += NONCE_BYTES
            resealed = b2a_base64(nonce + encrypt(nonce, plaintext, None), newline=False)
            # Promise 1: a value is overwritten only by one that was opened to the same plaintext before the write.
            raw = a2b_base64(resealed, strict_mode=True)
            try:
                same = reopen(raw[:NONCE_BYTES], raw[NONCE_BYTES:], None) == plaintext
            except InvalidTag:
                same = False
            if not same:
                raise ReopenError
            new.append(resealed)
        return new

    def seal(self, plaintext: bytes) -> bytes:
        """Seal under a fresh random nonce and return the text to store."""
        nonce = os.urandom(NONCE_BYTES) if self._nonces is None else next(self._nonces)
        return b2a_base64(nonce + self._encrypt(nonce, plaintext, None), newline=False)


def derive_user_key(master: bytes, user_id: UUID) -> bytes:
    """Derive the key of one user's settings: HKDF-SHA256 (RFC 5869) with the user id as salt.

    Args:
        master: the 32-byte master key.
        user_id: the owner; the salt is its lowercase hyphenated text (docs/developers/format.md).

    Returns:
        32 bytes.
    """
    # The standard library's HMAC: a key of one block takes two, and half the time of a general HKDF.
    extracted = hmac.digest(str(user_id).encode("ascii"), master, "sha256")
    return hmac.digest(extracted, _USER_KEY_INFO + b"\x01", "sha256")


def fingerprint(key: bytes) -> str:
    """Name a key without telling it: the first 16 hex digits of a domain-separated SHA-256."""
    return hashlib.sha256(_FINGERPRINT_PREFIX + key).hexdigest()[:16]
