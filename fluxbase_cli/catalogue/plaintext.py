"""Distinguishes plaintext from seals in columns that may hold both, by patterns that random bytes rarely have.

A seal is base64 of random bytes (a nonce, a ciphertext, a tag). So at every position all 64 characters are equally
likely. A token of hexadecimal digits, a base32 secret or a key in DER is valid base64 too, but not a seal. Each rule
here is wrong for a real seal with a probability of less than one in a million. A text that matches no rule counts as a
seal.
"""

from __future__ import annotations

import re
from binascii import a2b_base64
from collections.abc import Iterable

from fluxbase_cli.seal import OVERHEAD_BYTES

#: If a seal would look like a text with a smaller probability than this, the text is not a seal.
_UNLIKELY = 1e-6
#: Alphabets of plaintext secrets, with their sizes. The small ones come first.
_ALPHABETS = tuple(
    (re.compile(pattern).fullmatch, size)
    for pattern, size in (
        (rb"[0-9]+", 10),
        (rb"[0-9a-f]+", 16),
        (rb"[0-9A-F]+", 16),
        (rb"[A-Z2-7]+=*", 32),
        (rb"[0-9a-z]+", 36),
        (rb"[0-9A-Z]+", 36),
        (rb"[0-9A-Za-z]+", 62),
    )
)
_BASE64_CHARACTERS = 64
#: Printable ASCII with tab and line breaks.
_PRINTABLE = bytes((*range(0x20, 0x7F), 0x09, 0x0A, 0x0D))
_DER_INTEGER, _DER_SEQUENCE = 0x02, 0x30
_SYMBOL = re.compile(rb"[+/]").search


def is_no_seal(text: bytes, *, least_plaintext: int = 0) -> bool:
    """Whether a text that has the form of a seal is almost certainly not a seal.

    Args:
        text: a stored text that decodes like a seal.
        least_plaintext: the smallest size of a secret of this column in bytes. A shorter content is not a seal.
    """
    text = text.translate(None, b"\r\n")
    raw = a2b_base64(text)
    if len(raw) - OVERHEAD_BYTES < least_plaintext:
        return True
    return _has_small_alphabet(text) or is_readable(raw) or _is_der(raw)


def has_symbols(text: bytes) -> bool:
    """Whether a text has one of the two base64 characters that are neither letters nor digits."""
    return _SYMBOL(text) is not None


def hold_no_seals(texts: Iterable[bytes]) -> bool:
    """Whether several texts together can't be seals, although each one could be: none of them has a ``+`` or ``/``.

    Args:
        texts: stored texts of one column that no key opens.
    """
    length = 0
    for text in texts:
        if has_symbols(text):
            return False
        length += len(text)
    return (62 / _BASE64_CHARACTERS) ** length < _UNLIKELY


def _has_small_alphabet(text: bytes) -> bool:
    for matches, size in _ALPHABETS:
        if matches(text):
            return bool((size / _BASE64_CHARACTERS) ** len(text) < _UNLIKELY)
    return False


def is_readable(raw: bytes) -> bool:
    """Whether the decoded bytes are printable ASCII. For 28 random bytes the probability is one in 10**12."""
    return not raw.translate(None, _PRINTABLE)


def _is_der(raw: bytes) -> bool:
    """Whether the decoded bytes are one ASN.1 sequence with the right length, like keys and certificates.

    For random bytes the probability is at most one in 2**23 (ITU-T X.690, sections 8.1.2 and 8.1.3).
    """
    if raw[0] != _DER_SEQUENCE:
        return False
    if not raw[1] & 0x80:
        # The short form: the tag of the sequence, one octet of length, and then an integer or a sequence.
        return raw[1] == len(raw) - 2 and raw[2] in {_DER_INTEGER, _DER_SEQUENCE}
    octets = raw[1] & 0x7F
    return octets in range(1, 4) and int.from_bytes(raw[2 : 2 + octets], "big") == len(raw) - 2 - octets
