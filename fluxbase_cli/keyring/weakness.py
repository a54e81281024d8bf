"""Says why nobody should seal under a key: a sample from documentation, a pattern, words, or the name of a key.

A random key must never be refused. So each check counts bits: how much shorter than a random key can this key be
described? A random key can be described b bits shorter with a probability of at most 2⁻ᵇ, because there are not more
short descriptions than that.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from math import comb, log2
from operator import sub

#: Keys from documentation and sample files (docs/developers/format.md, "Keys"). Everybody can read them.
SAMPLE_KEYS = frozenset(
    {
        b"your-32-character-encryption-key",
        b"your-32-byte-encryption-key-here",
        b"CHANGEME-exactly-32-bytes-random",
        b"a1b2c3d4e5f6a7b8c9d0e1f2a3b4c5d6",
        b"test-encryption-key-32-bytes!!!!",
        b"12345678901234567890123456789012",
        b"01234567890123456789012345678901",
        b"abcdefghijklmnopqrstuvwxyzABCDEF",
    }
)

_REST = r"[\w .,@%+=:\\/#?&-]*"
#: A capital only at the beginning of a name: base64 may begin with a slash too, and has capitals everywhere.
_NAMES = r"(?:/[A-Z]?[a-z0-9._-]+)+/?"
#: Each must match the whole text, so that random punctuation is not taken for a reference.
_REFERENCES = re.compile(
    r"|".join(
        (
            rf"(?:~|\.\.?)?{_NAMES}",
            r"[A-Za-z]:(?:[\\/][\w. -]+)+",
            rf"[a-z][a-z0-9+.-]+://{_REST}",
            rf"(?:file|env|arn|vault|bao|openbao|ssm|kms|secrets?|secretsmanager|sops|alias|keyring|keychain):{_REST}",
            rf"(?:aws|gcp|azure|k8s)[a-z_-]*:{_REST}",
            r"\$\{[\w.:?=-]*\}",
            r"\$\([\w ./|<>\"'=-]*\)",
            r"\$[A-Z_][A-Z0-9_]*",
            r"%[A-Z_][A-Z0-9_]*%",
            r"\{\{[\w .`\"'/#|:-]*\}\}",
            r"<[\w .-]*>",
        )
    )
)
#: Words that people spell with hexadecimal digits. So many of them are no accident.
_HEX_WORDS = re.compile(
    r"dead|beef|cafe|babe|face|feed|fade|f00d|food|c0de|c0ed|d00d|b00b|b00c|ba5e|d0d0|1337|decade|facade|abad|1dea"
)
_HEX_WORDS_AT_LEAST = 5
#: So many bits are no accident: random keys that a pattern describes so much shorter are at most one in 2⁴⁰.
_PATTERN_BITS = 40.0
#: What it takes to say which pattern it is: one of 16 distances, and one of 511 differences.
_WHICH_PATTERN_BITS = 13.0
#: Of twenty thousand random texts, words describe one 15 bits shorter. Each bit more halves their number.
_WORD_BITS = 28.0
#: What it takes to say that a word follows, from which list it is, and in which case; and how it is disguised.
_ONE_WORD_BITS = 10.0
_DISGUISE_BITS = 5.0
#: A text with more different marks is no text of words, and the library would need a second to say so.
_MOST_MARKS = 4
#: A text that has so many bits besides its words is strong enough, such as `fluxbase-` before 24 random characters.
_ENOUGH_BITS = 128.0
#: What the library calls words and rows of the keyboard, and what else it finds. The rest is random to it.
_WORDS = frozenset({"dictionary", "spatial"})
_FOUND = _WORDS | {"repeat", "sequence", "regex", "date"}
_BYTES = 256
_REPEATS = "it repeats a short pattern"
_COUNTS_UP, _COUNTS_DOWN = "it counts up", "it counts down"
_FEW_CHARACTERS = "it has only a few different characters"
_TOLD_OF_TEXT = frozenset({_COUNTS_UP, _COUNTS_DOWN, _FEW_CHARACTERS})
_ONE_BYTE = "it is one byte repeated"
#: Bytes that repeat after so many of them are weak, such as `deadbeef` again and again.
_SHORT_PERIOD = 4
_CLASSES = (string.ascii_lowercase, string.ascii_uppercase, string.digits)
_LOWER_HEX = frozenset(string.digits + "abcdef")
_UPPER_HEX = frozenset(string.digits + "ABCDEF")


def weakness_of(secret: bytes) -> str | None:
    """Why nobody should seal under a key. None if it looks random.

    Args:
        secret: 32 bytes.

    Returns:
        A phrase such as "it is made of words". It contains nothing of the key.
    """
    text = _text_of(secret)
    if secret in SAMPLE_KEYS:
        return "it is a sample key from public documentation"
    if len(set(secret)) == 1:
        return _ONE_BYTE if text is None else "it is one character repeated"
    if text is not None and _REFERENCES.fullmatch(text.strip()):
        return "it is a path or a reference to a key, not a key"
    if text is None:
        # People type text. Bytes come from a program: another pattern in them may be what a test has chosen.
        return _REPEATS if _period(secret) <= _SHORT_PERIOD else _words_in(secret, None)
    return _pattern_in(secret, text) or _words_in(secret, text)


def refusal_of(secret: bytes) -> str | None:
    """Why a key is refused as a target. None if it may be used, perhaps with a warning.

    A key that is publicly known, repeated, of words, or the name of a key is guessed at once. Other patterns weaken a
    key, and are only told: somebody may have chosen them for a test.

    Args:
        secret: 32 bytes.

    Returns:
        A phrase as from `weakness_of`.
    """
    reason = weakness_of(secret)
    if reason in _TOLD_OF_TEXT:
        return _words_in(secret, secret.decode("ascii"))
    if _text_of(secret) is None and (reason == _REPEATS or (reason == _ONE_BYTE and not _is_one_digit(secret))):
        return None
    return reason


def _is_one_digit(secret: bytes) -> bool:
    """Whether a key of one byte is one digit again and again in hex too, such as 64 zeros."""
    return secret[0] >> 4 == secret[0] & 15


def _text_of(secret: bytes) -> str | None:
    """The key as printable ASCII text. None if it is not."""
    return secret.decode("ascii") if secret.isascii() and secret.decode("ascii").isprintable() else None


def _period(secret: bytes) -> int:
    """After how many bytes the key repeats."""
    length = len(secret)
    return next(number for number in range(1, length + 1) if (secret[:number] * length)[:length] == secret)


def _pattern_in(secret: bytes, text: str) -> str | None:
    alphabet = _alphabet(text)
    found = _regular(secret, alphabet)
    if found is None and _is_hex(text):
        found = _regular(bytes.fromhex(text), _BYTES)
    if found is not None:
        return found
    different = len(set(secret))
    saved = len(secret) * log2(alphabet / different) - log2(comb(alphabet, different))
    return _FEW_CHARACTERS if saved >= _PATTERN_BITS else None


def _regular(symbols: Sequence[int], alphabet: int) -> str | None:
    """Find a difference that most symbols have from the one at a certain distance before them."""
    best, step = _PATTERN_BITS, None
    for distance in range(1, len(symbols) // 2 + 1):
        pairs = len(symbols) - distance
        difference, hits = Counter(map(sub, symbols[distance:], symbols)).most_common(1)[0]
        saved = hits * log2(alphabet) - log2(comb(pairs, hits)) - _WHICH_PATTERN_BITS
        if saved >= best:
            best, step = saved, difference
    if step is None:
        return None
    if step == 0:
        return _REPEATS
    return _COUNTS_UP if step > 0 else _COUNTS_DOWN


def _words_in(secret: bytes, text: str | None) -> str | None:
    made_of_words = "it is made of words or common passwords"
    if text is None or _is_hex(text):
        digits = secret.hex() if text is None else text.lower()
        return made_of_words if len(_HEX_WORDS.findall(digits)) >= _HEX_WORDS_AT_LEAST else None
    if len(_marks(text)) > _MOST_MARKS:
        return None
    # Its lists of words take 60 ms to read, and are not needed for keys in hex or base64.
    from zxcvbn import zxcvbn  # noqa: PLC0415  # start-up time

    bits = log2(_alphabet(text))
    saved = left = 0.0
    # It finds words, names, common passwords and rows of the keyboard, also with other case or digits for letters.
    for part in zxcvbn(text, user_inputs=["fluxbase"])["sequence"]:
        plain, guesses = len(part["token"]) * bits, log2(part["guesses"])
        if part["pattern"] in _WORDS:
            disguised = bool(part.get("l33t") or part.get("reversed"))
            saved += max(0.0, plain - guesses - _ONE_WORD_BITS - _DISGUISE_BITS * disguised)
        left += guesses if part["pattern"] in _FOUND else plain
    return made_of_words if saved >= _WORD_BITS and left < _ENOUGH_BITS else None


def _is_hex(text: str | None) -> bool:
    return text is not None and len(text) % 2 == 0 and (set(text) <= _LOWER_HEX or set(text) <= _UPPER_HEX)


def _alphabet(text: str) -> int:
    """The number of characters of the smallest usual alphabet that has all of these."""
    used = set(text)
    if used <= set(string.digits):
        return 10
    if used <= _LOWER_HEX or used <= _UPPER_HEX:
        return 16
    number = sum(len(each) for each in _CLASSES if used & set(each))
    marks = _marks(text)
    if not marks:
        return number
    return number + (2 if marks <= set("-_") or marks <= set("+/") else len(string.punctuation) + 1)


def _marks(text: str) -> set[str]:
    return set(text).difference(*_CLASSES)
