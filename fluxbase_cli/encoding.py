"""How a new key is written; apart, so that the command line can name the choices without loading cryptography."""

from __future__ import annotations

from enum import StrEnum


class Encoding(StrEnum):
    """How a new key is written."""

    HEX = "hex"
    BASE64 = "base64"
    RAW = "raw"
