"""The three text forms of a key, and the error for text that has none of them."""

from __future__ import annotations

import base64
import binascii
import re
import secrets
import string

from fluxbase_cli.encoding import Encoding
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.seal import KEY_BYTES

_HEX_CHARACTERS = 64
_HEX_KEY = re.compile(r"[0-9A-Fa-f]{64}")
_BASE64_CHARACTERS = 44
_RAW_ALPHABET = string.ascii_letters + string.digits + "-_"


def parse_key(text: str, source: str) -> bytes:
    """Read a key: 64 hex digits, 44 characters of base64, or exactly 32 bytes of UTF-8 text, used as they are.

    Args:
        text: the text of the key.
        source: where it was found, for the error message.

    Returns:
        32 bytes.

    Raises:
        ConfigurationError: it has none of these forms. The message contains the length, never the value.
    """
    data = text.encode("utf-8", "surrogateescape")
    if len(data) == KEY_BYTES:
        return data
    if len(data) == _HEX_CHARACTERS:
        try:
            # bytes.fromhex would skip spaces, and so accept a shorter key.
            return binascii.unhexlify(data)
        except ValueError:
            raise _unusable(source, "64 characters, but not all of them are hex digits") from None
    if len(data) == _BASE64_CHARACTERS:
        try:
            decoded = base64.b64decode(data, validate=True)
        except ValueError:
            raise _unusable(source, "44 characters, but not standard base64") from None
        if len(decoded) == KEY_BYTES:
            return decoded
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'`":
        raise _unusable(source, f"in quotation marks ({text[0]}), which are read as a part of it", "Remove them. ")
    blank = ", with white space around it" if text != text.strip() else ""
    raise _unusable(source, f"{len(data)} bytes long{blank}")


def looks_like_key(text: str, *, or_raw: bool = True) -> bool:
    """Whether a text has one of the forms of a key (see `parse_key`).

    Args:
        text: the text.
        or_raw: whether any text of 32 bytes counts.
    """
    if _HEX_KEY.fullmatch(text):
        return True
    data = text.encode("utf-8", "surrogateescape")
    if len(data) == _BASE64_CHARACTERS:
        try:
            return len(base64.b64decode(data, altchars=b"-_" if {"-", "_"} & set(text) else None, validate=True)) == (
                KEY_BYTES
            )
        except ValueError:
            return False
    return or_raw and len(data) == KEY_BYTES


def server_text(secret: bytes) -> str | None:
    """The key as the text that a server with one key is given. None if it has no such text.

    Every released server takes its key as text of exactly 32 bytes, from a variable or a file
    (docs/developers/format.md, "Keys").
    """
    try:
        text = secret.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return text if len(secret) == KEY_BYTES and text.isprintable() and text == text.strip() else None


def _unusable(source: str, what: str, remedy: str = "") -> ConfigurationError:
    return ConfigurationError(
        f"the key at {source} is {what}",
        hint=f"{remedy}A key is 64 hex digits, 44 characters of base64, or exactly 32 bytes of text. "
        "`fluxbase-cli keys generate` makes one.",
    )


def generate_key(encoding: Encoding) -> str:
    """Make a new key, as text in the given encoding.

    `hex` and `base64` contain 256 random bits from the operating system. `raw` is 32 characters of `A-Za-z0-9-_`, which
    today's server accepts as `encryption_key`. With six bits for each character, these are 192 bits.
    """
    match encoding:
        case Encoding.HEX:
            return secrets.token_hex(KEY_BYTES)
        case Encoding.BASE64:
            return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode("ascii")
        case Encoding.RAW:
            return "".join(secrets.choice(_RAW_ALPHABET) for _ in range(KEY_BYTES))
